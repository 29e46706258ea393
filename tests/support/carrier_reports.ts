/** What a carrier tells of one call, as it may arrive: each word 1 to 10 times, in any order, up to a day late. */

import type { Report } from "@/actors/call/standing.ts";
import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";

export interface History {
  readonly startedAt: Date;
  /** Each report once, in order. */
  readonly told: readonly Report[];
  /** The same, as they arrive. */
  readonly arriving: readonly { readonly report: Report; readonly arrivedAt: Date }[];
}

const DAY_MS = 24 * 3_600_000;
const COPIES_MAX = 10;
const ENDS: readonly CallProgress[] = ["completed", "busy", "no_answer", "failed", "canceled"];

/** `random` is uniform in [0, 1). */
export function randomHistory(random: () => number, startedAt: Date): History {
  const below = (count: number): number => Math.floor(random() * count);
  const end = ENDS[below(ENDS.length)] ?? "completed";
  const words: CallProgress[] = ["queued", "ringing"];
  if (end === "completed") words.push("in_progress");
  if (random() < 0.95) words.push(end); // or the last word never comes
  let at = +startedAt;
  const told = words.map((progress): Report => {
    at += below(60_000);
    return { progress, at: new Date(at) };
  });
  const arriving = told.flatMap((report) =>
    Array.from({ length: 1 + below(COPIES_MAX) }, () => ({
      report,
      arrivedAt: new Date(+(report.at ?? startedAt) + below(DAY_MS)),
    }))
  );
  return { startedAt, told, arriving: shuffled(arriving, below) };
}

function shuffled<T>(items: readonly T[], below: (count: number) => number): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [all[i], all[j]] = [all[j] as T, all[i] as T]; // both are within the list
  }
  return all;
}
