/** A stage for a dialogue: it does what the dialogue asks, as a speaker and a carrier would, at virtual time. */

import assert from "node:assert/strict";
import type { Consent } from "@/lib/recording/consent.ts";
import type { Sense } from "@/lib/speech/sense.ts";
import {
  type Dialogue,
  type DialogueEvent,
  type Effect,
  newDialogue,
  SETTLE_MS,
} from "@/actors/call/dialogue.ts";
import { BEEP_WAIT_MS } from "@/actors/call/answering.ts";
import { takeEvent } from "@/actors/call/scene/course.ts";
import { STALL_MS } from "@/actors/call/clauses.ts";
import { wordsOf } from "@/actors/call/conversation.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { markName, type MarkPlace, START_MARK_BYTE } from "@/actors/call/ledger.ts";
import { scenarioOf } from "@/actors/call/life/facts.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { deadlineOf, isSame, type TurnRules } from "@/actors/call/turns.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { AppError } from "@/lib/errors.ts";
import type { ModelDelta, Prompt, ToolCall } from "@/lib/providers/llm/llm.ts";
import type { AnsweringSettings, Graph } from "@/lib/workflow/graph.ts";

/** Every word plays so long, and is made in a tenth of it. */
export const WORD_MS = 100;
export const SYNTHESIS_MS = 10;
/** A key and the pause behind it. */
const TONE_MS = 200;
/** From the recogniser's guess to its word. */
export const EAGER_MS = 250;

/** An utterance, as the speaker and the carrier know it. */
interface Saying {
  readonly generation: number;
  /** All words given to be said. */
  readonly given: string[];
  /** Words that have audio. */
  placed: number;
  /** Words the caller has heard. */
  heard: number;
  /** When what was sent has been played. */
  playsUntil: number;
  /** Made, and not to be played yet. */
  isHeld: boolean;
  /** It is keys that the agent presses, and no speech. */
  readonly isTones: boolean;
  phase: "open" | "finished" | "broken" | "silenced" | "over";
  pending: { readonly place: MarkPlace; readonly task: Task }[];
}

interface Task {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

export interface Stage {
  readonly dialogue: Dialogue;
  readonly now: number;
  /** All effects so far but records. None comes behind a hang-up. */
  readonly effects: readonly Exclude<Effect, { type: "record" }>[];
  readonly events: readonly CallEvent[];
  readonly prompts: readonly Prompt[];
  /**
   * The words the caller had heard of every utterance when the newest prompt was made; null when it was made
   * in advance, or one was being said.
   */
  readonly heardAtPrompt: readonly string[] | null;
  /** The finals that came in while the call took words of the caller, and those that were taken in advance. */
  readonly finals: readonly string[];
  /** Words the caller has heard of every utterance, as the carrier knows it. */
  heard(): readonly string[];
  tell(event: DialogueEvent): void;
  advance(ms: number): void;
  /** Until nothing is being said. */
  listen(): void;
  /** A whole turn of the caller. */
  say(text: string): void;
  interim(text: string): void;
  final(text: string): void;
  utteranceEnded(): void;
  /** The recogniser thinks that the turn is over; it tells whether it was, within half a second. */
  eager(text: string, goesOn: boolean): void;
  /** The newest request's answer goes on, or that of `request`. */
  delta(delta: ModelDelta, request?: number): void;
  ended(request?: number): void;
  failed(error: AppError, request?: number): void;
  /** The newest request's whole answer. */
  answer(text: string, ...calls: ToolCall[]): void;
  failSynthesis(error: AppError): void;
  crashSpeaker(): void;
  loseLeg(): void;
  regainLeg(options?: { greetsLater: boolean }): void;
  /** The machine is gone, and the leg with it: another one has the events, and nothing else. */
  loseMachine(): void;
  /** The call is over: what is not settled is settled, and nothing else is done any more. */
  end(): void;
}

export interface StageOptions {
  /** The dialogue that goes on, on a leg to come; a new one when absent. */
  readonly from?: Dialogue;
  readonly rules?: Partial<TurnRules>;
  readonly senseOf?: (text: string) => Sense;
  /** What stands before a recording; the call is not recorded when absent. */
  readonly consent?: Consent | null;
  /** Of a call that the agent places; it takes everyone for a person when absent. */
  readonly answering?: AnsweringSettings | null;
}

export function newStage(graph: Graph, options: StageOptions = {}): Stage {
  const { from = newDialogue(graph), senseOf = () => "words" } = options;
  const ours = scenarioOf(graph, options.consent, options.answering);
  const rules = { ...ours.rules, ...options.rules };
  const scenario = { ...ours, rules, senseOf };
  const effects: Exclude<Effect, { type: "record" }>[] = [];
  const events: CallEvent[] = [];
  const prompts: Prompt[] = [];
  const finals: string[] = [];
  const sayings: Saying[] = [];
  const tasks: Task[] = [];
  let dialogue = from;
  let now = 0;
  let order = 0;
  let request = 0;
  let deadline: Task | null = null;
  let stall: Task | null = null;
  let beep: Task | null = null;
  let heardAtPrompt: readonly string[] | null = [];
  let isAway = true;
  let isOver = false;

  function after(ms: number, run: () => void): Task {
    const task: Task = { at: now + ms, order: order++, run };
    tasks.push(task);
    return task;
  }

  function cancel(task: Task | null): void {
    if (task !== null) task.run = null;
  }

  function tell(event: DialogueEvent): void {
    if (isAway || isOver) return;
    apply(event);
  }

  function apply(event: DialogueEvent): void {
    const before = dialogue;
    const [next, followed] = takeEvent(before, event, scenario, now);
    dialogue = next;
    if (next.guessed !== before.guessed && next.guessed.length >= before.guessed.length) {
      finals.push(...next.guessed.slice(-1));
    }
    followed.forEach(perform);
    if (isOver || next.turn === before.turn) return;
    cancel(deadline);
    deadline = after(deadlineOf(next.turn, rules), () => tell({ type: "deadlinePassed" }));
  }

  function perform(effect: Effect): void {
    if (effect.type === "record") {
      events.push(effect.event);
      return;
    }
    if (effect.type === "listen") return;
    assert.equal(isOver, false, `${effect.type} behind the hang-up`);
    effects.push(effect);
    const last = sayings.at(-1);
    switch (effect.type) {
      case "begin":
        assert.ok(
          last === undefined || last.phase === "over" || last.phase === "silenced",
          "two at once",
        );
        sayings.push({
          generation: effect.generation,
          given: [],
          placed: 0,
          heard: 0,
          playsUntil: 0,
          phase: "open",
          pending: [],
          isHeld: effect.isHeld,
          isTones: effect.keys !== undefined,
        });
        if (effect.keys !== undefined) {
          const tones = sayings.at(-1);
          const { length } = effect.keys;
          if (tones !== undefined) after(SYNTHESIS_MS, () => playTones(tones, length));
        }
        return;
      case "release":
        assert.equal(last?.generation, effect.generation);
        assert.equal(last?.isHeld, true);
        release(last);
        return;
      case "discard":
        assert.equal(last?.generation, effect.generation);
        assert.equal(last?.isHeld, true, "what has been played cannot be taken back");
        sayings.pop();
        return;
      case "text":
        assert.equal(last?.generation, effect.generation);
        assert.equal(last?.phase, "open", "text for an utterance that is not open");
        last.given.push(...wordsOf(effect.text));
        after(SYNTHESIS_MS, () => synthesise(last));
        return;
      case "finish":
        assert.equal(last?.generation, effect.generation);
        assert.equal(last?.phase, "open");
        last.phase = "finished";
        if (last.placed === last.given.length) play(last, 0, { type: "end" });
        return;
      case "silence":
        assert.equal(last?.generation, effect.generation);
        assert.notEqual(last?.phase, "over");
        silence(last);
        after(SETTLE_MS, () => tell({ type: "settleDue", generation: effect.generation }));
        return;
      case "request":
        request = effect.request;
        prompts.push(effect.prompt);
        heardAtPrompt = isSaying() || dialogue.ahead !== null ? null : heard();
        return;
      case "withdraw":
        return;
      case "awaitBeep":
        cancel(beep);
        beep = after(BEEP_WAIT_MS, () => tell({ type: "beepDue" }));
        return;
      case "awaitToken":
        cancel(stall);
        stall = after(STALL_MS, () => tell({ type: "stallDue", request: effect.request }));
        return;
      case "hangUp":
        isOver = true;
        for (const task of tasks) cancel(task); // the carrier plays no more
    }
  }

  function playTones(tones: Saying, keys: number): void {
    if (tones.phase !== "open") return;
    const { generation } = tones;
    tones.phase = "finished";
    tell({ type: "synthesisBegan", generation, at: now });
    tell({ type: "playoutBegan", generation, at: now, leadMs: 0 });
    tones.playsUntil = now;
    returnMark(tones, START_MARK_BYTE / BYTES_PER_MS, { type: "start" });
    play(tones, keys * TONE_MS, { type: "end" });
  }

  function synthesise(saying: Saying): void {
    if (saying.phase !== "open" && saying.phase !== "finished") return;
    const text = saying.given[saying.placed];
    if (text === undefined) return;
    const { generation } = saying;
    const isFirst = saying.placed === 0;
    const index = saying.placed++;
    const endByte = saying.placed * WORD_MS * BYTES_PER_MS;
    tell({ type: "wordsPlaced", generation, words: [{ text, endByte }] });
    if (isFirst) tell({ type: "synthesisBegan", generation, at: now });
    if (saying.isHeld) {
      return void (saying.placed < saying.given.length &&
        after(SYNTHESIS_MS, () => synthesise(saying)));
    }
    if (isFirst) {
      tell({ type: "playoutBegan", generation, at: now, leadMs: 0 });
      saying.playsUntil = now;
      const startMs = START_MARK_BYTE / BYTES_PER_MS;
      returnMark(saying, startMs, { type: "start" });
    }
    play(saying, WORD_MS, { type: "word", index });
    if (saying.placed < saying.given.length) after(SYNTHESIS_MS, () => synthesise(saying));
    else if (saying.phase === "finished") play(saying, 0, { type: "end" });
  }

  /** What has been made of a held one is played at once. */
  function release(saying: Saying): void {
    saying.isHeld = false;
    if (saying.placed === 0) return;
    const { generation } = saying;
    tell({ type: "playoutBegan", generation, at: now, leadMs: 0 });
    saying.playsUntil = now;
    returnMark(saying, START_MARK_BYTE / BYTES_PER_MS, { type: "start" });
    for (let index = 0; index < saying.placed; index++) {
      play(saying, WORD_MS, { type: "word", index });
    }
  }

  /** More audio behind what is playing, and the mark at its end. */
  function play(saying: Saying, ms: number, place: MarkPlace): void {
    saying.playsUntil = Math.max(saying.playsUntil, now) + ms;
    returnMark(saying, saying.playsUntil - now, place);
  }

  function returnMark(saying: Saying, ms: number, place: MarkPlace): void {
    const task = after(ms, () => {
      saying.pending = saying.pending.filter((mark) => mark.task !== task);
      if (place.type === "word") saying.heard = place.index + 1;
      if (place.type === "end") saying.phase = "over";
      mark(saying.generation, place);
    });
    saying.pending.push({ place, task });
  }

  function mark(generation: number, place: MarkPlace): void {
    tell({ type: "marked", name: markName(generation, place), at: now, frames: 0, jitterMs: 0 });
  }

  /** The carrier drops what it has, and returns its marks at once. */
  function silence(saying: Saying): void {
    saying.phase = "silenced";
    const dropped = saying.pending.splice(0);
    for (const { task } of dropped) cancel(task);
    after(0, () => {
      for (const { place } of dropped) mark(saying.generation, place);
      mark(saying.generation, { type: "cut" });
    });
  }

  function isSaying(): boolean {
    return dialogue.utterances.some(({ cutAt }) => cutAt === null);
  }

  function heard(): string[] {
    return sayings.filter(({ isTones }) => !isTones).map(({ given, heard }) =>
      given.slice(0, heard).join(" ")
    );
  }

  function next(until: number): Task | null {
    for (let at = tasks.length - 1; at >= 0; at--) if (tasks[at]?.run === null) tasks.splice(at, 1);
    const due = tasks.filter((task) => task.at <= until);
    due.sort((a, b) => a.at - b.at || a.order - b.order);
    return due[0] ?? null;
  }

  function step(until: number): boolean {
    const task = next(until);
    if (task === null) return false;
    now = Math.max(now, task.at);
    const { run } = task;
    task.run = null;
    run?.();
    return true;
  }

  function advance(ms: number): void {
    const until = now + ms;
    while (step(until));
    now = until;
  }

  function interim(text: string): void {
    tell({ type: "heard", recognition: { type: "interim", text, endMs: now }, endedAt: now });
  }

  function final(text: string): void {
    const isTaken = !isAway && !isOver && dialogue.turn.floor !== "closing";
    if (isTaken && !dialogue.guessed.some((guess) => isSame(text, guess))) finals.push(text);
    const recognition = { type: "final", text, startMs: now, endMs: now, confidence: 1 } as const;
    tell({ type: "heard", recognition, endedAt: now });
  }

  function utteranceEnded(): void {
    const recognition = { type: "utteranceEnded", lastWordEndMs: now } as const;
    tell({ type: "heard", recognition, endedAt: now });
  }

  function delta(value: ModelDelta, of = request): void {
    tell({ type: "modelSaid", request: of, item: { type: "item", value } });
  }

  function ended(of = request): void {
    tell({ type: "modelSaid", request: of, item: { type: "ended" } });
  }

  if (options.from !== undefined) apply({ type: "legLost" });
  return {
    get dialogue() {
      return dialogue;
    },
    get now() {
      return now;
    },
    effects,
    events,
    prompts,
    get heardAtPrompt() {
      return heardAtPrompt;
    },
    finals,
    heard,
    tell,
    advance,
    listen() {
      const isSpeaking = (): boolean =>
        ["open", "finished", "broken"].includes(sayings.at(-1)?.phase ?? "over");
      for (let steps = 0; isSpeaking() && !isOver; steps++) {
        assert.ok(steps < 10_000 && step(Infinity), "speech never ends");
      }
    },
    interim,
    final,
    utteranceEnded,
    eager(text, goesOn) {
      interim(text);
      tell({
        type: "heard",
        recognition: { type: "eagerEnded", text, lastWordEndMs: now },
        endedAt: now,
      });
      after(EAGER_MS, () => {
        if (goesOn) tell({ type: "heard", recognition: { type: "resumed" }, endedAt: null });
        final(goesOn ? `${text} and more` : text);
        utteranceEnded();
      });
    },
    say(text) {
      interim(text);
      final(text);
      utteranceEnded();
    },
    delta,
    ended,
    failed: (error, of = request) =>
      tell({ type: "modelSaid", request: of, item: { type: "failed", error } }),
    answer(text, ...calls) {
      if (text !== "") delta({ type: "text", text });
      for (const call of calls) delta({ type: "toolCall", call });
      ended();
    },
    failSynthesis(error) {
      const last = sayings.at(-1);
      if (last?.phase !== "open" && last?.phase !== "finished") return;
      if (last.pending.some(({ place }) => place.type === "end")) return; // all has been made
      last.phase = "broken";
      tell({ type: "synthesisFailed", generation: last.generation, error });
      if (last.phase === "broken") play(last, 0, { type: "end" });
    },
    crashSpeaker() {
      const last = sayings.at(-1);
      if (last?.phase === "open" || last?.phase === "finished") last.phase = "broken";
      tell({ type: "speakerLost" });
    },
    loseLeg() {
      const last = sayings.at(-1);
      if (last !== undefined && last.phase !== "over") last.phase = "silenced";
      for (const { task } of last?.pending.splice(0) ?? []) cancel(task);
      tell({ type: "legLost" });
      cancel(deadline);
      isAway = true;
    },
    regainLeg({ greetsLater } = { greetsLater: false }) {
      if (!isAway || isOver) return;
      isAway = false;
      cancel(deadline);
      deadline = after(rules.idleMs, () => tell({ type: "deadlinePassed" }));
      apply({ type: "legReady", greetsLater });
    },
    loseMachine() {
      if (isOver) return;
      for (const task of tasks) cancel(task);
      const last = sayings.at(-1);
      if (last?.isHeld) sayings.pop();
      else if (last !== undefined && last.phase !== "over") last.phase = "silenced";
      dialogue = rebuild(events, graph).dialogue;
      isAway = true;
      apply({ type: "legLost" });
      cancel(deadline);
    },
    end() {
      isOver = true;
      apply({ type: "legLost" });
    },
  };
}

export const RETRYABLE = new AppError("provider_failed", "Provider broke", { retryable: true });
export const REFUSED = new AppError("provider_failed", "Provider refused");
