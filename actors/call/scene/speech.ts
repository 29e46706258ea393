/** What the agent says: begun, added to, finished, cut off, and counted as heard. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { addSaid, saidOf, trimToHeard, wordsOf } from "@/actors/call/conversation.ts";
import { gapOf } from "@/actors/call/gap.ts";
import {
  cutUtterance,
  type MarkArrival,
  newUtterance,
  parseMark,
  START_MARK_BYTE,
  takeMark,
  type Utterance,
} from "@/actors/call/ledger.ts";
import type { Scene } from "./scene.ts";

/** Adds to what is being said, or begins to speak. Last words: nothing is said behind them. */
export function say(scene: Scene, text: string, isLast: boolean, isFiller = false): void {
  const { ending, counts, utterances, unsaid } = scene.dialogue;
  if (ending !== null && !isLast) return; // nothing comes behind last words
  if (unsaid !== null) { // it keeps its place, behind what is still playing
    scene.set({ unsaid: `${unsaid} ${text}`.trim() });
    return scene.turn({ type: "speechGiven", last: isLast });
  }
  if (scene.dialogue.open === null) {
    const generation = counts.generations + 1;
    scene.set({
      counts: { ...counts, generations: generation, turns: counts.turns + 1 },
      utterances: [...utterances, newUtterance(generation, counts.turns + 1)],
      open: { generation, text: "" },
      cutOff: null,
    });
    scene.effects.push({ type: "begin", generation, isHeld: false });
  }
  const open = scene.dialogue.open;
  if (open === null) return;
  const { generation } = open;
  scene.note("firstToken", scene.now); // where the graph speaks, the model's word was a function
  scene.note("firstClause", scene.now);
  scene.set({
    entries: addSaid(scene.dialogue.entries, generation, text, isFiller),
    open: { generation, text: open.text === "" ? text : `${open.text} ${text}` },
  });
  scene.effects.push({ type: "text", generation, text });
  scene.turn({ type: "speechGiven", last: isLast });
}

/** Nothing more will be added to what is being said. */
export function finish(scene: Scene): void {
  const { open } = scene.dialogue;
  if (open === null) return;
  scene.set({ open: null });
  scene.effects.push({ type: "finish", generation: open.generation });
}

/** Nothing more is coming; where nothing is being said either, the caller has the floor. */
export function endReply(scene: Scene): void {
  if (scene.dialogue.open === null) scene.turn({ type: "replyEmpty" });
  finish(scene);
}

/** Silences what is being said, if anything; what was heard of it is worked out from its marks. */
export function cutCurrent(scene: Scene): void {
  const { utterances, turn } = scene.dialogue;
  scene.set({ open: null, unsaid: null });
  const current = utterances.at(-1);
  if (current === undefined || current.cutAt !== null) return;
  silence(scene, current);
  if (turn.floor === "agent" || turn.floor === "closing") {
    scene.turn({ type: "speechEnded", answer: "" });
  }
}

/** Silences what is being said; the words that were not heard leave the conversation. */
export function silence(scene: Scene, current: Utterance): void {
  scene.set({ open: null, unsaid: null });
  updateUtterance(scene, current.generation, (it) => cutUtterance(it, scene.now));
  scene.set({
    entries: trimToHeard(scene.dialogue.entries, current.generation, current.heardCount),
  });
  scene.effects.push({ type: "silence", generation: current.generation });
}

/** The carrier has played so far. */
export function marked(scene: Scene, name: string, arrival: MarkArrival): void {
  const mark = parseMark(name);
  if (mark === null) return;
  const { generation, place } = mark;
  const utterance = scene.dialogue.utterances.find((it) => it.generation === generation);
  if (utterance === undefined) return;
  if (utterance.cutAt === null) scene.turn({ type: "speechProgressed" });
  if (place.type === "start" && utterance.cutAt === null) {
    const playing = arrival.at - START_MARK_BYTE / BYTES_PER_MS;
    scene.reach(generation, "playing", playing);
    scene.reach(generation, "audible", playing + utterance.leadMs);
    const gap = gapOf(scene.dialogue.milestones);
    scene.set({ milestones: {} });
    const audibleAt = playing + utterance.leadMs;
    updateUtterance(
      scene,
      generation,
      (it) => ({ ...it, gap: it.gap ?? gap, audibleAt: it.audibleAt ?? audibleAt }),
    );
  }
  updateUtterance(scene, generation, (it) => takeMark(it, place, arrival));
}

/** Once all is known of an utterance, it leaves the dialogue, and the call goes on behind it. */
export function updateUtterance(
  scene: Scene,
  generation: number,
  change: (it: Utterance) => Utterance,
): void {
  const { utterances } = scene.dialogue;
  const before = utterances.find((it) => it.generation === generation);
  if (before === undefined) return;
  const after = change(before);
  if (!after.isSettled) {
    return scene.set({ utterances: utterances.map((it) => it === before ? after : it) });
  }
  scene.set({ utterances: utterances.filter((it) => it !== before) });
  scene.settled(after);
}

/** All that was given to be said of an utterance, less what was heard. */
export function unheardOf(scene: Scene, utterance: Utterance): string {
  const words = wordsOf(saidOf(scene.dialogue.entries, utterance.generation));
  return words.slice(utterance.heardCount).join(" ");
}

/** What is still to be heard of the utterance that is being said. */
export function remainderOf(scene: Scene, utterance: Utterance): string {
  const { unsaid } = scene.dialogue;
  if (unsaid === null) return unheardOf(scene, utterance);
  const placed = utterance.words.slice(utterance.heardCount).map((word) => word.text);
  return [...placed, unsaid].join(" ").trim();
}
