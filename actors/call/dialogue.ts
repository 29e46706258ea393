/** The dialogue of a call: its state, what can happen to it, and what follows (scene/ works it out). Pure. */

import type { StreamItem } from "@/actors/runtime/actor.ts";
import type { AppError } from "@/lib/errors.ts";
import type { ModelDelta, Prompt, ToolCall } from "@/lib/providers/llm/llm.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import type { Keypad } from "@/lib/speech/keypad.ts";
import type { Sense } from "@/lib/speech/sense.ts";
import { begin, type WorkflowState } from "@/lib/workflow/engine.ts";
import type { AnsweringSettings, Graph } from "@/lib/workflow/graph.ts";
import { type Answering, newAnswering } from "./answering.ts";
import type { Clauses } from "./clauses.ts";
import type { Consent } from "@/lib/recording/consent.ts";
import { type Disclosure, newDisclosure } from "./disclosure.ts";
import type { Entry } from "./conversation.ts";
import type { Ending } from "./ending.ts";
import type { BrokenOff, CallEvent } from "./events.ts";
import type { Milestones } from "./gap.ts";
import type { MarkArrival, PlacedWord, Utterance } from "./ledger.ts";
import { noPauses, type Pauses } from "./pauses.ts";
import type { Turn, TurnRules } from "./turns.ts";

/** An answer of the model on its way. */
export interface Reply {
  readonly request: number;
  readonly clauses: Clauses;
  readonly calls: readonly ToolCall[];
  /** Requests that failed before this one of the same turn. */
  readonly failures: number;
  /** Sentences that have bridged the wait for it. */
  readonly fillers: number;
  /** Clauses that are not to be said while it is not known whether the caller speaks; null: say them. */
  readonly heldBack: string | null;
  /** True when it is complete, and was held back. */
  readonly isOver: boolean;
}

/** A reply made in advance, on a turn that is probably over. Nothing of it is recorded, sent or acted on. */
export interface Ahead {
  /** What the caller has said, if that was all. */
  readonly guess: string;
  /** The dialogue as it will be, if it was. */
  readonly fork: Dialogue;
  /** Entries of the fork that it began with. */
  readonly entriesBefore: number;
  /** What it would have recorded. */
  readonly events: readonly CallEvent[];
  /** What it would have done: speech behind its first clause. */
  readonly effects: readonly Effect[];
  /** What it has not taken yet: functions that the model calls. */
  readonly later: readonly DialogueEvent[];
  /** Tokens it has cost so far, by a rule of thumb. */
  readonly tokens: number;
}

/** Speech that the caller's voice cut off, and that goes on if it comes to nothing. */
export interface CutOff {
  readonly generation: number;
  /** What was not heard of it; null while that is not known yet. */
  readonly rest: string | null;
  /** It is to go on as soon as that is known. */
  readonly isDue: boolean;
}

/** An utterance that clauses can still be added to. */
export interface Open {
  readonly generation: number;
  readonly text: string;
}

export interface Dialogue {
  readonly turn: Turn;
  readonly workflow: WorkflowState;
  readonly entries: readonly Entry[];
  readonly disclosure: Disclosure;
  readonly answering: Answering;
  /** Entries that came before the graph was begun: what was said of a recording. */
  readonly preamble: number;
  /** Those whose end is not known yet: the one being said, and cut ones whose `clear` is on its way. */
  readonly utterances: readonly Utterance[];
  readonly open: Open | null;
  readonly reply: Reply | null;
  /** Steps towards the first sound of the turn being made. */
  readonly milestones: Milestones;
  /** When the first words of the caller's turn were recognised; null while there are none. */
  readonly callerBeganAt: number | null;
  /** Words of theirs were recognised, and are not final. */
  readonly isInterim: boolean;
  /** Their turn had begun before the line was there: its first words are lost. */
  readonly isMidway: boolean;
  /** When the caller's last word so far ended. */
  readonly callerEndedAt: number | null;
  /** How the call is to end once its last words are over. */
  readonly ending: Ending | null;
  /** What was to be said and has no sound: said again once the utterance before is over, or a leg is back. */
  readonly unsaid: string | null;
  /** What the line broke off when it was lost: it is made good on the next leg. */
  readonly brokeOff: BrokenOff | null;
  readonly ahead: Ahead | null;
  readonly cutOff: CutOff | null;
  /** The caller's last sign of listening. */
  readonly sign:
    | { readonly text: string; readonly at: number; readonly endedAt: number | null }
    | null;
  readonly pauses: Pauses;
  /** The caller's last turn, while words behind it may go on with it; null else. */
  readonly lastTurn: { readonly endedAt: number } | null;
  /** Turns that were taken as over before their final words came, the oldest first: they are not said twice. */
  readonly guessed: readonly string[];
  /** What the caller is keying, where that is no turn yet. */
  readonly keypad: Keypad | null;
  /** Keys that the agent is to press once nobody speaks, and those that are on their way. */
  readonly keysToSend: string;
  readonly sending: { readonly generation: number; readonly keys: string } | null;
  /** What the model has been told of this call while it went on. */
  readonly notes: readonly string[];
  /** Sentences that others gave the agent to say, in their order. */
  readonly given: readonly string[];
  /** True while the agent says nothing by itself. */
  readonly isMuted: boolean;
  /** True while the caller is not listened to. */
  readonly isDeaf: boolean;
  /** How often the caller has been told that they were not heard, since they last were. */
  readonly unheard: number;
  /** Replies made in advance that were dropped, and the tokens they cost. */
  readonly wasted: { readonly replies: number; readonly tokens: number };
  readonly counts: {
    readonly turns: number;
    readonly generations: number;
    readonly requests: number;
    readonly speechFailures: number;
  };
}

export type DialogueEvent =
  /** A leg is there: the first, or another after one was lost. */
  | { readonly type: "legReady"; readonly greetsLater?: boolean }
  | { readonly type: "legLost" }
  | {
    readonly type: "heard";
    readonly recognition: Recognition;
    readonly endedAt: number | null;
    /** They were speaking already when the line came. */
    readonly isMidway?: true;
  }
  /** The caller has made sounds of speech for so long. */
  | { readonly type: "sounded"; readonly forMs: number }
  /** The caller has spoken, and the recogniser is down. */
  | { readonly type: "unheard" }
  /** The caller pressed a key: 0 to 9, A to D, * or #, which ends what was keyed. */
  | { readonly type: "pressed"; readonly digit: string }
  /** No other key came in the time that the node gives. */
  | { readonly type: "keysDue" }
  /** A beep, as voicemails make it; and that none came in BEEP_WAIT_MS. */
  | { readonly type: "beeped" }
  | { readonly type: "beepDue" }
  /** The carrier's own detection says who has answered. */
  | { readonly type: "carrierJudged"; readonly by: CarrierAnswerer }
  /** The pause before the greeting is over. */
  | { readonly type: "greetingDue" }
  | { readonly type: "modelSaid"; readonly request: number; readonly item: StreamItem<ModelDelta> }
  | { readonly type: "modelLost" }
  /** No more of this request's reply has come for STALL_MS. */
  | { readonly type: "stallDue"; readonly request: number }
  | {
    readonly type: "wordsPlaced";
    readonly generation: number;
    readonly words: readonly PlacedWord[];
  }
  | { readonly type: "synthesisBegan"; readonly generation: number; readonly at: number }
  | {
    readonly type: "playoutBegan";
    readonly generation: number;
    readonly at: number;
    readonly leadMs: number;
  }
  | { readonly type: "synthesisFailed"; readonly generation: number; readonly error: AppError }
  | { readonly type: "speakerLost" }
  | { readonly type: "marked"; readonly name: string } & MarkArrival
  /** The carrier should have answered a `clear` by now. */
  | { readonly type: "settleDue"; readonly generation: number }
  | { readonly type: "deadlinePassed" }
  /** Say this as soon as nobody speaks, or at once. */
  | { readonly type: "say"; readonly sentence: string; readonly interrupts: boolean }
  /** Press keys as soon as nobody speaks. */
  | { readonly type: "sendKeys"; readonly keys: string }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "mute"; readonly isMuted: boolean }
  /** Say `sentence`, whoever speaks, and hang up. */
  | { readonly type: "end"; readonly sentence: string; readonly ending: Ending };

/** What the actor does, in this order. */
export type Effect =
  /** `isHeld`: it is made, and waits for its `release` to be played. With `keys` it is their tones, and no speech. */
  | {
    readonly type: "begin";
    readonly generation: number;
    readonly isHeld: boolean;
    readonly keys?: string;
  }
  | { readonly type: "release"; readonly generation: number }
  /** Forget a held one: nothing of it was played. */
  | { readonly type: "discard"; readonly generation: number }
  /** Hear the caller, or feed the recogniser silence in place of them. */
  | { readonly type: "listen"; readonly isDeaf: boolean }
  | { readonly type: "text"; readonly generation: number; readonly text: string }
  | { readonly type: "finish"; readonly generation: number }
  /** Silence the speaker, clear the carrier, and send `settleDue` in SETTLE_MS. */
  | { readonly type: "silence"; readonly generation: number }
  | { readonly type: "request"; readonly request: number; readonly prompt: Prompt }
  | { readonly type: "withdraw" }
  /** Send `stallDue` in STALL_MS, unless this is done again before. */
  | { readonly type: "awaitToken"; readonly request: number }
  | { readonly type: "record"; readonly event: CallEvent }
  /** Send `beepDue` in BEEP_WAIT_MS. */
  | { readonly type: "awaitBeep" }
  /** From now on the call may be recorded. */
  | { readonly type: "startRecording" }
  /** The conversation is over. `sentence`: speech has failed, so the carrier's own voice is to say it. */
  | { readonly type: "hangUp"; readonly ending: Ending; readonly sentence: string | null };

/** A carrier that does not return marks is not waited for longer than this. */
export const SETTLE_MS = 500;

export interface Scenario {
  readonly graph: Graph;
  /** Of the whole call; whether the agent may be barged in on is the node's as well. */
  readonly rules: TurnRules;
  /** What words are that the caller says while the agent speaks. */
  readonly senseOf: (text: string) => Sense;
  /** The machine has no work to spare for replies that may be of no use. Absent: it has. */
  readonly isPressed?: boolean;
  /** Of a call of ours whose agent heeds machines; null for others. */
  readonly answering: AnsweringSettings | null;
  /** What stands before a recording; null: there is none. */
  readonly consent: Consent | null;
}

export function newDialogue(graph: Graph): Dialogue {
  return {
    turn: { floor: "quiet", prompts: 0 },
    workflow: begin(graph).state,
    entries: [],
    disclosure: newDisclosure,
    answering: newAnswering,
    preamble: 0,
    utterances: [],
    open: null,
    reply: null,
    milestones: {},
    callerBeganAt: null,
    isInterim: false,
    isMidway: false,
    callerEndedAt: null,
    ending: null,
    unsaid: null,
    brokeOff: null,
    ahead: null,
    cutOff: null,
    sign: null,
    pauses: noPauses,
    lastTurn: null,
    guessed: [],
    keypad: null,
    keysToSend: "",
    sending: null,
    notes: [],
    given: [],
    isMuted: false,
    isDeaf: false,
    unheard: 0,
    wasted: { replies: 0, tokens: 0 },
    counts: { turns: 0, generations: 0, requests: 0, speechFailures: 0 },
  };
}
