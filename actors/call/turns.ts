/** Who has the floor: one pure, exhaustive state machine with a deadline on every state. */

import type { Sense } from "@/lib/speech/sense.ts";

/** Who may speak now. Every state but `quiet` has work in progress, and all have a deadline. */
export type Turn =
  /**
   * Nobody speaks; the caller is awaited. `prompts` have been answered by silence so far. `isUnheard`: they have
   * spoken and were not heard, so that it is not they who owe a word. `isCutOff`: the line was gone when it was
   * their turn, so that they may have spoken into that.
   */
  | {
    readonly floor: "quiet";
    readonly prompts: number;
    readonly isUnheard?: true;
    readonly isCutOff?: true;
  }
  /** The caller speaks; `text` holds the finals of this turn. */
  | { readonly floor: "caller"; readonly text: string }
  /**
   * The caller has paused: their turn is over unless they go on. `text` as above. `waitMs`: it is over after
   * so long; null leaves that to the recogniser, which has said that it probably is. `guess` is what has been
   * taken for the whole turn in advance; null when nothing was.
   */
  | {
    readonly floor: "pause";
    readonly text: string;
    readonly waitMs: number | null;
    readonly guess: string | null;
  }
  /** The caller's turn is over and a reply is being made; nothing of it has been sent. `fillers` bridged the wait so far. */
  | { readonly floor: "thinking"; readonly fillers: number }
  /**
   * The agent speaks, or its speech is on its way; the caller may barge in. `text` holds finals that were
   * too short for that: the caller's next turn begins with them. `isUnheard` as above.
   */
  | {
    readonly floor: "agent";
    readonly prompts: number;
    readonly text: string;
    readonly isUnheard?: true;
  }
  /** The agent's last words: not to be barged in on, then the call is hung up. */
  | { readonly floor: "closing" };

export type TurnEvent =
  /** `forMs`: since the first of these words was recognised. */
  | {
    readonly type: "interim";
    readonly text: string;
    readonly sense: Sense;
    readonly forMs: number;
  }
  | { readonly type: "final"; readonly text: string; readonly sense: Sense }
  /** The caller has made sounds of speech for so long, whatever the words. */
  | { readonly type: "sounded"; readonly forMs: number }
  /** `waitMs`: the caller may go on for so long; 0 ends their turn at once. */
  | { readonly type: "utteranceEnded"; readonly waitMs: number }
  /** The recogniser thinks that the turn is over, and will say whether it was. `text` is all of it. */
  | { readonly type: "eagerEnded"; readonly text: string }
  /** It was not. */
  | { readonly type: "resumed" }
  /** The caller has spoken, and the recogniser is down. */
  | { readonly type: "unheard" }
  /** Keys were pressed that make a turn of their own. */
  | { readonly type: "keyed"; readonly text: string }
  /** Speech was handed to the speaker. `last`: the call ends after it. */
  | { readonly type: "speechGiven"; readonly last: boolean }
  /** A mark came back: the carrier is playing. */
  | { readonly type: "speechProgressed" }
  /** All speech given has been played. `answer`: signs of listening that came so late that they answer it. */
  | { readonly type: "speechEnded"; readonly answer: string }
  /** The model was asked: by a turn of the caller, or for a reply that was lost. */
  | { readonly type: "replyAsked" }
  /** The model has answered without a word to say, and nothing more is coming. */
  | { readonly type: "replyEmpty" }
  | { readonly type: "deadlinePassed" };

export type TurnAction =
  /** The caller's turn is over: record `text`, make a reply, or take the one made in advance. */
  | { readonly type: "reply"; readonly text: string }
  /** Make a reply in advance, of which nothing may be seen or heard before `reply`. */
  | { readonly type: "speculate"; readonly text: string }
  /** The caller went on: forget the reply that was made in advance. */
  | { readonly type: "forget" }
  /** The caller may have begun to speak before the reply was heard: keep it back until words are certain. */
  | { readonly type: "holdBack" }
  /** The caller has spoken: drop the reply that was kept back, if any. */
  | { readonly type: "withdraw" }
  /** A sound came to nothing: go on with what was kept back or cut off. */
  | { readonly type: "noWords" }
  /** The caller speaks over the agent: silence now, work out what was heard, and keep the rest back. */
  | { readonly type: "bargeIn" }
  /** Words that were a sign of listening, and no turn. */
  | { readonly type: "backchannel"; readonly text: string }
  /** The caller has been silent for long: ask whether they are there. `prompts` were in vain. */
  | { readonly type: "promptIdle"; readonly prompts: number }
  /** The caller was not heard: say so. */
  | { readonly type: "sayUnheard" }
  /** The caller says nothing since the line was gone: ask what they said. */
  | { readonly type: "askAgain" }
  /** The reply takes long: say so. `fillers` have been said of it. */
  | { readonly type: "fill"; readonly fillers: number }
  /** No reply came in time: say so. */
  | { readonly type: "apologise" }
  /** The carrier has stopped playing without a word: take the speech as cut where it was last heard. */
  | { readonly type: "cutShort" }
  | { readonly type: "hangUp" };

export interface TurnRules {
  /** Silence before the caller is prompted. */
  readonly idleMs: number;
  readonly bargeIn: BargeIn;
  /** A reply that takes so long is bridged by a filler; null: by none. */
  readonly fillerMs: number | null;
  /** Fillers of one reply. */
  readonly fillersMax: number;
}

/** What makes the caller's voice a barge-in. */
export interface BargeIn {
  /** False: what is said now is said to its end. */
  readonly isAllowed: boolean;
  /** Words that it takes, and how long they must have been going on. A stop phrase needs neither. */
  readonly words: number;
  readonly speechMs: number;
  /** True: sounds of speech for `speechMs` are enough. */
  readonly bySound: boolean;
}

/** A caller turn without any news from the recogniser ends itself after so long. */
export const CALLER_STALL_MS = 5_000;
/** Words that are not confirmed within this were none: the agent goes on. */
export const FALSE_START_MS = 2_000;
/** A reply must have begun to be spoken by then (first token 2.5 s, its gaps, first audio 1 s). */
export const THINKING_MS = 8_000;
/** A caller who was not heard, and told so, hears more of it after so long. */
export const UNHEARD_MS = 2_500;
/** A caller whose turn it is says nothing for so long since the line was gone: they have said it. */
export const CUT_OFF_MS = 2_500;
/** Speech without a mark played for so long is stuck: the lead is 0.4 s, and marks stand a second apart at most. */
export const SPEECH_STALL_MS = 3_000;

/** How long `turn` may last without another event. */
export function deadlineOf(
  turn: Turn,
  rules: Pick<TurnRules, "idleMs" | "fillerMs" | "fillersMax">,
): number {
  switch (turn.floor) {
    case "quiet":
      return turn.isUnheard ? UNHEARD_MS : turn.isCutOff ? CUT_OFF_MS : rules.idleMs;
    case "caller":
      return turn.text === "" ? FALSE_START_MS : CALLER_STALL_MS;
    case "pause":
      return turn.waitMs ?? CALLER_STALL_MS;
    case "thinking":
      return mayFill(turn.fillers, rules) ? rules.fillerMs ?? THINKING_MS : THINKING_MS;
    case "agent":
    case "closing":
      return SPEECH_STALL_MS;
  }
}

/** The next turn, and what to do about it. The same object back means: nothing changed, its deadline runs on. */
export function takeTurn(turn: Turn, event: TurnEvent, rules: TurnRules): [Turn, TurnAction?] {
  switch (event.type) {
    case "interim":
      return onInterim(turn, event, rules);
    case "final":
      return onFinal(turn, event, rules);
    case "sounded":
      return onSound(turn, event.forMs, rules);
    case "utteranceEnded":
      return onUtteranceEnded(turn, event.waitMs);
    case "eagerEnded":
      return onEagerEnded(turn, event.text);
    case "resumed":
      return goOn(turn);
    case "unheard":
      return onUnheard(turn);
    case "keyed":
      return onKeyed(turn, event.text);
    case "speechGiven":
      return onSpeechGiven(turn, event.last);
    case "speechProgressed":
      return [turn.floor === "agent" || turn.floor === "closing" ? { ...turn } : turn];
    case "speechEnded":
      return onSpeechEnded(turn, event.answer);
    case "replyAsked":
      return [turn.floor === "quiet" ? { floor: "thinking", fillers: 0 } : turn];
    case "replyEmpty":
      return [turn.floor === "thinking" ? { floor: "quiet", prompts: 0 } : turn];
    case "deadlinePassed":
      return onDeadline(turn, rules);
  }
}

type Interim = Extract<TurnEvent, { type: "interim" }>;

function onInterim(
  turn: Turn,
  { text, sense, forMs }: Interim,
  rules: TurnRules,
): [Turn, TurnAction?] {
  const words = wordCount(text);
  if (words === 0) return [turn];
  switch (turn.floor) {
    case "quiet":
      return [{ floor: "caller", text: "" }];
    case "caller":
      return [{ ...turn }]; // the recogniser lives: the stall deadline begins anew
    case "pause":
      if (turn.guess !== null && isSame(join(turn.text, text), turn.guess)) return [turn];
      return goOn(turn);
    case "thinking":
      if (sense === "backchannel") return [turn];
      return [{ floor: "caller", text: "" }, { type: "holdBack" }];
    case "agent": {
      const { bargeIn } = rules;
      if (!bargeIn.isAllowed || sense === "backchannel") return [turn];
      const isLong = forMs >= bargeIn.speechMs && wordCount(turn.text) + words >= bargeIn.words;
      if (sense !== "stop" && !isLong) return [turn];
      return [{ floor: "caller", text: turn.text }, { type: "bargeIn" }];
    }
    case "closing":
      return [turn];
  }
}

type Final = Extract<TurnEvent, { type: "final" }>;

function onFinal(turn: Turn, { text, sense }: Final, rules: TurnRules): [Turn, TurnAction?] {
  if (wordCount(text) === 0) return [turn];
  switch (turn.floor) {
    case "quiet":
      return [{ floor: "caller", text }];
    case "caller":
      return [{ floor: "caller", text: join(turn.text, text) }, { type: "withdraw" }];
    case "pause": {
      const said = join(turn.text, text);
      if (turn.guess !== null && isSame(said, turn.guess)) return [{ ...turn, text: said }];
      return [{ floor: "caller", text: said }, { type: "forget" }];
    }
    case "thinking":
      if (sense === "backchannel") return [turn, { type: "backchannel", text }];
      return [{ floor: "caller", text }, { type: "withdraw" }];
    case "agent": {
      if (sense === "backchannel") return [turn, { type: "backchannel", text }];
      const said = join(turn.text, text);
      const isEnough = sense === "stop" || wordCount(said) >= rules.bargeIn.words;
      if (!rules.bargeIn.isAllowed || !isEnough) return [{ ...turn, text: said }];
      return [{ floor: "caller", text: said }, { type: "bargeIn" }];
    }
    case "closing":
      return [turn];
  }
}

function onSound(turn: Turn, forMs: number, { bargeIn }: TurnRules): [Turn, TurnAction?] {
  if (turn.floor === "caller") return [{ ...turn }];
  const isBargeIn = turn.floor === "agent" && bargeIn.isAllowed && bargeIn.bySound;
  if (!isBargeIn || forMs < bargeIn.speechMs) return [turn];
  return [{ floor: "caller", text: turn.text }, { type: "bargeIn" }];
}

function onUtteranceEnded(turn: Turn, waitMs: number): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "caller":
      if (waitMs <= 0 || turn.text === "") return endCallerTurn(turn.text);
      return [
        { floor: "pause", text: turn.text, waitMs, guess: turn.text },
        { type: "speculate", text: turn.text },
      ];
    case "pause": // what the recogniser thought has come true
      return turn.waitMs === null ? endPause(turn) : [turn];
    case "quiet":
    case "thinking":
    case "agent":
    case "closing":
      return [turn]; // late: it ended another turn
  }
}

function onEagerEnded(turn: Turn, text: string): [Turn, TurnAction?] {
  if (turn.floor !== "caller" || wordCount(text) === 0) return [turn];
  const guess = join(turn.text, text);
  return [{ floor: "pause", text: turn.text, waitMs: null, guess }, {
    type: "speculate",
    text: guess,
  }];
}

/** A caller who had paused speaks again. */
function goOn(turn: Turn): [Turn, TurnAction?] {
  if (turn.floor !== "pause") return [turn];
  return [{ floor: "caller", text: turn.text }, { type: "forget" }];
}

/** What was heard of their turn is answered; where that is nothing, they are told. */
function onUnheard(turn: Turn): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "caller":
      if (turn.text !== "") return endCallerTurn(turn.text);
      return [{ floor: "quiet", prompts: 0, isUnheard: true }, { type: "sayUnheard" }];
    case "quiet":
      return [{ floor: "quiet", prompts: 0, isUnheard: true }, { type: "sayUnheard" }];
    case "pause":
      return endPause(turn);
    case "agent": // told behind what is being said
      return [turn.isUnheard ? turn : { ...turn, isUnheard: true }];
    case "thinking":
    case "closing":
      return [turn];
  }
}

function onKeyed(turn: Turn, text: string): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet":
    case "caller":
    case "pause":
      return endCallerTurn("text" in turn ? join(turn.text, text) : text);
    case "thinking": // no recogniser will say that this turn is over: it is
      return [{ floor: "pause", text, waitMs: 0, guess: null }, { type: "withdraw" }];
    case "agent":
      return [{ ...turn, text: join(turn.text, text) }];
    case "closing":
      return [turn];
  }
}

function onSpeechGiven(turn: Turn, last: boolean): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet":
      return [last ? { floor: "closing" } : spoken(turn)];
    case "agent":
      return [last ? { floor: "closing" } : { ...turn }];
    case "thinking":
      return [last ? { floor: "closing" } : { floor: "agent", prompts: 0, text: "" }];
    case "caller":
    case "pause":
      // Only last words may be spoken over a caller: the call is at its limit.
      return [last ? { floor: "closing" } : turn];
    case "closing":
      return [turn];
  }
}

function spoken({ prompts, isUnheard }: Extract<Turn, { floor: "quiet" }>): Turn {
  return { floor: "agent", prompts, text: "", ...(isUnheard ? { isUnheard } : {}) };
}

function onSpeechEnded(turn: Turn, answer: string): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet":
    case "caller":
    case "pause":
    case "thinking":
      return [turn];
    case "agent": {
      const said = join(turn.text, answer);
      if (said !== "") return endCallerTurn(said);
      const { prompts } = turn;
      return [{ floor: "quiet", prompts, ...(turn.isUnheard ? { isUnheard: true } : {}) }];
    }
    case "closing":
      return [turn, { type: "hangUp" }];
  }
}

function onDeadline(turn: Turn, rules: TurnRules): [Turn, TurnAction?] {
  switch (turn.floor) {
    case "quiet": {
      const { prompts } = turn;
      if (turn.isUnheard) return [{ floor: "quiet", prompts: 0 }, { type: "sayUnheard" }];
      if (turn.isCutOff) return [{ floor: "quiet", prompts }, { type: "askAgain" }];
      return [{ floor: "quiet", prompts: prompts + 1 }, { type: "promptIdle", prompts }];
    }
    case "caller":
      return endCallerTurn(turn.text);
    case "pause":
      return endPause(turn);
    case "thinking": {
      const { fillers } = turn;
      if (mayFill(fillers, rules)) {
        return [{ floor: "thinking", fillers: fillers + 1 }, { type: "fill", fillers }];
      }
      return [{ floor: "quiet", prompts: 0 }, { type: "apologise" }];
    }
    case "agent":
      if (turn.text !== "") return [{ floor: "caller", text: turn.text }, { type: "cutShort" }];
      return [{ floor: "quiet", prompts: turn.prompts }, { type: "cutShort" }];
    case "closing":
      return [turn, { type: "hangUp" }];
  }
}

/** A recogniser that never told the final words has told its guess. */
function endPause({ text, guess }: Extract<Turn, { floor: "pause" }>): [Turn, TurnAction?] {
  return endCallerTurn(text === "" ? guess ?? "" : text);
}

function endCallerTurn(text: string): [Turn, TurnAction?] {
  if (text === "") return [{ floor: "quiet", prompts: 0 }, { type: "noWords" }]; // a cough
  return [{ floor: "thinking", fillers: 0 }, { type: "reply", text }];
}

function mayFill(fillers: number, rules: Pick<TurnRules, "fillerMs" | "fillersMax">): boolean {
  return rules.fillerMs !== null && fillers < rules.fillersMax;
}

function join(before: string, text: string): string {
  return before === "" || text === "" ? before + text : `${before} ${text}`;
}

function wordCount(text: string): number {
  return text.split(/\s+/).filter((word) => word !== "").length;
}

/** The same words, whatever the recogniser has made of case and punctuation. */
export function isSame(a: string, b: string): boolean {
  return bare(a) === bare(b);
}

function bare(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}
