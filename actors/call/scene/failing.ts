/** Speech that fails: said again from the first word that was not heard, or the carrier's own voice ends the call. */

import type { AppError } from "@/lib/errors.ts";
import { saidOf, wordsOf } from "@/actors/call/conversation.ts";
import type { Utterance } from "@/actors/call/ledger.ts";
import { giveUp, hangUp } from "./closing.ts";
import { withdraw } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { cutCurrent, finish, remainderOf, say, silence, unheardOf } from "./speech.ts";
import { spoken } from "./spoken.ts";
import { fill } from "./waiting.ts";

/** Syntheses of one call that may fail before the carrier's own voice takes over. */
const SPEECH_FAILURES_MAX = 1;

/** What was being said, or its rest, did not come in time. */
export function cutShort(scene: Scene): void {
  const { reply, utterances } = scene.dialogue;
  const current = utterances.at(-1);
  if (reply !== null && current !== undefined && unheardOf(scene, current) === "") {
    const { fillerMs, fillersMax } = scene.rules;
    const isAwaited = scene.dialogue.turn.floor === "quiet";
    if (isAwaited && fillerMs !== null && reply.fillers < fillersMax) {
      fill(scene);
      if (scene.dialogue.turn.floor !== "quiet") return;
    }
    return giveUp(scene, "model", "unknown_outcome", "No more of the reply came in time");
  }
  if (current !== undefined && isVoiceLate(scene, current)) return voiceStalled(scene, current);
  withdraw(scene);
  scene.record({
    type: "failed",
    part: "speaker",
    code: "unknown_outcome",
    message: "Carrier returned no mark in time",
  });
  cutCurrent(scene);
}

/** The carrier has played all that it was sent, as far as marks tell, and there is more to say. */
function isVoiceLate(scene: Scene, current: Utterance): boolean {
  const { words, heardCount, audibleAt } = current;
  if (audibleAt === null) return scene.dialogue.milestones.firstSent === undefined;
  return heardCount === words.length && unheardOf(scene, current) !== "";
}

/** Said once more from the first word that was not heard; then the carrier's own voice takes over. */
function voiceStalled(scene: Scene, current: Utterance): void {
  const message = "Voice gave no sound in time";
  scene.record({ type: "failed", part: "speaker", code: "provider_failed", message });
  const unsaid = remainderOf(scene, current);
  silence(scene, current);
  if (isSpeechLost(scene)) return;
  if (scene.dialogue.turn.floor !== "quiet") return withdraw(scene); // they have said something
  if (unsaid === "") return; // it was keys
  say(scene, unsaid, false);
  if (scene.dialogue.reply === null) finish(scene);
}

/** The voice gave up on an utterance: its rest is said anew. */
export function synthesisFailed(scene: Scene, generation: number, error: AppError): void {
  const { utterances, entries, open } = scene.dialogue;
  const utterance = utterances.find((it) => it.generation === generation);
  if (utterance === undefined || utterance.cutAt !== null) return;
  const { code, message, retryable } = error;
  scene.record({ type: "failed", part: "speaker", code, message });
  if (isSpeechLost(scene, retryable)) return;
  if (scene.dialogue.sending?.generation === generation) return cutCurrent(scene); // it has no words
  // The words it has placed will still be heard; the rest is said again behind them.
  const text = open?.generation === generation ? open.text : saidOf(entries, generation);
  scene.set({ open: null, unsaid: wordsOf(text).slice(utterance.words.length).join(" ") });
}

/** Goes on from the first word that was not heard. */
export function speakerLost(scene: Scene): void {
  scene.record({ type: "failed", part: "speaker", code: "crashed", message: "Restarted" });
  const current = scene.dialogue.utterances.at(-1);
  if (current === undefined || current.cutAt !== null) return;
  const unsaid = remainderOf(scene, current);
  silence(scene, current);
  if (unsaid === "") return spoken(scene);
  say(scene, unsaid, scene.dialogue.ending !== null);
  if (scene.dialogue.reply === null) finish(scene);
}

/** Counts a failure of the voice; one too many ends the call, with an apology that is not ours to say. */
function isSpeechLost(scene: Scene, mayTryAgain = true): boolean {
  const { counts, ending } = scene.dialogue;
  const speechFailures = counts.speechFailures + 1;
  scene.set({ counts: { ...counts, speechFailures } });
  if (mayTryAgain && speechFailures <= SPEECH_FAILURES_MAX) return false;
  withdraw(scene);
  scene.set({ ending: ending ?? { outcome: "failed", reason: "provider_failed" } });
  hangUp(scene, scene.rendered(scene.scenario.graph.failureSentence));
  return true;
}
