/** The events of a call: what is recorded, in order, and from which it can be rebuilt. */

import type { ToolCall } from "@/lib/providers/llm/llm.ts";
import type { AgentSaid, CallerSaid, ColleagueSaid } from "@/lib/conversation/transcript.ts";
import type { CallUsage } from "@/lib/conversation/usage.ts";
import type { Answerer } from "@/lib/speech/answerer.ts";
import type { WorkflowState } from "@/lib/workflow/engine.ts";
import type { Controlled } from "./control.ts";
import type { RecordingEvent } from "./disclosure.ts";
import type { GapParts } from "./gap.ts";

/** How a call came out. */
export type CallOutcome = "answered" | "busy" | "no_answer" | "voicemail" | "failed";

export type CallEvent =
  | { readonly type: "call_started"; readonly direction: "inbound" | "outbound" }
  /** The carrier has taken a call of ours. */
  | { readonly type: "call_dialed"; readonly carrierCallId: string }
  /** A carrier's media stream began; `epoch` counts them, from 1. */
  | { readonly type: "leg_started"; readonly epoch: number }
  /** It was lost without a hang-up; the call waits for another, which begins with what this owes. */
  | { readonly type: "leg_lost"; readonly epoch: number } & Partial<Owed>
  /** The graph has moved on, or learnt something. */
  | { readonly type: "workflow_moved"; readonly workflow: WorkflowState }
  /** The caller has begun to speak, or goes on behind words that are final. */
  | { readonly type: "caller_began" }
  /** Final words of a turn that may go on; all of it stands in `caller_said`. */
  | { readonly type: "caller_heard"; readonly text: string }
  | CallerSaid
  | ColleagueSaid
  /** A word of listening while the agent spoke or thought: no turn of its own. */
  | { readonly type: "caller_signalled"; readonly text: string }
  | SpeechGiven
  /** The caller has heard so many words of this turn so far: told once a second at most, and not at its end. */
  | { readonly type: "speech_heard"; readonly turn: number; readonly words: number }
  /** `parts` sum to its gap. */
  | AgentSaid & { readonly parts: GapParts | null }
  | { readonly type: "tool_called"; readonly call: ToolCall; readonly output: string }
  | Controlled
  | RecordingEvent
  /** Who has answered a call of ours, by the words heard. A later one takes the place of this. */
  | { readonly type: "answered_by"; readonly by: Answerer }
  | { readonly type: "dtmf_pressed"; readonly digit: string }
  /** The agent is about to press keys: on record before the first of them is heard. */
  | { readonly type: "keys_begun"; readonly digits: string }
  /** Keys that the agent pressed; not `isComplete`: they were cut off, and how many were heard is not known. */
  | { readonly type: "keys_sent"; readonly digits: string; readonly isComplete: boolean }
  /** Something failed; the call went on or ended. `code` is of lib/errors.ts, or "crashed". */
  | {
    readonly type: "failed";
    readonly part: CallPart;
    readonly code: string;
    readonly message: string;
  }
  /** Somebody of the company listens, or has taken the agent's place; `by` is who. */
  | {
    readonly type: "listen_started" | "listen_ended" | "takeover_started" | "takeover_ended";
    readonly by: string;
  }
  /** What it has used of its providers by now, of all machines: told when it leaves one. */
  | { readonly type: "usage_counted"; readonly usage: CallUsage }
  | { readonly type: "call_ended"; readonly outcome: CallOutcome; readonly reason: EndReason };

/** Words were given to the voice; of one turn they follow each other. What was heard of all stands in `agent_said`. */
export interface SpeechGiven {
  readonly type: "speech_given";
  readonly turn: number;
  /** Empty: nothing more comes of this turn. */
  readonly text: string;
  /** More of the turn is being written. */
  readonly isOpen: boolean;
  /** It bridges a wait, and is no part of an answer. */
  readonly isFiller?: true;
  /** So the call ends behind it. */
  readonly ending?: { readonly outcome: CallOutcome; readonly reason: EndReason };
  /** The caller had been silent for so many prompts. */
  readonly prompts?: number;
}

/** What a media stream that is lost leaves to the next. */
export interface Owed {
  /** What the caller has not heard of the agent's speech; empty: nothing. */
  readonly unsaid: string;
  readonly brokeOff: BrokenOff | null;
}

/** What was broken off: the caller's words, an answer that was half said, or one of which nothing was. */
export type BrokenOff = "caller" | "answer" | "request";

export type CallPart = "call" | "leg" | "listener" | "speaker" | "model" | "workflow" | "carrier";

export type EndReason =
  | "agent_hung_up"
  | "transferred"
  | "caller_hung_up"
  | "carrier_ended"
  | "caller_silent"
  | "max_duration"
  | "never_connected"
  | "leg_lost"
  | "leg_refused"
  | "provider_failed"
  | "workflow_failed"
  | "stopped"
  | "machine_lost"
  | "crashed";
