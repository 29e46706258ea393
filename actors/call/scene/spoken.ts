/** What follows speech: how it was heard is on record, and the call goes on behind it. */

import { trimToHeard } from "@/actors/call/conversation.ts";
import { heardOf, type Utterance } from "@/actors/call/ledger.ts";
import { cutSettled } from "./barge_in.ts";
import { sayGiven } from "./given.ts";
import { isPreambleOver, openCall, toldOfRecording } from "./opening.ts";
import type { Scene } from "./scene.ts";
import { finish, say, unheardOf } from "./speech.ts";
import { noteKeysSent } from "./tones.ts";

/** A sign of listening that comes so shortly before the agent has spoken is an answer to it. */
const SIGN_ANSWERS_MS = 1_000;

/** What was heard of an utterance is known. */
export function settled(scene: Scene, utterance: Utterance): void {
  const { generation, heardCount, cutAt, turn, gap, audibleAt } = utterance;
  const { sending } = scene.dialogue;
  if (sending?.generation === generation) {
    noteKeysSent(scene, sending.keys, cutAt === null);
    return cutAt === null ? spoken(scene) : undefined;
  }
  const endedAt = audibleAt === null ? null : cutAt ?? scene.now;
  scene.record({
    type: "agent_said",
    turn,
    text: heardOf(utterance),
    unheard: unheardOf(scene, utterance),
    bargedIn: cutAt !== null,
    gapMs: gap?.gapMs ?? null,
    parts: gap?.parts ?? null,
    span: scene.spanOf(audibleAt, endedAt),
  });
  scene.set({ entries: trimToHeard(scene.dialogue.entries, generation, heardCount) });
  const isTold = scene.dialogue.disclosure.phase === "saying";
  if (cutAt !== null && isTold) toldOfRecording(scene, false);
  if (cutAt !== null) return cutSettled(scene, utterance);
  const { unsaid, open } = scene.dialogue;
  if (isTold && (unsaid ?? "") === "") toldOfRecording(scene, true);
  scene.set({ unsaid: null, open: open?.generation === generation ? null : open });
  if (unsaid === null || unsaid === "") return spoken(scene);
  say(scene, unsaid, scene.dialogue.ending !== null);
  if (scene.dialogue.reply === null) finish(scene);
}

/** All that was given to be said is over; a reply may still be coming. */
export function spoken(scene: Scene): void {
  const { sign } = scene.dialogue;
  const isAnswer = sign !== null && scene.now - sign.at <= SIGN_ANSWERS_MS;
  if (isAnswer) scene.set({ callerEndedAt: sign.endedAt, sign: null });
  scene.turn({ type: "speechEnded", answer: isAnswer ? sign.text : "" });
  if (scene.dialogue.reply !== null) return scene.turn({ type: "replyAsked" });
  if (scene.dialogue.turn.floor !== "quiet") return;
  const { given, disclosure, isMuted, ending } = scene.dialogue;
  const isToldOfRecording = disclosure.phase === "over" || disclosure.phase === "missed";
  const isScreened = scene.dialogue.answering.phase === "screened";
  const isToBegin = isToldOfRecording && !isScreened && isPreambleOver(scene) && !isMuted &&
    ending === null;
  if (isToBegin) return openCall(scene);
  if (given.length === 0) return;
  sayGiven(scene);
  finish(scene);
}
