/** Who has the floor: one pure, exhaustive state machine with a deadline on every state. */

/** Who may speak now. Every state but `quiet` has work in progress, and all have a deadline. */
export type Turn =
  /** Nobody speaks; the caller is awaited. `prompts` have been answered by silence so far. */
  | { readonly floor: "quiet"; readonly prompts: number }
  /** The caller speaks; `text` holds the finals of this turn. */
  | { readonly floor: "caller"; readonly text: string }
  /** The caller's turn is over and a reply is being made; nothing of it has been sent. */
  | { readonly floor: "thinking" }
  /**
   * The agent speaks, or its speech is on its way; the caller may barge in. `text` holds finals that were
   * too short for that: the caller's next turn begins with them.
   */
  | { readonly floor: "agent"; readonly prompts: number; readonly text: string }
  /** The agent's last words: not to be barged in on, then the call is hung up. */
  | { readonly floor: "closing" };

export type TurnEvent =
  | { readonly type: "interim"; readonly text: string }
  | { readonly type: "final"; readonly text: string }
  | { readonly type: "utteranceEnded" }
  /** Speech was handed to the speaker. `last`: the call ends after it. */
  | { readonly type: "speechGiven"; readonly last: boolean }
  /** A mark came back: the carrier is playing. */
  | { readonly type: "speechProgressed" }
  /** All speech given has been played. */
  | { readonly type: "speechEnded" }
  /** The model was asked: by a turn of the caller, or for a reply that was lost. */
  | { readonly type: "replyAsked" }
  /** The model has answered without a word to say, and nothing more is coming. */
  | { readonly type: "replyEmpty" }
  | { readonly type: "deadlinePassed" };

export type TurnAction =
  /** The caller's turn is over: record `text`, make a reply. */
  | { readonly type: "reply"; readonly text: string }
  /** The caller went on before the reply was heard: drop it, keep what they say next. */
  | { readonly type: "withdraw" }
  /** A sound came to nothing: a reply that was dropped for it, and never heard, is to be made again. */
  | { readonly type: "noWords" }
  /** The caller speaks over the agent: silence now, and work out what was heard. */
  | { readonly type: "bargeIn" }
  /** The caller has been silent for long: ask whether they are there. `prompts` were in vain. */
  | { readonly type: "promptIdle"; readonly prompts: number }
  /** No reply came in time: say so. */
  | { readonly type: "apologise" }
  /** The carrier has stopped playing without a word: take the speech as cut where it was last heard. */
  | { readonly type: "cutShort" }
  | { readonly type: "hangUp" };

export interface TurnLimits {
  /** Silence before the caller is prompted. */
  readonly idleMs: number;
  /** Words of an interim that make it a barge-in. */
  readonly bargeInWords: number;
}

/** A caller turn without any news from the recogniser ends itself after so long. */
export const CALLER_STALL_MS = 5_000;
/** A reply must have begun to be spoken by then (first token 2.5 s, its gaps, first audio 1 s). */
export const THINKING_MS = 8_000;
/** Speech without a mark played for so long is stuck: the lead is 0.3 s, the longest word a few seconds. */
export const SPEECH_STALL_MS = 5_000;

/** How long `turn` may last without another event. */
export function deadlineOf(turn: Turn, limits: TurnLimits): number {
  switch (turn.floor) {
    case "quiet":
      return limits.idleMs;
    case "caller":
      return CALLER_STALL_MS;
    case "thinking":
      return THINKING_MS;
    case "agent":
    case "closing":
      return SPEECH_STALL_MS;
  }
}

/** The next turn, and what to do about it. The same object back means: nothing changed, its deadline runs on. */
export function takeTurn(turn: Turn, event: TurnEvent, limits: TurnLimits): [Turn, TurnAction?] {
  switch (event.type) {
    case "interim":
      return onInterim(turn, event.text, limits);
    case "final":
      return onFinal(turn, event.text, limits);
    case "utteranceEnded":
      return turn.floor === "caller" ? endCallerTurn(turn.text) : [turn]; // late: it ended another turn
    case "speechGiven":
      return onSpeechGiven(turn, event.last);
    case "speechProgressed":
      return [turn.floor === "agent" || turn.floor === "closing" ? { ...turn } : turn];
    case "speechEnded":
      return onSpeechEnded(turn);
    case "replyAsked":
      return [turn.floor === "quiet" ? { floor: "thinking" } : turn];
    case "replyEmpty":
      return [turn.floor === "thinking" ? { floor: "quiet", prompts: 0 } : turn];
    case "deadlinePassed":
      return onDeadline(turn);
  }
}

function onInterim(turn: Turn, text: string, limits: TurnLimits): [Turn, TurnAction?] {
  const words = wordCount(text);
  if (words === 0) return [turn];
  switch (turn.floor) {
    case "quiet":
      return [{ floor: "caller", text: "" }];
    case "caller":
      return [{ ...turn }]; // the recogniser lives: the stall deadline begins anew
    case "thinking":
      return [{ floor: "caller", text: "" }, { type: "withdraw" }];
    case "agent":
      if (wordCount(turn.text) + words < limits.bargeInWords) return [turn];
      return [{ floor: "caller", text: turn.text }, { type: "bargeIn" }];
    case "closing":
      return [turn];
  }
}

function onFinal(turn: Turn, text: string, limits: TurnLimits): [Turn, TurnAction?] {
  if (wordCount(text) === 0) return [turn];
  switch (turn.floor) {
    case "quiet":
      return [{ floor: "caller", text }];
    case "caller":
      return [{ floor: "caller", text: join(turn.text, text) }];
    case "thinking":
      return [{ floor: "caller", text }, { type: "withdraw" }];
    case "agent": {
      const said = join(turn.text, text);
      if (wordCount(said) < limits.bargeInWords) return [{ ...turn, text: said }];
      return [{ floor: "caller", text: said }, { type: "bargeIn" }];
    }
    case "closing":
      return [turn];
  }
}

function onSpeechGiven(turn: Turn, last: boolean): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet":
      return [last ? { floor: "closing" } : { floor: "agent", prompts: turn.prompts, text: "" }];
    case "agent":
      return [last ? { floor: "closing" } : { ...turn }];
    case "thinking":
      return [last ? { floor: "closing" } : { floor: "agent", prompts: 0, text: "" }];
    case "caller":
      // Only last words may be spoken over a caller: the call is at its limit.
      return [last ? { floor: "closing" } : turn];
    case "closing":
      return [turn];
  }
}

function onSpeechEnded(turn: Turn): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet":
    case "caller":
    case "thinking":
      return [turn];
    case "agent":
      if (turn.text !== "") return endCallerTurn(turn.text);
      return [{ floor: "quiet", prompts: turn.prompts }];
    case "closing":
      return [turn, { type: "hangUp" }];
  }
}

function onDeadline(turn: Turn): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet": {
      const { prompts } = turn;
      return [{ floor: "quiet", prompts: prompts + 1 }, { type: "promptIdle", prompts }];
    }
    case "caller":
      return endCallerTurn(turn.text);
    case "thinking":
      return [{ floor: "quiet", prompts: 0 }, { type: "apologise" }];
    case "agent":
      if (turn.text !== "") return [{ floor: "caller", text: turn.text }, { type: "cutShort" }];
      return [{ floor: "quiet", prompts: turn.prompts }, { type: "cutShort" }];
    case "closing":
      return [turn, { type: "hangUp" }];
  }
}

function endCallerTurn(text: string): [Turn, TurnAction?] {
  if (text === "") return [{ floor: "quiet", prompts: 0 }, { type: "noWords" }]; // a cough
  return [{ floor: "thinking" }, { type: "reply", text }];
}

function join(before: string, text: string): string {
  return before === "" ? text : `${before} ${text}`;
}

function wordCount(text: string): number {
  return text.split(/\s+/).filter((word) => word !== "").length;
}
