/** What happens in a dialogue at one event: who has the floor, what is said, asked and recorded. */

import type { StreamItem } from "@/actors/runtime/actor.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Span } from "@/lib/conversation/transcript.ts";
import type { AppError } from "@/lib/errors.ts";
import type { ModelDelta } from "@/lib/providers/llm/llm.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import {
  advance,
  begin,
  type Step,
  type WorkflowAction,
  type WorkflowState,
} from "@/lib/workflow/engine.ts";
import { type Graph, nodeOf } from "@/lib/workflow/graph.ts";
import { promptFor } from "@/lib/workflow/prompt.ts";
import { render } from "@/lib/workflow/template.ts";
import { addText, lastClause, noClauses } from "./clauses.ts";
import { addSaid, type Entry, promptMessages, trimToHeard, wordsOf } from "./conversation.ts";
import type { Dialogue, DialogueEvent, Effect, Reply, Scenario } from "./dialogue.ts";
import { AGENT_HUNG_UP, type Ending } from "./ending.ts";
import type { CallEvent, CallPart } from "./events.ts";
import { gapOf, type Milestone, reach } from "./gap.ts";
import {
  cutUtterance,
  heardOf,
  type MarkArrival,
  newUtterance,
  parseMark,
  placeWords,
  settle,
  START_MARK_BYTE,
  takeMark,
  type Utterance,
} from "./ledger.ts";
import { takeTurn, type TurnAction, type TurnEvent } from "./turns.ts";

/** Requests of one turn that may fail before the call gives up. */
const REQUEST_FAILURES_MAX = 1;
/** Syntheses of one call that may fail before the carrier's own voice takes over. */
const SPEECH_FAILURES_MAX = 1;
const ANSWER_MAX_TOKENS = 400; // about a minute of speech
const TEMPERATURE = 0.3;

/** Lives for one call of `takeEvent`: changes the dialogue, and collects what follows. */
export class Scene {
  readonly effects: Effect[] = [];
  dialogue: Dialogue;
  readonly #scenario: Scenario;
  readonly #now: number;

  constructor(dialogue: Dialogue, scenario: Scenario, now: number) {
    this.dialogue = dialogue;
    this.#scenario = scenario;
    this.#now = now;
  }

  take(event: DialogueEvent): void {
    switch (event.type) {
      case "legReady":
        return this.#legReady();
      case "legLost":
        return this.#legLost();
      case "heard":
        return this.#heard(event.recognition, event.endedAt);
      case "modelSaid":
        return this.#modelSaid(event.request, event.item);
      case "modelLost":
        return this.#requestFailed("crashed", "Model request crashed");
      case "wordsPlaced":
        return this.#updateUtterance(event.generation, (it) => placeWords(it, event.words));
      case "synthesisBegan":
        return this.#reach(event.generation, "firstAudio", event.at);
      case "playoutBegan":
        this.#reach(event.generation, "firstSent", event.at);
        return this.#updateUtterance(event.generation, (it) => ({ ...it, leadMs: event.leadMs }));
      case "synthesisFailed":
        return this.#synthesisFailed(event.generation, event.error);
      case "speakerLost":
        return this.#speakerLost();
      case "marked":
        return this.#marked(event.name, event);
      case "settleDue":
        return this.#updateUtterance(event.generation, settle);
      case "deadlinePassed":
        return this.#turn({ type: "deadlinePassed" });
      case "end":
        return this.#endWith(event.sentence, event.ending);
    }
  }

  #heard(recognition: Recognition, endedAt: number | null): void {
    switch (recognition.type) {
      case "speechStarted":
        return; // a sound; words decide
      case "interim":
        this.#noteBegun(recognition.text);
        return this.#turn({ type: "interim", text: recognition.text });
      case "final":
        this.#noteBegun(recognition.text);
        if (recognition.text.trim() !== "") this.#set({ callerEndedAt: endedAt });
        return this.#turn({ type: "final", text: recognition.text });
      case "utteranceEnded":
        return this.#turn({ type: "utteranceEnded" });
    }
  }

  #noteBegun(text: string): void {
    if (text.trim() === "" || this.dialogue.callerBeganAt !== null) return;
    this.#set({ callerBeganAt: this.#now });
  }

  #turn(event: TurnEvent): void {
    const [turn, action] = takeTurn(this.dialogue.turn, event, this.#scenario.limits);
    this.#set({ turn });
    if (action !== undefined) this.#act(action);
  }

  #act(action: TurnAction): void {
    switch (action.type) {
      case "reply":
        return this.#callerSaid(action.text);
      case "withdraw":
        return this.#withdraw();
      case "bargeIn":
        this.#withdraw();
        return this.#cutCurrent();
      case "noWords":
        if (this.#owesReply) this.#request(0);
        return;
      case "cutShort":
        return this.#cutShort();
      case "promptIdle":
        return this.#promptIdle(action.prompts);
      case "apologise":
        return this.#giveUp("model", "unknown_outcome", "No reply came in time");
      case "hangUp":
        return this.#hangUp(null);
    }
  }

  #callerSaid(text: string): void {
    this.#noteCaller(text);
    this.#step(advance(this.#scenario.graph, this.dialogue.workflow, { type: "callerSpoke" }));
  }

  #noteCaller(text: string): void {
    const { counts, entries, callerBeganAt, callerEndedAt } = this.dialogue;
    const turns = counts.turns + 1;
    const span = this.#spanOf(callerBeganAt, callerEndedAt);
    this.#record({ type: "caller_said", turn: turns, text, span });
    this.#set({
      counts: { ...counts, turns },
      entries: [...entries, { role: "caller", text }],
      milestones: {
        ...(callerEndedAt === null ? {} : { callerEnded: callerEndedAt }),
        endpointed: this.#now,
      },
      callerBeganAt: null,
      callerEndedAt: null,
    });
  }

  /** As an event of now has it. Clocks of others may differ: an end is never before its beginning. */
  #spanOf(beganAt: number | null, endedAt: number | null): Span {
    const before = (at: number): number => Math.max(0, Math.round(this.#now - at));
    const endedMs = endedAt === null ? null : before(endedAt);
    const beganMs = beganAt === null ? null : Math.max(before(beganAt), endedMs ?? 0);
    return { beganMs, endedMs };
  }

  /** Where the caller's turn is ended from outside, their words are kept. */
  #endCallerTurn(): void {
    const { turn } = this.dialogue;
    this.#set({ turn: { floor: "quiet", prompts: 0 } });
    if ("text" in turn && turn.text !== "") this.#noteCaller(turn.text);
  }

  /** True when the caller's words, or a function's answer, have been followed by nothing that was heard. */
  get #owesReply(): boolean {
    const last = promptMessages(this.dialogue.entries).at(-1);
    return last?.role === "caller" || last?.role === "toolOutput";
  }

  #cutShort(): void {
    const { reply, utterances } = this.dialogue;
    const current = utterances.at(-1);
    if (reply !== null && current !== undefined && this.#unheardOf(current) === "") {
      return this.#giveUp("model", "unknown_outcome", "No more of the reply came in time");
    }
    this.#withdraw();
    this.#record({
      type: "failed",
      part: "speaker",
      code: "unknown_outcome",
      message: "Carrier returned no mark in time",
    });
    this.#cutCurrent();
  }

  /** Goes on from the first word that was not heard. */
  #speakerLost(): void {
    this.#record({ type: "failed", part: "speaker", code: "crashed", message: "Restarted" });
    const current = this.dialogue.utterances.at(-1);
    if (current === undefined || current.cutAt !== null) return;
    const unsaid = this.#remainderOf(current);
    this.#silence(current);
    if (unsaid === "") return this.#spoken();
    this.#say(unsaid, this.dialogue.ending !== null);
    if (this.dialogue.reply === null) this.#finish();
  }

  #promptIdle(prompts: number): void {
    const { graph } = this.#scenario;
    this.#set({ milestones: {} });
    if (prompts >= graph.limits.idlePromptCount) {
      const ending = { outcome: "answered", reason: "caller_silent" } as const;
      return this.#endWith(this.#rendered(graph.idleFarewell), ending);
    }
    this.#say(this.#rendered(graph.idlePrompt), false);
    this.#finish();
  }

  #step(step: Step): void {
    const moved = step.state !== this.dialogue.workflow;
    this.#set({ workflow: step.state });
    if (moved) this.#record({ type: "workflow_moved", workflow: step.state });
    for (const action of step.actions) this.#follow(action);
  }

  #follow(action: WorkflowAction): void {
    switch (action.type) {
      case "say":
        return this.#say(action.text, false);
      case "respond":
        return this.#request(0);
      case "listen":
        return this.#finish();
      case "answerTool": // stands behind its call
      case "nodeEntered":
      case "variablesSet":
        return; // both stand in the state that was recorded
      case "end": {
        const failed = action.reason !== null;
        return this.#endWith(action.farewell, {
          outcome: failed ? "failed" : "answered",
          reason: failed ? "workflow_failed" : "agent_hung_up",
        });
      }
    }
  }

  #request(failures: number): void {
    const { counts, workflow, entries } = this.dialogue;
    const requests = counts.requests + 1;
    this.#set({
      counts: { ...counts, requests },
      reply: { request: requests, clauses: noClauses, calls: [], failures },
    });
    const prompt = {
      ...promptFor(this.#scenario.graph, workflow),
      messages: promptMessages(entries),
      maxTokens: ANSWER_MAX_TOKENS,
      temperature: TEMPERATURE,
    };
    this.effects.push({ type: "request", request: requests, prompt });
    this.#turn({ type: "replyAsked" });
  }

  #withdraw(): void {
    const { reply, milestones } = this.dialogue;
    if (reply === null) return;
    const { callerEnded, endpointed } = milestones; // the gap goes on, its other parts begin anew
    this.#set({
      reply: null,
      milestones: {
        ...(callerEnded === undefined ? {} : { callerEnded }),
        ...(endpointed === undefined ? {} : { endpointed }),
      },
    });
    this.effects.push({ type: "withdraw" });
  }

  #modelSaid(request: number, item: StreamItem<ModelDelta>): void {
    const { reply } = this.dialogue;
    if (reply?.request !== request) return;
    switch (item.type) {
      case "item":
        return this.#delta(reply, item.value);
      case "failed":
        return this.#requestFailed(item.error.code, item.error.message, item.error.retryable);
      case "ended":
        return this.#replied(reply);
    }
  }

  #delta(reply: Reply, delta: ModelDelta): void {
    switch (delta.type) {
      case "text": {
        this.#note("firstToken", this.#now);
        const [clauses, complete] = addText(reply.clauses, delta.text);
        this.#set({ reply: { ...reply, clauses } });
        for (const clause of complete) this.#say(clause, false);
        return;
      }
      case "toolCall":
        return this.#set({ reply: { ...reply, calls: [...reply.calls, delta.call] } });
      case "usage":
      case "finished":
        return;
    }
  }

  #replied(reply: Reply): void {
    const rest = lastClause(reply.clauses);
    if (rest !== null) this.#say(rest, false);
    this.#set({ reply: null });
    if (reply.calls.length === 0) {
      return this.#replyOver();
    }
    const { graph } = this.#scenario;
    const step = advance(graph, this.dialogue.workflow, {
      type: "toolsCalled",
      calls: reply.calls,
    });
    for (const call of reply.calls) {
      const answer = step.actions.find((it) => it.type === "answerTool" && it.callId === call.id);
      const output = answer?.type === "answerTool" ? answer.output : "";
      this.#record({ type: "tool_called", call, output });
      this.#set({
        entries: [
          ...this.dialogue.entries,
          { role: "toolCall", call },
          { role: "toolOutput", callId: call.id, output },
        ],
      });
    }
    this.#step(step);
  }

  /** Nothing more is coming; where nothing is being said either, the caller has the floor. */
  #replyOver(): void {
    if (this.dialogue.open === null) this.#turn({ type: "replyEmpty" });
    this.#finish();
  }

  #requestFailed(code: string, message: string, retryable = true): void {
    const { reply } = this.dialogue;
    if (reply === null) return;
    this.#set({ reply: null });
    if (reply.clauses.begun) { // half an answer has been said: the caller can go on from it
      this.#record({ type: "failed", part: "model", code, message });
      return this.#replyOver();
    }
    if (retryable && reply.failures < REQUEST_FAILURES_MAX) {
      this.#record({ type: "failed", part: "model", code, message });
      return this.#request(reply.failures + 1);
    }
    this.#giveUp("model", code, message);
  }

  #giveUp(part: CallPart, code: string, message: string): void {
    this.#record({ type: "failed", part, code, message });
    const ending = { outcome: "failed", reason: "provider_failed" } as const;
    this.#endWith(this.#rendered(this.#scenario.graph.failureSentence), ending);
  }

  #say(text: string, isLast: boolean): void {
    const { ending, counts, utterances, unsaid } = this.dialogue;
    if (ending !== null && !isLast) return; // nothing comes behind last words
    if (unsaid !== null) { // it keeps its place, behind what is still playing
      this.#set({ unsaid: `${unsaid} ${text}`.trim() });
      return this.#turn({ type: "speechGiven", last: isLast });
    }
    if (this.dialogue.open === null) {
      const generation = counts.generations + 1;
      this.#set({
        counts: { ...counts, generations: generation, turns: counts.turns + 1 },
        utterances: [...utterances, newUtterance(generation, counts.turns + 1)],
        open: { generation, text: "" },
      });
      this.effects.push({ type: "begin", generation });
    }
    const open = this.dialogue.open;
    if (open === null) return;
    const { generation } = open;
    this.#note("firstToken", this.#now); // where the graph speaks, the model's word was a function
    this.#note("firstClause", this.#now);
    this.#set({
      entries: addSaid(this.dialogue.entries, generation, text),
      open: { generation, text: open.text === "" ? text : `${open.text} ${text}` },
    });
    this.effects.push({ type: "text", generation, text });
    this.#turn({ type: "speechGiven", last: isLast });
  }

  #finish(): void {
    const { open } = this.dialogue;
    if (open === null) return;
    this.#set({ open: null });
    this.effects.push({ type: "finish", generation: open.generation });
  }

  #endWith(sentence: string, ending: Ending): void {
    if (this.dialogue.ending !== null) return;
    this.#withdraw();
    this.#endCallerTurn();
    if (this.dialogue.open === null && this.dialogue.unsaid === null) this.#cutCurrent();
    this.#set({ ending });
    this.#say(sentence, true);
    this.#finish();
  }

  /** Silences what is being said, if anything; what was heard of it is worked out from its marks. */
  #cutCurrent(): void {
    const { utterances, turn } = this.dialogue;
    this.#set({ open: null, unsaid: null });
    const current = utterances.at(-1);
    if (current === undefined || current.cutAt !== null) return;
    this.#silence(current);
    if (turn.floor === "agent" || turn.floor === "closing") this.#turn({ type: "speechEnded" });
  }

  #silence(current: Utterance): void {
    this.#set({ open: null, unsaid: null });
    this.#updateUtterance(current.generation, (it) => cutUtterance(it, this.#now));
    this.#set({
      entries: trimToHeard(this.dialogue.entries, current.generation, current.heardCount),
    });
    this.effects.push({ type: "silence", generation: current.generation });
  }

  #synthesisFailed(generation: number, error: AppError): void {
    const { counts, utterances, entries, open, ending } = this.dialogue;
    const utterance = utterances.find((it) => it.generation === generation);
    if (utterance === undefined || utterance.cutAt !== null) return;
    const { code, message, retryable } = error;
    this.#record({ type: "failed", part: "speaker", code, message });
    const speechFailures = counts.speechFailures + 1;
    this.#set({ counts: { ...counts, speechFailures } });
    if (!retryable || speechFailures > SPEECH_FAILURES_MAX) {
      this.#withdraw();
      this.#set({ ending: ending ?? { outcome: "failed", reason: "provider_failed" } });
      return this.#hangUp(this.#rendered(this.#scenario.graph.failureSentence));
    }
    // The words it has placed will still be heard; the rest is said again behind them.
    const text = open?.generation === generation ? open.text : saidOf(entries, generation);
    this.#set({ open: null, unsaid: wordsOf(text).slice(utterance.words.length).join(" ") });
  }

  #marked(name: string, arrival: MarkArrival): void {
    const mark = parseMark(name);
    if (mark === null) return;
    const { generation, place } = mark;
    const utterance = this.dialogue.utterances.find((it) => it.generation === generation);
    if (utterance === undefined) return;
    if (utterance.cutAt === null) this.#turn({ type: "speechProgressed" });
    if (place.type === "start" && utterance.cutAt === null) {
      const playing = arrival.at - START_MARK_BYTE / BYTES_PER_MS;
      this.#reach(generation, "playing", playing);
      this.#reach(generation, "audible", playing + utterance.leadMs);
      const gap = gapOf(this.dialogue.milestones);
      this.#set({ milestones: {} });
      const audibleAt = playing + utterance.leadMs;
      this.#updateUtterance(
        generation,
        (it) => ({ ...it, gap: it.gap ?? gap, audibleAt: it.audibleAt ?? audibleAt }),
      );
    }
    this.#updateUtterance(generation, (it) => takeMark(it, place, arrival));
  }

  #updateUtterance(generation: number, change: (it: Utterance) => Utterance): void {
    const { utterances } = this.dialogue;
    const before = utterances.find((it) => it.generation === generation);
    if (before === undefined) return;
    const after = change(before);
    if (!after.isSettled) {
      return this.#set({ utterances: utterances.map((it) => it === before ? after : it) });
    }
    this.#set({ utterances: utterances.filter((it) => it !== before) });
    this.#settled(after);
  }

  /** What was heard of an utterance is known. */
  #settled(utterance: Utterance): void {
    const { generation, heardCount, cutAt, turn, gap, audibleAt } = utterance;
    const endedAt = audibleAt === null ? null : cutAt ?? this.#now;
    this.#record({
      type: "agent_said",
      turn,
      text: heardOf(utterance),
      unheard: this.#unheardOf(utterance),
      bargedIn: cutAt !== null,
      gapMs: gap?.gapMs ?? null,
      parts: gap?.parts ?? null,
      span: this.#spanOf(audibleAt, endedAt),
    });
    this.#set({ entries: trimToHeard(this.dialogue.entries, generation, heardCount) });
    if (cutAt !== null) return;
    const { unsaid, open } = this.dialogue;
    this.#set({ unsaid: null, open: open?.generation === generation ? null : open });
    if (unsaid === null || unsaid === "") return this.#spoken();
    this.#say(unsaid, this.dialogue.ending !== null);
    if (this.dialogue.reply === null) this.#finish();
  }

  /** All that was given to be said is over; a reply may still be coming. */
  #spoken(): void {
    this.#turn({ type: "speechEnded" });
    if (this.dialogue.reply !== null) this.#turn({ type: "replyAsked" });
  }

  #legReady(): void {
    const { graph } = this.#scenario;
    const { entries, unsaid, ending, workflow } = this.dialogue;
    if (entries.length === 0) return this.#step(begin(graph));
    const isOwed = this.#owesReply;
    this.#set({ unsaid: null });
    if (unsaid !== null && unsaid !== "") this.#say(unsaid, ending !== null);
    else if (ending !== null) return this.#hangUp(null);
    else if (workflow.outcome !== null) {
      return this.#endWith(farewellOf(graph, workflow), AGENT_HUNG_UP);
    }
    if (isOwed && ending === null) return this.#request(0);
    this.#finish();
  }

  /** No mark will come of what was being said: it is taken as heard up to the last one. */
  #legLost(): void {
    this.#withdraw();
    this.#endCallerTurn();
    for (const utterance of this.dialogue.utterances) {
      const unsaid = this.#remainderOf(utterance);
      this.#updateUtterance(
        utterance.generation,
        (it) => settle(cutUtterance(it, this.#now)),
      );
      if (utterance.cutAt === null) this.#set({ unsaid });
    }
    this.#set({ open: null, milestones: {} });
  }

  /** All that was given to be said of an utterance, less what was heard. */
  #unheardOf(utterance: Utterance): string {
    const words = wordsOf(saidOf(this.dialogue.entries, utterance.generation));
    return words.slice(utterance.heardCount).join(" ");
  }

  /** What is still to be heard of the utterance that is being said. */
  #remainderOf(utterance: Utterance): string {
    const { unsaid } = this.dialogue;
    if (unsaid === null) return this.#unheardOf(utterance);
    const placed = utterance.words.slice(utterance.heardCount).map((word) => word.text);
    return [...placed, unsaid].join(" ").trim();
  }

  #hangUp(sentence: string | null): void {
    const ending = this.dialogue.ending ?? AGENT_HUNG_UP;
    this.#set({ ending });
    this.effects.push({ type: "hangUp", ending, sentence });
  }

  /** A sentence of the graph, with what is known put in. */
  #rendered(template: string): string {
    return render(template, this.dialogue.workflow.variables);
  }

  #set(change: Partial<Dialogue>): void {
    this.dialogue = { ...this.dialogue, ...change };
  }

  #record(event: CallEvent): void {
    this.effects.push({ type: "record", event });
  }

  #note(milestone: Milestone, at: number): void {
    this.#set({ milestones: reach(this.dialogue.milestones, milestone, at) });
  }

  /** Notes a step of the newest utterance only: an older one is over. */
  #reach(generation: number, milestone: Milestone, at: number): void {
    if (generation === this.dialogue.counts.generations) this.#note(milestone, at);
  }
}

/** What an ended conversation closes with, where the words themselves are lost. */
function farewellOf(graph: Graph, { node, variables }: WorkflowState): string {
  const at = nodeOf(graph, node);
  return render(at.type === "end" ? at.farewell : graph.failureSentence, variables);
}

function saidOf(entries: readonly Entry[], generation: number): string {
  return entries
    .flatMap((it) => it.role === "agent" && it.generation === generation ? [it.text] : [])
    .join(" ");
}
