/** Who has answered a call of ours, and what is done about it. Pure. */

import { type Answerer, answererOf } from "@/lib/speech/answerer.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import type { AnsweringSettings } from "@/lib/workflow/graph.ts";
import { CARRIER_WORD_MS, type Detected, isMachine, takeDetected } from "./detected.ts";

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
  /** What the carrier says; null: nothing yet, or it is not asked. */
  readonly detected: CarrierAnswerer | null;
  /** Turns of theirs that the agent has talked with. */
  readonly turns: number;
}

export const newAnswering: Answering = {
  phase: "listening",
  until: 0,
  hasBeeped: false,
  detected: null,
  turns: 0,
};

export type AnsweringEvent =
  /** The other side has said `text`, which began at `beganAt`. */
  | {
    readonly type: "spoke";
    readonly text: string;
    readonly beganAt: number;
    readonly at: number;
  }
  | { readonly type: "beeped"; readonly isQuiet: boolean; readonly at: number }
  /** No beep has come in BEEP_WAIT_MS. */
  | { readonly type: "beepDue"; readonly isQuiet: boolean }
  /** Nobody has said a word in FIRST_WORDS_MS. */
  | { readonly type: "greeted"; readonly at: number }
  | Detected;

/** What is done about who has answered. `waitOn`: for the beep, as before. `listen`: for the carrier's word. `greet`: it has come. */
export type MachineStep =
  | "greet"
  | "listen"
  | "hangUp"
  | "awaitBeep"
  | "waitOn"
  | "leaveMessage"
  | "sayPurpose"
  | "navigate";

/** What has become of it. */
export interface Verdict {
  readonly answering: Answering;
  /** Who has answered, where that is news; null: it is not. */
  readonly by: Answerer | null;
  /** Null: the call goes on. */
  readonly step: MachineStep | null;
}

interface AnsweringRules {
  readonly settings: AnsweringSettings;
  readonly language: string;
}

/** Who has answered, as far as is known after `event`, and what is to be done. */
export function takeAnswering(
  answering: Answering,
  event: AnsweringEvent,
  rules: AnsweringRules,
): Verdict {
  const { phase, until } = answering;
  const nothing: Verdict = { answering, by: null, step: null };
  switch (event.type) {
    case "spoke":
      if (phase === "over") return nothing;
      if (phase === "awaitingBeep") return awaitBeep(answering, null); // its greeting goes on
      if (phase === "talking" && event.beganAt > until) {
        return { ...nothing, answering: { ...answering, turns: answering.turns + 1 } };
      }
      if (rules.settings.detector === "carrier") return byCarrier(answering, event.at);
      return judge(answering, event.text, event.at, rules);
    case "detected":
      return takeDetected(answering, event, rules.settings);
    case "beeped": {
      if (phase === "listening" && event.isQuiet) return nothing; // a sound of the line, before any word
      const beeped: Answering = { ...answering, hasBeeped: true };
      if (phase === "awaitingBeep") return awaitBeep(beeped, null);
      if (rules.settings.detector === "carrier") return { ...nothing, answering: beeped };
      if (phase === "talking" && event.at <= until) return judge(beeped, "", event.at, rules);
      return { ...nothing, answering: beeped };
    }
    case "beepDue":
      if (phase !== "awaitingBeep") return nothing;
      if (!event.isQuiet) return { ...nothing, step: "waitOn" };
      return { ...nothing, answering: { ...answering, phase: "over" }, step: "leaveMessage" };
    case "greeted":
      if (phase !== "listening") return nothing;
      return { answering: talking(answering, event.at), by: "unknown", step: null };
  }
}

/** Words that only the carrier judges: it has, or they wait for it. */
function byCarrier(answering: Answering, at: number): Verdict {
  const { phase, detected } = answering;
  if (phase !== "listening") return { answering, by: null, step: null };
  if (detected === null) return { answering, by: null, step: "listen" };
  const by = detected === "human" ? "human" : "unknown";
  return { answering: talking(answering, at), by, step: null };
}

/** Goes by what was said, by the beep if there was one, and by what the carrier says. */
function judge(
  answering: Answering,
  text: string,
  at: number,
  { settings, language }: AnsweringRules,
): Verdict {
  const { hasBeeped, detected } = answering;
  const said = answererOf(text, { language, hasBeeped });
  const isPerson = said === "human" || said === "unknown";
  const by = isPerson && isMachine(detected) ? "voicemail" : said;
  if (answering.phase === "talking" && (by === "human" || by === "unknown")) {
    return { answering, by: null, step: null };
  }
  const step = stepFor(by, settings);
  switch (step) {
    case null:
      return { answering: talking(answering, at), by, step };
    case "awaitBeep":
      return awaitBeep(answering, by);
    case "sayPurpose": // who is behind it is greeted once they speak
      return { answering: { ...answering, phase: "screened" }, by, step };
    case "hangUp":
    case "navigate":
      return { answering: { ...answering, phase: "over" }, by, step };
  }
}

function talking(answering: Answering, at: number): Answering {
  return { ...answering, phase: "talking", until: at + REVISE_MS };
}

function awaitBeep(answering: Answering, by: Answerer | null): Verdict {
  if (answering.hasBeeped) {
    return { answering: { ...answering, phase: "over" }, by, step: "leaveMessage" };
  }
  return { answering: { ...answering, phase: "awaitingBeep" }, by, step: "awaitBeep" };
}

function stepFor(
  by: Answerer,
  settings: AnsweringSettings,
): Exclude<MachineStep, "greet" | "listen" | "waitOn" | "leaveMessage"> | null {
  switch (by) {
    case "human":
    case "unknown":
      return null;
    case "voicemail":
      if (settings.onVoicemail === "leave_message") return "awaitBeep";
      return settings.onVoicemail === "hang_up" ? "hangUp" : null;
    case "screening":
      return settings.purpose === null ? null : "sayPurpose";
    case "ivr":
      if (settings.onIvr === "navigate") return "navigate";
      return settings.onIvr === "hang_up" ? "hangUp" : null;
    case "fax":
      return "hangUp";
  }
}

/** True while what the other side says may turn out to be a machine's. */
export function mayBeMachine({ phase, until }: Answering, now: number): boolean {
  return phase === "talking" ? now <= until : phase !== "over";
}

/** The agent waits so long for who answers to speak, or for the carrier's word, before it greets. */
export function greetingDelayMs({ detector }: AnsweringSettings): number {
  return detector === "carrier" ? CARRIER_WORD_MS : FIRST_WORDS_MS;
}
