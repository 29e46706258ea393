/** What is heard of the caller: words of a turn that goes on, and turns that are over. */

import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { learnPause, waitFor } from "@/actors/call/pauses.ts";
import { isSame } from "@/actors/call/turns.ts";
import type { Scene } from "./scene.ts";

/** Words of the caller so soon behind the agent's first ones go on with the turn before. */
const EARLY_INTERRUPTION_MS = 1_500;

/** What the recogniser told. `endedAt`: when the last word of it ended; null: unknown. */
export function heard(scene: Scene, recognition: Recognition, endedAt: number | null): void {
  const { text } = { text: "", ...recognition };
  switch (recognition.type) {
    case "speechStarted":
      return; // a sound; words decide, or our own ear
    case "interim":
      noteBegun(scene, text);
      if (text.trim() !== "") scene.set({ isInterim: true });
      return scene.turn({
        type: "interim",
        text,
        sense: scene.scenario.senseOf(text),
        forMs: speakingMsOf(scene),
      });
    case "final":
      scene.set({ isInterim: false });
      if (isToldAgain(scene, text)) return;
      noteBegun(scene, text);
      if (text.trim() !== "") scene.set({ callerEndedAt: endedAt });
      return scene.turn({ type: "final", text, sense: scene.scenario.senseOf(text) });
    case "utteranceEnded":
      return scene.turn({
        type: "utteranceEnded",
        waitMs: waitFor(scene.dialogue.pauses, scene.scenario.graph.turns),
      });
    case "eagerEnded":
      scene.set({ callerEndedAt: endedAt });
      return scene.turn({ type: "eagerEnded", text });
    case "resumed":
      return scene.turn({ type: "resumed" });
    case "lost":
      return; // the listener makes of it what the caller is to know
  }
}

/** A turn of the caller's is on record, and part of the conversation. */
export function noteCaller(scene: Scene, text: string): void {
  const { counts, entries, callerBeganAt, callerEndedAt } = scene.dialogue;
  const turns = counts.turns + 1;
  const span = scene.spanOf(callerBeganAt, callerEndedAt);
  scene.record({ type: "caller_said", turn: turns, text, span });
  scene.set({
    counts: { ...counts, turns },
    unheard: 0,
    entries: [...entries, { role: "caller", text }],
    milestones: {
      ...(callerEndedAt === null ? {} : { callerEnded: callerEndedAt }),
      endpointed: scene.now,
    },
    callerBeganAt: null,
    isInterim: false,
    isMidway: false,
    callerEndedAt: null,
    sign: null,
    lastTurn: callerEndedAt === null ? null : { endedAt: callerEndedAt },
  });
}

/** Where the caller's turn is ended from outside, their words are kept. */
export function endCallerTurn(scene: Scene): void {
  const { turn } = scene.dialogue;
  scene.set({ turn: { floor: "quiet", prompts: 0 } });
  if ("text" in turn && turn.text !== "") noteCaller(scene, turn.text);
}

/** A sign of listening: it is on record, and no turn. */
export function signalled(scene: Scene, text: string): void {
  const { callerEndedAt } = scene.dialogue;
  scene.record({ type: "caller_signalled", text });
  scene.set({
    sign: { text, at: scene.now, endedAt: callerEndedAt },
    isMidway: false,
    callerBeganAt: null,
    callerEndedAt: null,
  });
}

/** The final words of a turn that was taken as over without them. */
function isToldAgain(scene: Scene, text: string): boolean {
  const { guessed } = scene.dialogue;
  if (guessed.length === 0 || text.trim() === "") return false;
  const at = guessed.findIndex((guess) => isSame(text, guess));
  scene.set({ guessed: at === -1 ? [] : guessed.slice(at + 1) }); // finals come in order
  return at !== -1;
}

function noteBegun(scene: Scene, text: string): void {
  if (text.trim() === "") return;
  notePause(scene, text);
  if (scene.dialogue.callerBeganAt === null) scene.set({ callerBeganAt: scene.now });
}

function speakingMsOf(scene: Scene): number {
  const { callerBeganAt } = scene.dialogue;
  return callerBeganAt === null ? 0 : scene.now - callerBeganAt;
}

/** Words behind a pause, or right behind the agent's first ones: the silence before them was within a turn. */
function notePause(scene: Scene, text: string): void {
  const { turn, callerEndedAt, pauses, utterances, lastTurn } = scene.dialogue;
  if (turn.floor === "pause" && callerEndedAt !== null) {
    if (isSame(`${turn.text} ${text}`, turn.guess ?? "")) return; // told again
    return scene.set({ pauses: learnPause(pauses, scene.now - callerEndedAt) });
  }
  if (turn.floor !== "agent" || lastTurn === null) return;
  const audibleAt = utterances.at(-1)?.audibleAt ?? scene.now;
  if (scene.now - audibleAt > EARLY_INTERRUPTION_MS) return;
  scene.set({ pauses: learnPause(pauses, scene.now - lastTurn.endedAt), lastTurn: null });
}
