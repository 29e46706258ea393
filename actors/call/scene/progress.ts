/** What is under way goes on record, so that a call whose machine is lost goes on within a sentence. */

import { saidOf } from "@/actors/call/conversation.ts";
import type { Dialogue } from "@/actors/call/dialogue.ts";
import type { Utterance } from "@/actors/call/ledger.ts";
import type { Scene } from "./scene.ts";

/** How far the caller has heard an utterance is told so often: as much may be said to them twice. */
const PROGRESS_MS = 1_000;

/** Tells what an event has changed since `before`: words that were given, heard, and recognised. */
export function noteProgress(scene: Scene, before: Dialogue): void {
  noteCaller(scene, before);
  if (scene.dialogue.utterances === before.utterances && scene.dialogue.reply === before.reply) {
    return;
  }
  for (const utterance of scene.dialogue.utterances) {
    const isTones = scene.dialogue.sending?.generation === utterance.generation;
    if (utterance.cutAt === null && !isTones) noteSpeech(scene, before, utterance);
  }
}

/** The caller is in the middle of words. */
export function isSpeaking({ turn, isInterim }: Dialogue): boolean {
  return turn.floor === "caller" && (isInterim || turn.text === "");
}

function noteCaller(scene: Scene, before: Dialogue): void {
  const { turn } = scene.dialogue;
  if (turn !== before.turn && "text" in turn && turn.text !== "") {
    const had = "text" in before.turn ? before.turn.text : "";
    const isMore = turn.text.startsWith(had);
    const text = isMore ? turn.text.slice(had.length).trim() : turn.text;
    if (text !== "") scene.record({ type: "caller_heard", text });
  }
  if (isSpeaking(scene.dialogue) && !isSpeaking(before)) scene.record({ type: "caller_began" });
}

function noteSpeech(scene: Scene, before: Dialogue, utterance: Utterance): void {
  const { generation, turn, heardCount, onRecord } = utterance;
  const text = givenSince(scene, before, utterance);
  const { reply } = scene.dialogue;
  const wasOpen = before.open?.generation === generation;
  if (text !== "" || (wasOpen && before.reply !== null && reply === null)) {
    noteGiven(scene, utterance, text);
    return update(scene, utterance, onRecord ?? { words: 0, at: scene.now });
  }
  if (onRecord === null || heardCount === onRecord.words) return;
  if (scene.now - onRecord.at < PROGRESS_MS) return;
  scene.record({ type: "speech_heard", turn, words: heardCount });
  update(scene, utterance, { words: heardCount, at: scene.now });
}

/** What an utterance was given to say since then, what has no sound yet included. */
function givenSince(scene: Scene, before: Dialogue, { generation }: Utterance): string {
  const { entries, unsaid } = scene.dialogue;
  if (unsaid !== null && before.unsaid !== null && unsaid.startsWith(before.unsaid)) {
    return unsaid.slice(before.unsaid.length).trim();
  }
  if (entries === before.entries) return "";
  const isNew = before.utterances.every((it) => it.generation !== generation);
  const had = isNew ? "" : saidOf(before.entries, generation);
  return saidOf(entries, generation).slice(had.length).trim();
}

function noteGiven(scene: Scene, { generation, turn }: Utterance, text: string): void {
  const { entries, open, unsaid, reply, ending, turn: floor } = scene.dialogue;
  const last = entries.findLast((it) => it.role === "agent" && it.generation === generation);
  const isFiller = last?.role === "agent" && last.isFiller === true;
  const prompts = "prompts" in floor ? floor.prompts : 0;
  scene.record({
    type: "speech_given",
    turn,
    text,
    isOpen: unsaid === null ? open?.generation === generation : reply !== null,
    ...(isFiller ? { isFiller } : {}),
    ...(ending === null ? {} : { ending }),
    ...(prompts === 0 ? {} : { prompts }),
  });
}

function update(scene: Scene, utterance: Utterance, onRecord: Utterance["onRecord"]): void {
  const { utterances } = scene.dialogue;
  scene.set({ utterances: utterances.map((it) => it === utterance ? { ...it, onRecord } : it) });
}
