/** What an attempt at a delivery means: for the delivery, and for its endpoint. */

import type { DeliveryEnd } from "@/db/deliveries.ts";
import type { Health } from "@/db/webhook_endpoints.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Before each attempt: https://www.standardwebhooks.com, "Retry schedule". The first is at once. */
export const SCHEDULE_MS = [
  ...[0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR] as const,
  ...[20 * HOUR, 24 * HOUR] as const,
] as const;

/** Of a wait, either way: what failed together does not come back together. */
const JITTER = 0.1;
/** Bounds of the quiet that an endpoint may ask for, and what it gets when it names none. */
const QUIET_MIN_MS = SECOND;
const QUIET_MAX_MS = HOUR;
const QUIET_MS = 30 * SECOND;
/** "Too many requests", "bad gateway" and "gateway timeout": it is there, and overloaded. */
const SLOW: readonly number[] = [429, 502, 504];
const GONE = 410;

export interface Answer {
  readonly status: number;
  /** `Retry-After`; undefined when there was none. */
  readonly retryAfter: string | undefined;
}

export interface Verdict {
  readonly end: DeliveryEnd;
  readonly health: Health;
}

/** `answer` is null when there was none. `step` counts attempts of this schedule from 0. */
export function verdictOf(
  answer: Answer | null,
  { step, isTest, now, random }: {
    readonly step: number;
    /** A test is tried once, and says nothing on the endpoint's health. */
    readonly isTest: boolean;
    readonly now: Date;
    readonly random: () => number;
  },
): Verdict {
  const status = answer?.status ?? null;
  if (status !== null && status >= 200 && status < 300) {
    return { end: { type: "delivered" }, health: { type: "well" } };
  }
  if (status === GONE) return { end: { type: "failed" }, health: { type: "gone" } };
  const isSlow = answer !== null && SLOW.includes(answer.status);
  const quietMs = isSlow ? quietOf(answer.retryAfter, now) : 0;
  const health: Health = { type: "failing", quietMs };
  const waitMs = SCHEDULE_MS[step + 1];
  if (isTest || waitMs === undefined) return { end: { type: "failed" }, health };
  const delayMs = Math.max(waitMs * (1 - JITTER + 2 * JITTER * random()), quietMs);
  return { end: { type: "again", delayMs }, health };
}

/** `Retry-After` is seconds or a date (RFC 9110 §10.2.3). */
function quietOf(retryAfter: string | undefined, now: Date): number {
  if (retryAfter === undefined) return QUIET_MS;
  const ms = /^\d{1,9}$/.test(retryAfter)
    ? Number(retryAfter) * SECOND
    : Date.parse(retryAfter) - now.getTime();
  return Number.isNaN(ms) ? QUIET_MS : Math.min(QUIET_MAX_MS, Math.max(QUIET_MIN_MS, ms));
}
