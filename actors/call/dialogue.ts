/** The dialogue of a call: its state, what can happen to it, and what follows. Pure. */

import type { StreamItem } from "@/actors/runtime/actor.ts";
import type { AppError } from "@/lib/errors.ts";
import type { ModelDelta, Prompt, ToolCall } from "@/lib/providers/llm/llm.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { begin, type WorkflowState } from "@/lib/workflow/engine.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import type { Clauses } from "./clauses.ts";
import type { Entry } from "./conversation.ts";
import type { Ending } from "./ending.ts";
import type { CallEvent } from "./events.ts";
import type { Milestones } from "./gap.ts";
import type { MarkArrival, PlacedWord, Utterance } from "./ledger.ts";
import { Scene } from "./scene.ts";
import type { Turn, TurnLimits } from "./turns.ts";

/** An answer of the model on its way. */
export interface Reply {
  readonly request: number;
  readonly clauses: Clauses;
  readonly calls: readonly ToolCall[];
  /** Requests that failed before this one of the same turn. */
  readonly failures: number;
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
  /** Those whose end is not known yet: the one being said, and cut ones whose `clear` is on its way. */
  readonly utterances: readonly Utterance[];
  readonly open: Open | null;
  readonly reply: Reply | null;
  /** Steps towards the first sound of the turn being made. */
  readonly milestones: Milestones;
  /** When the first words of the caller's turn were recognised; null while there are none. */
  readonly callerBeganAt: number | null;
  /** When the caller's last word so far ended. */
  readonly callerEndedAt: number | null;
  /** How the call is to end once its last words are over. */
  readonly ending: Ending | null;
  /** What was to be said and has no sound: said again once the utterance before is over, or a leg is back. */
  readonly unsaid: string | null;
  readonly counts: {
    readonly turns: number;
    readonly generations: number;
    readonly requests: number;
    readonly speechFailures: number;
  };
}

export type DialogueEvent =
  /** A leg is there: the first, or another after one was lost. */
  | { readonly type: "legReady" }
  | { readonly type: "legLost" }
  | {
    readonly type: "heard";
    readonly recognition: Recognition;
    readonly endedAt: number | null;
  }
  | { readonly type: "modelSaid"; readonly request: number; readonly item: StreamItem<ModelDelta> }
  | { readonly type: "modelLost" }
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
  /** Say `sentence`, whoever speaks, and hang up. */
  | { readonly type: "end"; readonly sentence: string; readonly ending: Ending };

/** What the actor does, in this order. */
export type Effect =
  | { readonly type: "begin"; readonly generation: number }
  | { readonly type: "text"; readonly generation: number; readonly text: string }
  | { readonly type: "finish"; readonly generation: number }
  /** Silence the speaker, clear the carrier, and send `settleDue` in SETTLE_MS. */
  | { readonly type: "silence"; readonly generation: number }
  | { readonly type: "request"; readonly request: number; readonly prompt: Prompt }
  | { readonly type: "withdraw" }
  | { readonly type: "record"; readonly event: CallEvent }
  /** The conversation is over. `sentence`: speech has failed, so the carrier's own voice is to say it. */
  | { readonly type: "hangUp"; readonly ending: Ending; readonly sentence: string | null };

/** A carrier that does not return marks is not waited for longer than this. */
export const SETTLE_MS = 500;
export interface Scenario {
  readonly graph: Graph;
  readonly limits: TurnLimits;
}

export function newDialogue(graph: Graph): Dialogue {
  return {
    turn: { floor: "quiet", prompts: 0 },
    workflow: begin(graph).state,
    entries: [],
    utterances: [],
    open: null,
    reply: null,
    milestones: {},
    callerBeganAt: null,
    callerEndedAt: null,
    ending: null,
    unsaid: null,
    counts: { turns: 0, generations: 0, requests: 0, speechFailures: 0 },
  };
}

/** The next state of a dialogue, and what to do. The same turn object back: its deadline runs on. */
export function takeEvent(
  dialogue: Dialogue,
  event: DialogueEvent,
  scenario: Scenario,
  now: number,
): [Dialogue, readonly Effect[]] {
  const scene = new Scene(dialogue, scenario, now);
  scene.take(event);
  return [scene.dialogue, scene.effects];
}
