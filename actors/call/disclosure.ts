/** What a caller is told of a recording before anything else, and what they answer. */

import type { Consent } from "@/lib/recording/consent.ts";
import type { CallEvent } from "./events.ts";

/**
 * `due`: nothing was said of it. `saying`: the sentence is being said; its last mark ends this. `asking`: the
 * caller has the word. `missed`: the sentence was cut off, and is said anew. `over`: it is known
 * whether the call is recorded.
 */
export interface Disclosure {
  readonly phase: "due" | "saying" | "asking" | "missed" | "over";
  /** How often the caller was asked. */
  readonly questions: number;
}

export const newDisclosure: Disclosure = { phase: "due", questions: 0 };

/** Asked twice, and no yes: then no. */
export const QUESTIONS_MAX = 2;

/** Whether something is to be said before the greeting; null: the call is not recorded. */
export function isToBeSaid({ phase }: Disclosure, consent: Consent | null): boolean {
  return consent !== null && consent !== "none" && (phase === "due" || phase === "missed");
}

/** What is on record of a call's recording. */
export type RecordingEvent =
  /** The caller has heard to its end what is said of it. */
  | { readonly type: "recording_disclosed"; readonly consent: Consent }
  /** What the caller said when they were asked. */
  | {
    readonly type: "recording_answered";
    readonly isGiven: boolean;
    readonly answer: "yes" | "no" | "unclear" | "silence";
  }
  /** The first byte: nothing before it is stored. */
  | { readonly type: "recording_started"; readonly consent: Consent }
  /** Another machine goes on with it; between the two it is silent. */
  | { readonly type: "recording_continued" }
  /** From here on there is silence in it. */
  | { readonly type: "recording_paused"; readonly cause: Pause }
  | { readonly type: "recording_resumed" }
  | { readonly type: "recording_stopped" }
  /** The call goes on without. */
  | { readonly type: "recording_failed"; readonly reason: string };

/** At a node that is sensitive; while the agent repeats what was said there; because somebody asked. */
export type Pause = "sensitive" | "repeated" | "asked";

/** What the events of a call say of its recording. */
export interface RecordingRecord {
  /** All that has to stand before it does, and it has not begun. */
  readonly isDue: boolean;
  readonly isOn: boolean;
  /** Somebody has asked for silence in it. */
  readonly isAskedToPause: boolean;
}

export const noRecording: RecordingRecord = {
  isDue: false,
  isOn: false,
  isAskedToPause: false,
};

export function takeRecordingEvent(before: RecordingRecord, event: CallEvent): RecordingRecord {
  switch (event.type) {
    case "recording_disclosed":
      return { ...before, isDue: event.consent !== "ask" };
    case "recording_answered":
      return { ...before, isDue: event.isGiven };
    case "recording_started":
      return { isDue: false, isOn: true, isAskedToPause: false };
    case "controlled": {
      const { action } = event;
      if (action !== "pauseRecording" && action !== "resumeRecording") return before;
      return { ...before, isAskedToPause: action === "pauseRecording" };
    }
    case "recording_stopped":
    case "recording_failed":
      return noRecording;
    default:
      return before;
  }
}
