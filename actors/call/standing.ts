/**
 * How a call stands that has no actor, by the carrier's word alone: its machine went down, or it is over.
 *
 * Reports come many times, in any order, up to a day late. A standing only ever grows, from open to ended,
 * and of the reports of one call one alone is of its end; so whatever order they come in, and however
 * often, the standing comes out the same.
 */

import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";
import { type Ending, endingOf } from "./ending.ts";

export type Standing =
  /** It rings, or is being talked on. */
  | {
    readonly phase: "open";
    readonly startedAt: Date;
    readonly wasAnswered: boolean;
  }
  | { readonly phase: "ended"; readonly ending: Ending; readonly endedAt: Date };

/** What the carrier says of a call. */
export interface Report {
  readonly progress: CallProgress;
  /** When that happened, by the carrier's clock; null when it does not say. */
  readonly at: Date | null;
}

/** The same object back: the report changes nothing. `now` is when it came. */
export function join(standing: Standing, { progress, at }: Report, now: Date): Standing {
  if (standing.phase === "ended") return standing;
  const { wasAnswered, startedAt } = standing;
  const said = endingOf(progress, wasAnswered);
  if (said === null) return standing;
  // Nobody was there to lead the conversation to its end: that is no good end of it.
  const ending: Ending = wasAnswered ? { outcome: "failed", reason: "crashed" } : said;
  const reported = Math.min(+(at ?? now), +now);
  return { phase: "ended", ending, endedAt: new Date(Math.max(reported, +startedAt)) };
}
