/** The figures of `bench calls`, worked out of what its carrier kept. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Arrivals } from "./carrier.ts";

/** A turn of a caller: when its end was told, or when they barged in. */
export interface Cue {
  readonly type: "endOfTurn" | "bargeIn";
  readonly at: number;
}

export interface CallFigures {
  /** From the end of a turn, as the recogniser told it, to the first frame of the answer. */
  readonly overheadMs: readonly number[];
  /** From the words that barge in to the `clear`. */
  readonly bargeInMs: readonly number[];
  /** Of each frame, by how much it came after it was due to be played. */
  readonly latenessMs: readonly number[];
  /** How often the carrier had nothing to play within an utterance. */
  readonly underruns: number;
  /** Frames of an utterance that came behind its `clear`. */
  readonly framesAfterClear: number;
  readonly missedTurns: number;
}

/** Silence of the agent that separates two utterances: they are spoken in one go. */
const APART_MS = 400;

/** Frames are due one after the other from the arrival of the first of their utterance. */
export function figuresOf(arrivals: Arrivals, cues: readonly Cue[]): CallFigures {
  const { mediaAt, mediaBytes, clearAt } = arrivals;
  const overheadMs: number[] = [];
  const bargeInMs: number[] = [];
  let missedTurns = 0;
  cues.forEach(({ type, at }, nth) => {
    const until = cues[nth + 1]?.at ?? Infinity;
    const next = (type === "endOfTurn" ? mediaAt : clearAt).find((time) => time >= at);
    if (next === undefined || next >= until) missedTurns++;
    else (type === "endOfTurn" ? overheadMs : bargeInMs).push(next - at);
  });
  const latenessMs: number[] = [];
  let underruns = 0;
  let framesAfterClear = 0;
  let dueAt = -Infinity; // of the next frame
  let cleared = 0;
  mediaAt.forEach((at, nth) => {
    let clears = cleared;
    while ((clearAt[clears] ?? Infinity) <= at) clears++;
    const isNew = clears > cleared || at - dueAt > APART_MS;
    if (clears > cleared && isOfCut(clearAt[clears - 1] ?? 0, at, cues)) framesAfterClear++;
    cleared = clears;
    if (isNew || dueAt === -Infinity) dueAt = at;
    const late = Math.max(0, at - dueAt);
    latenessMs.push(late);
    if (late > 0) {
      underruns++;
      dueAt = at; // what follows is late by as much, once
    }
    dueAt += (mediaBytes[nth] ?? 0) / BYTES_PER_MS;
  });
  return { overheadMs, bargeInMs, latenessMs, underruns, framesAfterClear, missedTurns };
}

/** An end of a turn so shortly before a `clear` has caused it: the words were said into the agent's last ones. */
const CAUSED_MS = 500;

/** A frame behind a `clear`, with no end of a turn in between nor as its cause, is of the utterance that was cut. */
function isOfCut(clearedAt: number, at: number, cues: readonly Cue[]): boolean {
  return !cues.some((cue) =>
    cue.type === "endOfTurn" && cue.at >= clearedAt - CAUSED_MS && cue.at <= at
  );
}

/** The value below which a part of the values lie; 0 of none. Sorts in place. */
export function percentile(values: number[], part: number): number {
  values.sort((a, b) => a - b);
  return values[Math.max(0, Math.ceil(values.length * part) - 1)] ?? 0;
}
