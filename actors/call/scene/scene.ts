/** The scene of one event: the dialogue as it becomes, and what follows. Every part of a dialogue plays on it. */

import type { Span } from "@/lib/conversation/transcript.ts";
import { nodeOf } from "@/lib/workflow/graph.ts";
import { render } from "@/lib/workflow/template.ts";
import type { Dialogue, DialogueEvent, Effect, Scenario } from "@/actors/call/dialogue.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { type Milestone, reach } from "@/actors/call/gap.ts";
import type { Utterance } from "@/actors/call/ledger.ts";
import { takeTurn, type TurnAction, type TurnEvent, type TurnRules } from "@/actors/call/turns.ts";

/** Turns whose final words may be on their way still: a recogniser is not so far behind. */
const GUESSED_MAX = 4;

/** The ways up: what a part hands to those that are above it. */
export interface Course {
  take(scene: Scene, event: DialogueEvent): void;
  /** Does what the floor asks for. */
  act(scene: Scene, action: TurnAction): void;
  /** What was heard of an utterance is known; it is no longer in the dialogue. */
  settled(scene: Scene, utterance: Utterance): void;
}

/** Lives for one call of `takeEvent`. */
export class Scene {
  readonly effects: Effect[] = [];
  dialogue: Dialogue;
  readonly scenario: Scenario;
  readonly now: number;
  readonly #course: Course;

  constructor(dialogue: Dialogue, scenario: Scenario, now: number, course: Course) {
    this.dialogue = dialogue;
    this.scenario = scenario;
    this.now = now;
    this.#course = course;
  }

  /** Another that goes on from `dialogue`, and of which nothing is known here. */
  fork(dialogue: Dialogue): Scene {
    return new Scene(dialogue, this.scenario, this.now, this.#course);
  }

  take(event: DialogueEvent): void {
    this.#course.take(this, event);
  }

  settled(utterance: Utterance): void {
    this.#course.settled(this, utterance);
  }

  set(change: Partial<Dialogue>): void {
    this.dialogue = { ...this.dialogue, ...change };
  }

  record(event: CallEvent): void {
    this.effects.push({ type: "record", event });
  }

  /** Lets the floor take an event, and does what it asks for. */
  turn(event: TurnEvent): void {
    const before = this.dialogue.turn;
    const [turn, action] = takeTurn(before, event, this.rules);
    this.set({ turn });
    if (before.floor === "pause" && before.text === "" && turn.floor === "thinking") {
      const guessed = [...this.dialogue.guessed, before.guess ?? ""];
      this.set({ guessed: guessed.slice(-GUESSED_MAX) });
    }
    if (action !== undefined) this.#course.act(this, action);
  }

  /** What rules here: the call's rules, and the node's. */
  get rules(): TurnRules {
    const { rules, graph } = this.scenario;
    const node = nodeOf(graph, this.dialogue.workflow.node);
    const isToldOfRecording = this.dialogue.disclosure.phase === "saying";
    const isFree = !isToldOfRecording && this.dialogue.sending === null;
    if (isFree && (node.type === "end" || node.isInterruptible)) return rules;
    return { ...rules, bargeIn: { ...rules.bargeIn, isAllowed: false } };
  }

  /** A sentence of the graph, with what is known put in. */
  rendered(template: string): string {
    return render(template, this.dialogue.workflow.variables);
  }

  /** As an event of now has it. Clocks of others may differ: an end is never before its beginning. */
  spanOf(beganAt: number | null, endedAt: number | null): Span {
    const before = (at: number): number => Math.max(0, Math.round(this.now - at));
    const endedMs = endedAt === null ? null : before(endedAt);
    const beganMs = beganAt === null ? null : Math.max(before(beganAt), endedMs ?? 0);
    return { beganMs, endedMs };
  }

  note(milestone: Milestone, at: number): void {
    this.set({ milestones: reach(this.dialogue.milestones, milestone, at) });
  }

  /** Notes a step of the newest utterance only: an older one is over. */
  reach(generation: number, milestone: Milestone, at: number): void {
    if (generation === this.dialogue.counts.generations) this.note(milestone, at);
  }
}
