/** What a caller is offered while no line is free. */

/** `busy`: the busy tone, unanswered. `wait`: a place in line, and to be told which. `callback`: as `wait`, or to be called back. */
export const WHEN_FULL = ["busy", "wait", "callback"] as const;
export type WhenFull = typeof WHEN_FULL[number];
