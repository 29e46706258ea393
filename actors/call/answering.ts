/** Who has answered a call of ours, and what is done about it. Pure. */

import type { Answerer } from "@/lib/speech/answerer.ts";
import type { AnsweringSettings } from "@/lib/workflow/graph.ts";

/** Nobody has said a word for so long: the agent greets. */
export const FIRST_WORDS_MS = 2_500;
/** A voicemail pauses in its greeting: what begins so soon behind the first words may still show one. */
export const REVISE_MS = 4_000;
/** Silence behind a voicemail's greeting that stands for its beep. */
export const BEEP_WAIT_MS = 3_000;

export interface Answering {
  /** `listening`: nobody has spoken. `screened`: an assistant has been told why we call. */
  readonly phase: "listening" | "talking" | "awaitingBeep" | "screened" | "over";
  /** While talking: words that begin later change nothing. */
  readonly until: number;
  readonly hasBeeped: boolean;
}

export const newAnswering: Answering = { phase: "listening", until: 0, hasBeeped: false };

export type AnsweringStep = "talk" | "hangUp" | "awaitBeep" | "sayPurpose" | "navigate";

export function stepFor(by: Answerer, settings: AnsweringSettings): AnsweringStep {
  switch (by) {
    case "human":
    case "unknown":
      return "talk";
    case "voicemail":
      if (settings.onVoicemail === "leave_message") return "awaitBeep";
      return settings.onVoicemail === "hang_up" ? "hangUp" : "talk";
    case "screening":
      return settings.purpose === null ? "talk" : "sayPurpose";
    case "ivr":
      if (settings.onIvr === "navigate") return "navigate";
      return settings.onIvr === "hang_up" ? "hangUp" : "talk";
  }
}

/** True while what the other side says may turn out to be a machine's. */
export function mayBeMachine({ phase, until }: Answering, now: number): boolean {
  return phase === "talking" ? now <= until : phase !== "over";
}
