/** The gap the caller heard before the agent spoke, and the parts that sum to it. */

/** When each step towards an audible reply was done, milliseconds on the system's clock. */
export interface Milestones {
  /** The caller's last word ended. */
  readonly callerEnded?: number;
  /** The turn was taken as over. */
  readonly endpointed?: number;
  /** The model's first word arrived. */
  readonly firstToken?: number;
  /** The first clause went to the speaker. */
  readonly firstClause?: number;
  /** Its first audio came back. */
  readonly firstAudio?: number;
  /** That audio went to the carrier. */
  readonly firstSent?: number;
  /** The carrier's mark said that it began to play. */
  readonly playing?: number;
  /** The first sample that is not silence played. */
  readonly audible?: number;
}

export type Milestone = keyof Milestones;

/** Milliseconds of each part, rounded to 0.1. Their sum is the gap. */
export interface GapParts {
  readonly endpointing: number;
  readonly model: number;
  readonly clause: number;
  readonly synthesis: number;
  readonly playout: number;
  readonly carrier: number;
  readonly silence: number;
}

export interface Gap {
  readonly gapMs: number;
  readonly parts: GapParts;
}

const STEPS: readonly { readonly part: keyof GapParts; readonly until: Milestone }[] = [
  { part: "endpointing", until: "endpointed" },
  { part: "model", until: "firstToken" },
  { part: "clause", until: "firstClause" },
  { part: "synthesis", until: "firstAudio" },
  { part: "playout", until: "firstSent" },
  { part: "carrier", until: "playing" },
  { part: "silence", until: "audible" },
];

/** Their names, in the order in which they follow each other. */
export const PARTS: readonly (keyof GapParts)[] = STEPS.map(({ part }) => part);

/** Notes the first time of a step; later times of the same step change nothing. */
export function reach(milestones: Milestones, milestone: Milestone, at: number): Milestones {
  return milestone in milestones ? milestones : { ...milestones, [milestone]: at };
}

/** Null unless the caller spoke before, and the reply was heard. A step that was skipped took no time, nor one out of order. */
export function gapOf(milestones: Milestones): Gap | null {
  const { callerEnded, audible } = milestones;
  if (callerEnded === undefined || audible === undefined) return null;
  const parts = { ...NO_PARTS };
  const end = tenths(audible);
  let from = Math.min(tenths(callerEnded), end);
  const gapMs = (end - from) / 10;
  for (const { part, until } of STEPS) {
    const reached = milestones[until];
    if (reached === undefined) continue;
    const to = Math.min(Math.max(tenths(reached), from), end); // clocks of others may differ: no part is negative
    parts[part] = (to - from) / 10;
    from = to;
  }
  return { gapMs, parts };
}

const NO_PARTS: GapParts = {
  endpointing: 0,
  model: 0,
  clause: 0,
  synthesis: 0,
  playout: 0,
  carrier: 0,
  silence: 0,
};

function tenths(ms: number): number {
  return Math.round(ms * 10);
}
