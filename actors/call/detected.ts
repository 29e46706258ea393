/** What the carrier's own detection of machines makes of who has answered. Pure. */

import type { Answering, Verdict } from "./answering.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import type { AnsweringSettings } from "@/lib/workflow/graph.ts";

/** Where only the carrier judges, the agent waits so long for its word, in silence. */
export const CARRIER_WORD_MS = 5_000;
/** Who has taken so many turns since the agent spoke is a person, whatever the carrier says then. */
const TURNS_MAX = 2;

export interface Detected {
  readonly type: "detected";
  readonly by: CarrierAnswerer;
  /** Nobody speaks. */
  readonly isQuiet: boolean;
  readonly at: number;
}

/** The carrier's word counts once: told again, or when all is known, it changes nothing. */
export function takeDetected(
  answering: Answering,
  { by, isQuiet, at }: Detected,
  settings: AnsweringSettings,
): Verdict {
  const { phase, detected, turns } = answering;
  const isOld = settings.detector === "own" || detected !== null || phase === "over" ||
    turns >= TURNS_MAX;
  if (isOld) return { answering, by: null, step: null };
  const known: Answering = { ...answering, detected: by };
  switch (by) {
    case "human":
    case "unknown":
      // Of who is still speaking the turn's end tells: it is answered then.
      if (phase !== "listening" || !isQuiet) return { answering: known, by: null, step: null };
      if (by === "unknown" && settings.detector === "both") {
        return { answering: known, by: null, step: null };
      }
      return { answering: talking(known, at), by, step: "greet" };
    case "fax":
      return { answering: { ...known, phase: "over" }, by, step: "hangUp" };
    case "machine_start":
      return machine(known, { isQuiet, at, isOver: false }, settings);
    case "machine_end_beep":
    case "machine_end_silence":
    case "machine_end_other":
      return machine(known, { isQuiet, at, isOver: true }, settings);
  }
}

/** `isOver`: its greeting is. */
function machine(
  known: Answering,
  { isQuiet, at, isOver }: {
    readonly isQuiet: boolean;
    readonly at: number;
    readonly isOver: boolean;
  },
  settings: AnsweringSettings,
): Verdict {
  const { phase } = known;
  if (phase === "screened") return { answering: known, by: null, step: null }; // the machine we know of
  if (phase === "awaitingBeep") {
    if (!isOver) return { answering: known, by: null, step: null };
    return { answering: { ...known, phase: "over" }, by: null, step: "leaveMessage" };
  }
  const ownWordsComing = settings.detector === "both" && phase === "listening" && !isQuiet;
  if (ownWordsComing && !isOver) return { answering: known, by: null, step: null }; // which machine, they tell
  switch (settings.onVoicemail) {
    case "hang_up":
      return { answering: { ...known, phase: "over" }, by: "voicemail", step: "hangUp" };
    case "leave_message": {
      const phase = isOver ? "over" : "awaitingBeep";
      const step = isOver ? "leaveMessage" : "awaitBeep";
      return { answering: { ...known, phase }, by: "voicemail", step };
    }
    case "talk": {
      const isWaiting = phase === "listening" && isQuiet;
      const step = isWaiting ? "greet" : null;
      return { answering: talking(known, at), by: "voicemail", step };
    }
  }
}

/** The carrier has judged: words that are said later change nothing. */
function talking(answering: Answering, at: number): Answering {
  return { ...answering, phase: "talking", until: at };
}

/** True once the carrier has called whoever answered a machine. */
export function isMachine(by: CarrierAnswerer | null): boolean {
  return by !== null && by.startsWith("machine_");
}
