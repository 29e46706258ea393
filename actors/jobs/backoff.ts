/** When a job that failed is tried again: exponential, with full jitter, so that what failed together does not return together. */

const BASE_MS = 5_000;
const MOST_MS = 60 * 60_000;

/** Milliseconds; `attempt` is the one that failed, from 1. Never sooner than `retryAfterS`, where who refused has named it. */
export function backoffMs(
  attempt: number,
  { random, retryAfterS = 0 }: {
    readonly random: () => number;
    readonly retryAfterS?: number | undefined;
  },
): number {
  const most = Math.min(MOST_MS, BASE_MS * 2 ** (attempt - 1));
  return Math.max(Math.floor(random() * most), Math.min(retryAfterS * 1_000, MOST_MS));
}
