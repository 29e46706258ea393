/** A reply made in advance to a turn that is probably over, in a fork of the dialogue. */

import { advance } from "@/lib/workflow/engine.ts";
import { divide, promptTokens, takeOver, tokensOf, waitsForTurn } from "@/actors/call/ahead.ts";
import { mayBeMachine } from "@/actors/call/answering.ts";
import type { Ahead, DialogueEvent } from "@/actors/call/dialogue.ts";
import { noteCaller } from "./caller.ts";
import { owesGreeting } from "./opening.ts";
import { forget } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { takeStep } from "./steps.ts";

/** Answers a turn that is probably over, in a fork of the dialogue. */
export function speculate(scene: Scene, text: string): void {
  const { graph } = scene.scenario;
  const { wasted, ahead } = scene.dialogue;
  const { isEager, eagerTokensMax } = graph.turns;
  const isAsking = scene.dialogue.disclosure.phase === "asking";
  const isMachine = scene.scenario.answering !== null &&
    mayBeMachine(scene.dialogue.answering, scene.now);
  const isPressed = scene.scenario.isPressed ?? false;
  const mayGuess = isEager && !isPressed && !isMachine && !owesGreeting(scene) && !isAsking &&
    !scene.dialogue.isMuted;
  if (!mayGuess || wasted.tokens >= eagerTokensMax) return;
  if (ahead !== null) forget(scene);
  const fork = scene.fork({ ...scene.dialogue, turn: { floor: "thinking", fillers: 0 } });
  noteCaller(fork, text);
  const entriesBefore = fork.dialogue.entries.length;
  takeStep(fork, advance(graph, fork.dialogue.workflow, { type: "callerSpoke" }));
  const begun = { fork: fork.dialogue, entriesBefore, events: [], effects: [], later: [] };
  scene.set({ ahead: { guess: text, ...begun, tokens: 0 } });
  keepAhead(scene, fork, 0);
}

/** What happens to the reply made in advance happens in its fork. */
export function takeAhead(scene: Scene, ahead: Ahead, event: DialogueEvent): void {
  if (waitsForTurn(ahead, event)) {
    return scene.set({ ahead: { ...ahead, later: [...ahead.later, event] } });
  }
  const fork = scene.fork(ahead.fork);
  fork.take(event);
  const isText = event.type === "modelSaid" && event.item.type === "item" &&
    event.item.value.type === "text";
  keepAhead(scene, fork, isText ? tokensOf(event.item.value.text) : 0);
}

/** Does what the fork may do already, and keeps the rest. A fork in which anything fails is no good. */
function keepAhead(scene: Scene, fork: Scene, tokens: number): void {
  const { ahead } = scene.dialogue;
  if (ahead === null) return;
  const hasText = ahead.fork.open !== null;
  const { now, held, events } = divide(fork.effects, hasText);
  if (fork.dialogue.ending !== null || events.some(({ type }) => type === "failed")) {
    const { generations, requests } = fork.dialogue.counts;
    forget(scene);
    return scene.set({ counts: { ...scene.dialogue.counts, generations, requests } });
  }
  scene.effects.push(...now);
  const asked = now.map((it) => it.type === "request" ? promptTokens(it.prompt) : 0);
  scene.set({
    ahead: {
      ...ahead,
      fork: fork.dialogue,
      events: [...ahead.events, ...events],
      effects: [...ahead.effects, ...held],
      tokens: asked.reduce((sum, count) => sum + count, ahead.tokens + tokens),
    },
  });
}

/** The turn is over as it was guessed: what was made in advance is the reply. */
export function adopt(scene: Scene, ahead: Ahead, text: string): void {
  noteCaller(scene, text);
  const { generations } = scene.dialogue.counts;
  scene.set(takeOver(scene.dialogue, ahead));
  for (const event of ahead.events) if (event.type !== "caller_said") scene.record(event);
  const generation = scene.dialogue.counts.generations;
  if (generation > generations) scene.effects.push({ type: "release", generation });
  scene.effects.push(...ahead.effects);
  for (const event of ahead.later) scene.take(event);
}
