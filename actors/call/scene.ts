/** What happens in a dialogue at one event: who has the floor, what is said, asked and recorded. */

import type { StreamItem } from "@/actors/runtime/actor.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Span } from "@/lib/conversation/transcript.ts";
import type { AppError } from "@/lib/errors.ts";
import type { ModelDelta } from "@/lib/providers/llm/llm.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { assentOf } from "@/lib/speech/assent.ts";
import { answererOf } from "@/lib/speech/answerer.ts";
import { type Keypad, type KeypadEvent, newKeypad, takeKey } from "@/lib/speech/keypad.ts";
import type { Sense } from "@/lib/speech/sense.ts";
import {
  advance,
  begin,
  PRESSED,
  type Step,
  type WorkflowAction,
  type WorkflowState,
} from "@/lib/workflow/engine.ts";
import {
  type Graph,
  languageOf,
  nodeOf,
  startOf,
  type TurnSettings,
} from "@/lib/workflow/graph.ts";
import { fillersOf, unheardOf } from "@/lib/workflow/phrases.ts";
import { promptFor } from "@/lib/workflow/prompt.ts";
import { render } from "@/lib/workflow/template.ts";
import { divide, isOfAhead, promptTokens, takeOver, tokensOf, waitsForTurn } from "./ahead.ts";
import { type Answering, mayBeMachine, REVISE_MS, stepFor } from "./answering.ts";
import { addText, lastClause, noClauses } from "./clauses.ts";
import { addSaid, type Entry, promptMessages, trimToHeard, wordsOf } from "./conversation.ts";
import type { Ahead, Dialogue, DialogueEvent, Effect, Reply, Scenario } from "./dialogue.ts";
import { type Disclosure, isToBeSaid, QUESTIONS_MAX, type RecordingEvent } from "./disclosure.ts";
import { AGENT_HUNG_UP, type Ending } from "./ending.ts";
import type { CallEvent, CallPart } from "./events.ts";
import { keypadOf } from "./tuning.ts";
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
import { easePauses, learnPause, silenceFor } from "./pauses.ts";
import { isSame, takeTurn, type TurnAction, type TurnEvent, type TurnRules } from "./turns.ts";

/** Requests of one turn that may fail before the call gives up. */
const REQUEST_FAILURES_MAX = 1;
/** Syntheses of one call that may fail before the carrier's own voice takes over. */
const SPEECH_FAILURES_MAX = 1;
const ANSWER_MAX_TOKENS = 400; // about a minute of speech
const TEMPERATURE = 0.3;
/** Of a dynamic or eager agent the recogniser calls an utterance over after so long; the rest of the silence is ours to wait. */
export const EARLY_ENDPOINT_MS = 200;
/** A caller who was told so often that they were not heard, and is not again, is let go. */
const UNHEARD_MAX = 2;
/** Keys that may wait to be pressed; the oldest go. */
const KEYS_TO_SEND_MAX = 128;
/** Sentences that may wait to be said; the oldest go. */
const GIVEN_MAX = 10;
/** Notes that the model is told: the newest. */
const NOTES_MAX = 20;
/** A sign of listening that comes so shortly before the agent has spoken is an answer to it. */
const SIGN_ANSWERS_MS = 1_000;
/** Words of the caller so soon behind the agent's first ones go on with the turn before. */
const EARLY_INTERRUPTION_MS = 1_500;

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
    const { ahead } = this.dialogue;
    if (ahead !== null && isOfAhead(this.dialogue, event)) this.#takeAhead(ahead, event);
    else this.#take(event);
    if (event.type !== "legLost") this.#sendKeys(); // without a leg nobody would hear them
    this.#attend();
  }

  #take(event: DialogueEvent): void {
    switch (event.type) {
      case "legReady":
        return this.#legReady(event.greetsLater ?? false);
      case "greetingDue":
        return this.#greetingDue();
      case "beeped":
        return this.#beeped();
      case "beepDue":
        return this.#beepDue();
      case "sounded":
        return this.#turn({ type: "sounded", forMs: event.forMs });
      case "unheard":
        return this.#turn({ type: "unheard" });
      case "legLost":
        return this.#legLost();
      case "heard":
        return this.#heard(event.recognition, event.endedAt);
      case "modelSaid":
        return this.#modelSaid(event.request, event.item);
      case "modelLost":
        this.#forget();
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
        this.#forget();
        return this.#speakerLost();
      case "marked":
        return this.#marked(event.name, event);
      case "settleDue":
        return this.#updateUtterance(event.generation, settle);
      case "deadlinePassed":
        return this.#turn({ type: "deadlinePassed" });
      case "pressed":
        return this.#pressed(event.digit);
      case "keysDue":
        if (this.dialogue.keypad === null) return;
        return this.#key(this.dialogue.keypad, { type: "waited", at: Infinity });
      case "say":
        return this.#give(event.sentence, event.interrupts);
      case "sendKeys":
        return this.#keysGiven(event.keys);
      case "note":
        this.#forget(); // it was made without knowing this
        return this.#set({ notes: [...this.dialogue.notes, event.text] });
      case "mute":
        return event.isMuted ? this.#mute() : this.#unmute();
      case "end":
        return this.#endWith(event.sentence, event.ending);
    }
  }

  #heard(recognition: Recognition, endedAt: number | null): void {
    const { text } = { text: "", ...recognition };
    switch (recognition.type) {
      case "speechStarted":
        return; // a sound; words decide, or our own ear
      case "interim":
        this.#noteBegun(text);
        return this.#turn({
          type: "interim",
          text,
          sense: this.#senseOf(text),
          forMs: this.#speakingMs,
        });
      case "final":
        if (this.#isToldAgain(text)) return;
        this.#noteBegun(text);
        if (text.trim() !== "") this.#set({ callerEndedAt: endedAt });
        return this.#turn({ type: "final", text, sense: this.#senseOf(text) });
      case "utteranceEnded":
        return this.#turn({ type: "utteranceEnded", waitMs: this.#waitMs() });
      case "eagerEnded":
        this.#set({ callerEndedAt: endedAt });
        return this.#turn({ type: "eagerEnded", text });
      case "resumed":
        return this.#turn({ type: "resumed" });
      case "lost":
        return; // the listener makes of it what the caller is to know
    }
  }

  /** The final words of a turn that was taken as over without them. */
  #isToldAgain(text: string): boolean {
    const { guessed } = this.dialogue;
    if (guessed === null || text.trim() === "") return false;
    this.#set({ guessed: null });
    return isSame(text, guessed);
  }

  #noteBegun(text: string): void {
    if (text.trim() === "") return;
    this.#learnPause(text);
    if (this.dialogue.callerBeganAt === null) this.#set({ callerBeganAt: this.#now });
  }

  get #speakingMs(): number {
    const { callerBeganAt } = this.dialogue;
    return callerBeganAt === null ? 0 : this.#now - callerBeganAt;
  }

  #senseOf(text: string): Sense {
    return this.#scenario.senseOf(text);
  }

  /** What is still to be waited for once the recogniser calls an utterance over. */
  #waitMs(): number {
    const { turns } = this.#scenario.graph;
    switch (turns.endpointing) {
      case "provider":
        return 0;
      case "fixed":
        return turns.silenceMs - endpointingMsOf(turns);
      case "dynamic":
        return silenceFor(this.dialogue.pauses, turns) - endpointingMsOf(turns);
    }
  }

  /** Words behind a pause, or right behind the agent's first ones: the silence before them was within a turn. */
  #learnPause(text: string): void {
    const { turn, callerEndedAt, pauses, utterances, lastTurn } = this.dialogue;
    if (turn.floor === "pause" && callerEndedAt !== null) {
      if (isSame(`${turn.text} ${text}`, turn.guess ?? "")) return; // told again
      return this.#set({ pauses: learnPause(pauses, this.#now - callerEndedAt) });
    }
    if (turn.floor !== "agent" || lastTurn === null) return;
    const audibleAt = utterances.at(-1)?.audibleAt ?? this.#now;
    if (this.#now - audibleAt > EARLY_INTERRUPTION_MS) return;
    this.#set({ pauses: learnPause(pauses, this.#now - lastTurn.endedAt), lastTurn: null });
  }

  #turn(event: TurnEvent): void {
    const before = this.dialogue.turn;
    const [turn, action] = takeTurn(before, event, this.#rules);
    this.#set({ turn });
    if (before.floor === "pause" && before.text === "" && turn.floor === "thinking") {
      this.#set({ guessed: before.guess });
    }
    if (action !== undefined) this.#act(action);
  }

  #act(action: TurnAction): void {
    switch (action.type) {
      case "reply":
        return this.#callerSaid(action.text);
      case "speculate":
        return this.#speculate(action.text);
      case "forget":
        return this.#forget();
      case "holdBack":
        return this.#holdBack();
      case "withdraw":
        this.#set({ cutOff: null });
        return this.#withdraw();
      case "bargeIn":
        return this.#bargeIn();
      case "backchannel":
        return this.#signalled(action.text);
      case "noWords":
        return this.#goOn();
      case "sayUnheard":
        return this.#sayUnheard();
      case "fill":
        return this.#fill();
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

  /** What rules here: the call's rules, and the node's. */
  get #rules(): TurnRules {
    const { rules, graph } = this.#scenario;
    const node = nodeOf(graph, this.dialogue.workflow.node);
    const isToldOfRecording = this.dialogue.disclosure.phase === "saying";
    const isFree = !isToldOfRecording && this.dialogue.sending === null;
    if (isFree && (node.type === "end" || node.isInterruptible)) return rules;
    return { ...rules, bargeIn: { ...rules.bargeIn, isAllowed: false } };
  }

  /** While the agent must not be interrupted the recogniser gets silence: its clock runs on, and hears nothing. */
  #attend(): void {
    const { turn, isDeaf } = this.dialogue;
    const shouldBeDeaf = turn.floor === "agent" && !this.#rules.bargeIn.isAllowed;
    if (shouldBeDeaf === isDeaf) return;
    this.#set({ isDeaf: shouldBeDeaf });
    this.effects.push({ type: "listen", isDeaf: shouldBeDeaf });
  }

  #keysGiven(keys: string): void {
    this.#set({ keysToSend: (this.dialogue.keysToSend + keys).slice(-KEYS_TO_SEND_MAX) });
  }

  /** Once nobody speaks and nothing is on its way to be said, the tones have the line for themselves. */
  #sendKeys(): void {
    const { keysToSend, sending, turn, reply, open, unsaid, ending } = this.dialogue;
    const { utterances, counts } = this.dialogue;
    const isSilent = turn.floor === "quiet" && reply === null && open === null && unsaid === null &&
      utterances.every(({ cutAt }) => cutAt !== null);
    if (keysToSend === "" || sending !== null || !isSilent || ending !== null) return;
    const generation = counts.generations + 1;
    this.#set({
      keysToSend: "",
      sending: { generation, keys: keysToSend },
      counts: { ...counts, generations: generation },
      utterances: [...utterances, newUtterance(generation, counts.turns)],
      cutOff: null,
    });
    this.effects.push({ type: "begin", generation, isHeld: false, keys: keysToSend });
    this.#turn({ type: "speechGiven", last: false });
  }

  /** The tones are over. */
  #keysSent(keys: string, isComplete: boolean): void {
    this.#set({ sending: null });
    this.#record({ type: "keys_sent", digits: keys, isComplete });
    if (isComplete) this.#spoken();
  }

  #callerSaid(text: string): void {
    const { ahead, disclosure } = this.dialogue;
    const owesGreeting = this.#owesGreeting;
    this.#set({ pauses: easePauses(this.dialogue.pauses), cutOff: null });
    if (ahead !== null && isSame(ahead.guess, text)) return this.#takeOver(ahead, text);
    this.#forget();
    this.#withdraw();
    const beganAt = this.dialogue.callerBeganAt ?? this.#now;
    this.#noteCaller(text);
    if (disclosure.phase === "asking") return this.#answered(text);
    if (this.#isMachine(text, beganAt)) return;
    this.#sayGiven();
    if (this.dialogue.isMuted) return this.#replyOver();
    if (owesGreeting) return this.#open(); // they spoke first
    this.#step(advance(this.#scenario.graph, this.dialogue.workflow, { type: "callerSpoke" }));
  }

  /** Finds out who has answered. True: a machine, and what is done about it has been begun. */
  #isMachine(text: string, beganAt: number): boolean {
    const { answering: settings, graph } = this.#scenario;
    const { phase, hasBeeped, until } = this.dialogue.answering;
    if (settings === null || phase === "over") return false;
    if (phase === "awaitingBeep") { // its greeting goes on
      this.#awaitBeep();
      return true;
    }
    if (phase === "talking" && beganAt > until) return false;
    const by = answererOf(text, { language: languageOf(graph), hasBeeped });
    if (phase === "talking" && (by === "human" || by === "unknown")) return false;
    this.#record({ type: "answered_by", by });
    switch (stepFor(by, settings)) {
      case "talk":
        this.#answeredBy({ phase: "talking", until: this.#now + REVISE_MS });
        return false;
      case "hangUp": {
        const outcome = by === "voicemail" ? "voicemail" : "answered";
        this.#answeredBy({ phase: "over" });
        this.#set({ ending: { outcome, reason: "agent_hung_up" } });
        this.#hangUp(null);
        return true;
      }
      case "awaitBeep":
        this.#awaitBeep();
        return true;
      case "sayPurpose": // who is behind it is greeted once they speak
        this.#answeredBy({ phase: "screened" });
        this.#say(this.#rendered(settings.purpose ?? ""), false);
        this.#set({ preamble: this.dialogue.entries.length });
        this.#finish();
        return true;
      case "navigate":
        this.#answeredBy({ phase: "over" });
        this.#step(advance(graph, this.dialogue.workflow, { type: "callerSpoke" }));
        return true;
    }
  }

  #answeredBy(change: Partial<Answering>): void {
    this.#set({ answering: { ...this.dialogue.answering, ...change } });
  }

  #awaitBeep(): void {
    this.#answeredBy({ phase: "awaitingBeep" });
    if (this.dialogue.answering.hasBeeped) return this.#leaveMessage();
    this.effects.push({ type: "awaitBeep" });
    this.#replyOver();
  }

  #beeped(): void {
    const { answering: { phase, until }, turn } = this.dialogue;
    if (phase === "listening" && turn.floor === "quiet") return; // a sound of the line, before any word
    this.#answeredBy({ hasBeeped: true });
    if (phase === "awaitingBeep") return this.#leaveMessage();
    if (phase === "talking" && this.#now <= until) this.#isMachine("", this.#now);
  }

  #beepDue(): void {
    if (this.dialogue.answering.phase !== "awaitingBeep") return;
    if (this.dialogue.turn.floor === "quiet") return this.#leaveMessage();
    this.effects.push({ type: "awaitBeep" });
  }

  #leaveMessage(): void {
    this.#answeredBy({ phase: "over" });
    const message = this.#rendered(this.#scenario.answering?.message ?? "");
    this.#endWith(message, { outcome: "voicemail", reason: "agent_hung_up" });
  }

  /** True until what opens the call has been begun, where there is something. */
  get #owesGreeting(): boolean {
    const { disclosure } = this.dialogue;
    const { graph, consent } = this.#scenario;
    return !this.#hasBegun && disclosure.phase !== "asking" &&
      (startOf(graph).greeting !== "" || isToBeSaid(disclosure, consent));
  }

  get #hasBegun(): boolean {
    return this.dialogue.entries.length > this.dialogue.preamble;
  }

  /** What is to be said of a recording; then the graph's beginning. */
  #open(): void {
    const { graph, consent } = this.#scenario;
    if (isToBeSaid(this.dialogue.disclosure, consent)) return this.#disclose();
    this.#set({ preamble: this.dialogue.entries.length });
    this.#step(begin(graph));
  }

  /** Said to its end, whoever speaks: its last mark is awaited before anything is recorded. */
  #disclose(): void {
    const { disclosure, question } = this.#scenario.graph.recording ?? { disclosure: "" };
    const isAsked = this.#scenario.consent === "ask";
    const { questions } = this.dialogue.disclosure;
    this.#disclosed({ phase: "saying", questions: questions + (isAsked ? 1 : 0) });
    const sentences = isAsked ? [disclosure, question ?? ""] : [disclosure];
    this.#say(this.#rendered(sentences.join(" ")), false);
    this.#set({ preamble: this.dialogue.entries.length });
    this.#finish();
  }

  /** The sentence is over: heard to its end, or cut off. */
  #toldOfRecording(isHeard: boolean): void {
    const { consent } = this.#scenario;
    if (!isHeard || consent === null) {
      this.#set({ preamble: this.dialogue.entries.length });
      return this.#disclosed({ phase: "missed" });
    }
    this.#record({ type: "recording_disclosed", consent });
    if (consent === "ask") return this.#disclosed({ phase: "asking" });
    this.#disclosed({ phase: "over" });
    this.effects.push({ type: "startRecording" });
  }

  /** What the caller said when they were asked; without a yes the call goes on unrecorded. */
  #answered(text: string): void {
    const { graph } = this.#scenario;
    const { questions } = this.dialogue.disclosure;
    const assent = assentOf(text, languageOf(graph));
    this.#set({ preamble: this.dialogue.entries.length });
    if (assent === null && questions < QUESTIONS_MAX) {
      this.#disclosed({ phase: "asking", questions: questions + 1 });
      this.#say(this.#rendered(graph.recording?.question ?? ""), false);
      this.#set({ preamble: this.dialogue.entries.length });
      return this.#finish();
    }
    this.#consented(assent ?? "unclear");
    this.#open();
    if (this.dialogue.open === null && this.dialogue.reply === null) this.#replyOver();
  }

  #consented(answer: Extract<RecordingEvent, { type: "recording_answered" }>["answer"]): void {
    const isGiven = answer === "yes";
    this.#record({ type: "recording_answered", isGiven, answer });
    this.#disclosed({ phase: "over" });
    if (isGiven) this.effects.push({ type: "startRecording" });
  }

  #disclosed(change: Partial<Disclosure>): void {
    this.#set({ disclosure: { ...this.dialogue.disclosure, ...change } });
  }

  /** Answers a turn that is probably over, in a fork of the dialogue. */
  #speculate(text: string): void {
    const { graph } = this.#scenario;
    const { wasted, ahead } = this.dialogue;
    const { isEager, eagerTokensMax } = graph.turns;
    const isAsking = this.dialogue.disclosure.phase === "asking";
    const isMachine = this.#scenario.answering !== null &&
      mayBeMachine(this.dialogue.answering, this.#now);
    const mayGuess = isEager && !isMachine && !this.#owesGreeting && !isAsking &&
      !this.dialogue.isMuted;
    if (!mayGuess || wasted.tokens >= eagerTokensMax) return;
    if (ahead !== null) this.#forget();
    const scene = new Scene(
      { ...this.dialogue, turn: { floor: "thinking", fillers: 0 } },
      this.#scenario,
      this.#now,
    );
    scene.#noteCaller(text);
    const entriesBefore = scene.dialogue.entries.length;
    scene.#step(advance(graph, scene.dialogue.workflow, { type: "callerSpoke" }));
    const fork = { fork: scene.dialogue, entriesBefore, events: [], effects: [], later: [] };
    this.#set({ ahead: { guess: text, ...fork, tokens: 0 } });
    this.#keepAhead(scene, 0);
  }

  #takeAhead(ahead: Ahead, event: DialogueEvent): void {
    if (waitsForTurn(ahead, event)) {
      return this.#set({ ahead: { ...ahead, later: [...ahead.later, event] } });
    }
    const scene = new Scene(ahead.fork, this.#scenario, this.#now);
    scene.#take(event);
    const isText = event.type === "modelSaid" && event.item.type === "item" &&
      event.item.value.type === "text";
    this.#keepAhead(scene, isText ? tokensOf(event.item.value.text) : 0);
  }

  /** Does what the fork may do already, and keeps the rest. A fork in which anything fails is no good. */
  #keepAhead(scene: Scene, tokens: number): void {
    const { ahead } = this.dialogue;
    if (ahead === null) return;
    const hasText = ahead.fork.open !== null;
    const { now, held, events } = divide(scene.effects, hasText);
    if (scene.dialogue.ending !== null || events.some(({ type }) => type === "failed")) {
      const { generations, requests } = scene.dialogue.counts;
      this.#forget();
      return this.#set({ counts: { ...this.dialogue.counts, generations, requests } });
    }
    this.effects.push(...now);
    const asked = now.map((it) => it.type === "request" ? promptTokens(it.prompt) : 0);
    this.#set({
      ahead: {
        ...ahead,
        fork: scene.dialogue,
        events: [...ahead.events, ...events],
        effects: [...ahead.effects, ...held],
        tokens: asked.reduce((sum, count) => sum + count, ahead.tokens + tokens),
      },
    });
  }

  /** The caller went on: of the reply made in advance nothing stays but what it cost. */
  #forget(): void {
    const { ahead, counts, wasted } = this.dialogue;
    if (ahead === null) return;
    const { fork, tokens } = ahead;
    if (fork.reply !== null) this.effects.push({ type: "withdraw" });
    const { generations, requests } = fork.counts;
    if (generations > counts.generations) {
      this.effects.push({ type: "discard", generation: generations });
    }
    this.#set({
      ahead: null,
      counts: { ...counts, generations, requests }, // their numbers are spent
      wasted: { replies: wasted.replies + 1, tokens: wasted.tokens + tokens },
    });
  }

  /** The turn is over as it was guessed: what was made in advance is the reply. */
  #takeOver(ahead: Ahead, text: string): void {
    this.#noteCaller(text);
    const { generations } = this.dialogue.counts;
    this.#set(takeOver(this.dialogue, ahead));
    for (const event of ahead.events) if (event.type !== "caller_said") this.#record(event);
    const generation = this.dialogue.counts.generations;
    if (generation > generations) this.effects.push({ type: "release", generation });
    this.effects.push(...ahead.effects);
    for (const event of ahead.later) this.#take(event);
  }

  /** The caller may be speaking: the reply is made on, and not said before that is known. */
  #holdBack(): void {
    const { reply, cutOff } = this.dialogue;
    if (cutOff !== null) this.#set({ cutOff: { ...cutOff, isDue: false } });
    if (reply !== null && reply.heldBack === null) this.#set({ reply: { ...reply, heldBack: "" } });
  }

  #bargeIn(): void {
    this.#holdBack();
    const current = this.dialogue.utterances.at(-1);
    this.#cutCurrent();
    if (current === undefined || current.cutAt !== null) return;
    this.#set({ cutOff: { generation: current.generation, rest: null, isDue: false } });
  }

  /** The caller's voice came to nothing: what was cut off and what was held back are said. */
  #goOn(): void {
    const { cutOff, reply } = this.dialogue;
    if (cutOff !== null && cutOff.rest === null) {
      this.#set({ cutOff: { ...cutOff, isDue: true } }); // its marks are on their way
      if (reply !== null) this.#turn({ type: "replyAsked" });
      return;
    }
    const text = [cutOff?.rest ?? "", reply?.heldBack ?? ""].filter((it) => it !== "").join(" ");
    this.#set({ cutOff: null, callerBeganAt: null, callerEndedAt: null });
    if (reply !== null) this.#set({ reply: { ...reply, heldBack: null, isOver: false } });
    if (text !== "") this.#say(text, false);
    if (reply !== null) {
      if (text === "") this.#turn({ type: "replyAsked" });
      const { reply: current } = this.dialogue;
      if (reply.isOver && current !== null) this.#replied(current);
      return;
    }
    if (text !== "") return this.#finish();
    if (this.#owesReply) this.#request(0);
  }

  /** A sign of listening: it is on record, and no turn. */
  #signalled(text: string): void {
    const { callerEndedAt } = this.dialogue;
    this.#record({ type: "caller_signalled", text });
    this.#set({
      sign: { text, at: this.#now, endedAt: callerEndedAt },
      callerBeganAt: null,
      callerEndedAt: null,
    });
  }

  /** The recogniser is down, and the caller has spoken. In a language without such a sentence they are asked to speak. */
  #sayUnheard(): void {
    const { unheard, isMuted, cutOff, reply } = this.dialogue;
    const { graph } = this.#scenario;
    if (isMuted) return this.#set({ turn: { floor: "quiet", prompts: 0 } });
    if (cutOff !== null || reply !== null) return this.#goOn(); // and told behind it
    if (this.#owesGreeting) return this.#open();
    const message = "Caller could not be heard";
    if (unheard >= UNHEARD_MAX) return this.#giveUp("listener", "provider_failed", message);
    this.#record({ type: "failed", part: "listener", code: "provider_failed", message });
    this.#set({ unheard: unheard + 1, milestones: {}, callerBeganAt: null, callerEndedAt: null });
    const sentence = unheardOf(languageOf(graph))[unheard] ?? graph.idlePrompt;
    this.#say(this.#rendered(sentence), false);
    this.#finish();
  }

  /** Bridges the wait for a reply, in the utterance that goes on with it. */
  #fill(): void {
    const { reply, workflow } = this.dialogue;
    const { graph } = this.#scenario;
    const sentences = graph.fillers ?? fillersOf(languageOf(graph));
    const sentence = sentences[(reply?.fillers ?? 0) % Math.max(sentences.length, 1)];
    if (reply === null || sentence === undefined) return;
    this.#set({ reply: { ...reply, fillers: reply.fillers + 1 } });
    this.#say(render(sentence, workflow.variables), false, true);
  }

  #noteCaller(text: string): void {
    const { counts, entries, callerBeganAt, callerEndedAt } = this.dialogue;
    const turns = counts.turns + 1;
    const span = this.#spanOf(callerBeganAt, callerEndedAt);
    this.#record({ type: "caller_said", turn: turns, text, span });
    this.#set({
      counts: { ...counts, turns },
      unheard: 0,
      entries: [...entries, { role: "caller", text }],
      milestones: {
        ...(callerEndedAt === null ? {} : { callerEnded: callerEndedAt }),
        endpointed: this.#now,
      },
      callerBeganAt: null,
      callerEndedAt: null,
      sign: null,
      lastTurn: callerEndedAt === null ? null : { endedAt: callerEndedAt },
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
    if (last?.role === "toolOutput") return last.output !== PRESSED;
    return last?.role === "caller";
  }

  #cutShort(): void {
    const { reply, utterances } = this.dialogue;
    const current = utterances.at(-1);
    if (reply !== null && current !== undefined && this.#unheardOf(current) === "") {
      const { fillerMs, fillersMax } = this.#rules;
      const isAwaited = this.dialogue.turn.floor === "quiet";
      if (isAwaited && fillerMs !== null && reply.fillers < fillersMax) {
        this.#fill();
        if (this.dialogue.turn.floor !== "quiet") return;
      }
      return this.#giveUp("model", "unknown_outcome", "No more of the reply came in time");
    }
    if (current !== undefined && this.#isVoiceLate(current)) return this.#voiceStalled(current);
    this.#withdraw();
    this.#record({
      type: "failed",
      part: "speaker",
      code: "unknown_outcome",
      message: "Carrier returned no mark in time",
    });
    this.#cutCurrent();
  }

  /** The carrier has played all that it was sent, as far as marks tell, and there is more to say. */
  #isVoiceLate(current: Utterance): boolean {
    const { words, heardCount, audibleAt } = current;
    if (audibleAt === null) return this.dialogue.milestones.firstSent === undefined;
    return heardCount === words.length && this.#unheardOf(current) !== "";
  }

  /** Said once more from the first word that was not heard; then the carrier's own voice takes over. */
  #voiceStalled(current: Utterance): void {
    const message = "Voice gave no sound in time";
    this.#record({ type: "failed", part: "speaker", code: "provider_failed", message });
    const unsaid = this.#remainderOf(current);
    this.#silence(current);
    if (this.#isSpeechLost()) return;
    if (this.dialogue.turn.floor !== "quiet") return this.#withdraw(); // they have said something
    this.#say(unsaid, false);
    if (this.dialogue.reply === null) this.#finish();
  }

  /** Counts a failure of the voice; one too many ends the call, with an apology that is not ours to say. */
  #isSpeechLost(mayTryAgain = true): boolean {
    const { counts, ending } = this.dialogue;
    const speechFailures = counts.speechFailures + 1;
    this.#set({ counts: { ...counts, speechFailures } });
    if (mayTryAgain && speechFailures <= SPEECH_FAILURES_MAX) return false;
    this.#withdraw();
    this.#set({ ending: ending ?? { outcome: "failed", reason: "provider_failed" } });
    this.#hangUp(this.#rendered(this.#scenario.graph.failureSentence));
    return true;
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

  #pressed(digit: string): void {
    const { workflow, keypad } = this.dialogue;
    const begun = keypad ?? newKeypad(keypadOf(this.#scenario.graph, workflow.node), this.#now);
    this.#key(begun, { type: "pressed", digit, at: this.#now });
  }

  #key(keypad: Keypad, event: KeypadEvent): void {
    const [next, result] = takeKey(keypad, event);
    this.#set({ keypad: result === null ? next : null });
    if (result === null || result.type === "nothing") return;
    if (result.type === "entered") return this.#keyed(`(keyed ${result.digits})`);
    const { minDigits } = keypad.options;
    this.#keyed(`(keyed ${result.digitCount} digits; ${minDigits} are needed)`);
  }

  /** What was keyed is a turn of the caller, who need not wait for the agent to have spoken. */
  #keyed(text: string): void {
    const { turn } = this.dialogue;
    if (turn.floor === "agent" && this.#rules.bargeIn.isAllowed) {
      this.#bargeIn();
      this.#set({ turn: { floor: "caller", text: turn.text } });
    }
    if (this.dialogue.callerEndedAt === null) this.#set({ callerEndedAt: this.#now });
    this.#turn({ type: "keyed", text });
  }

  /** What somebody else gives the agent to say. It waits for the caller, and for what is being said. */
  #give(sentence: string, interrupts: boolean): void {
    const { ending, turn } = this.dialogue;
    if (ending !== null) return;
    if (interrupts && turn.floor === "agent" && this.dialogue.sending === null) {
      this.#withdraw();
      this.#cutCurrent();
    }
    this.#set({ given: [...this.dialogue.given, sentence].slice(-GIVEN_MAX) });
    const { floor } = this.dialogue.turn;
    if (floor !== "quiet" && floor !== "thinking") return;
    this.#sayGiven();
    if (floor === "quiet") this.#finish();
  }

  #sayGiven(): void {
    const { given } = this.dialogue;
    if (given.length === 0) return;
    this.#set({ given: [] });
    for (const sentence of given) this.#say(sentence, false);
  }

  #mute(): void {
    this.#forget();
    this.#withdraw();
    this.#set({ isMuted: true });
    if (this.dialogue.ending !== null) return;
    if (this.dialogue.turn.floor === "thinking") return this.#turn({ type: "replyEmpty" });
    if (this.dialogue.turn.floor === "agent" && this.dialogue.sending === null) this.#cutCurrent();
  }

  #unmute(): void {
    this.#set({ isMuted: false });
    const { turn, ending } = this.dialogue;
    if (turn.floor !== "quiet" || ending !== null) return;
    if (this.#owesGreeting) return this.#open();
    if (this.#owesReply) this.#request(0);
  }

  #promptIdle(prompts: number): void {
    const { graph } = this.#scenario;
    if (this.dialogue.isMuted || this.dialogue.answering.phase === "awaitingBeep") return;
    this.#set({ milestones: {} });
    if (this.dialogue.disclosure.phase === "asking") { // who says nothing has not agreed
      this.#consented("silence");
      return this.#open();
    }
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
      case "pressKeys":
        return this.#keysGiven(action.keys);
      case "listen":
        return this.#replyOver();
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
    const { counts, workflow, entries, reply } = this.dialogue;
    const requests = counts.requests + 1;
    this.#set({
      counts: { ...counts, requests },
      reply: {
        request: requests,
        clauses: noClauses,
        calls: [],
        failures,
        fillers: reply?.fillers ?? 0,
        heldBack: null,
        isOver: false,
      },
    });
    const { system, tools } = promptFor(this.#scenario.graph, workflow);
    const prompt = {
      system: [system, notesText(this.dialogue.notes)].filter((it) => it !== "").join("\n\n"),
      tools,
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
        for (const clause of complete) this.#sayOf(clause);
        return;
      }
      case "toolCall":
        return this.#set({ reply: { ...reply, calls: [...reply.calls, delta.call] } });
      case "usage":
      case "finished":
        return;
    }
  }

  /** A clause of the reply: said, or kept for later. */
  #sayOf(clause: string): void {
    const { reply } = this.dialogue;
    if (reply === null || reply.heldBack === null) return this.#say(clause, false);
    this.#set({ reply: { ...reply, heldBack: `${reply.heldBack} ${clause}`.trim() } });
  }

  #replied(given: Reply): void {
    const rest = lastClause(given.clauses);
    if (rest !== null) this.#sayOf(rest);
    const reply = { ...(this.dialogue.reply ?? given), clauses: noClauses };
    if (reply.heldBack !== null) return this.#set({ reply: { ...reply, isOver: true } });
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
    if (reply.heldBack !== null) { // if the caller has said nothing, it is asked anew
      this.#record({ type: "failed", part: "model", code, message });
      return this.#turn({ type: "replyEmpty" });
    }
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

  #say(text: string, isLast: boolean, isFiller = false): void {
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
        cutOff: null,
      });
      this.effects.push({ type: "begin", generation, isHeld: false });
    }
    const open = this.dialogue.open;
    if (open === null) return;
    const { generation } = open;
    this.#note("firstToken", this.#now); // where the graph speaks, the model's word was a function
    this.#note("firstClause", this.#now);
    this.#set({
      entries: addSaid(this.dialogue.entries, generation, text, isFiller),
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
    this.#forget();
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
    if (turn.floor === "agent" || turn.floor === "closing") {
      this.#turn({ type: "speechEnded", answer: "" });
    }
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
    const { utterances, entries, open } = this.dialogue;
    const utterance = utterances.find((it) => it.generation === generation);
    if (utterance === undefined || utterance.cutAt !== null) return;
    const { code, message, retryable } = error;
    this.#record({ type: "failed", part: "speaker", code, message });
    if (this.#isSpeechLost(retryable)) return;
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
    const { sending } = this.dialogue;
    if (sending?.generation === generation) return this.#keysSent(sending.keys, cutAt === null);
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
    const isTold = this.dialogue.disclosure.phase === "saying";
    if (cutAt !== null && isTold) this.#toldOfRecording(false);
    if (cutAt !== null) return this.#cutSettled(utterance);
    const { unsaid, open } = this.dialogue;
    if (isTold && (unsaid ?? "") === "") this.#toldOfRecording(true);
    this.#set({ unsaid: null, open: open?.generation === generation ? null : open });
    if (unsaid === null || unsaid === "") return this.#spoken();
    this.#say(unsaid, this.dialogue.ending !== null);
    if (this.dialogue.reply === null) this.#finish();
  }

  /** What was cut off is known to the word; it goes on if the voice that cut it off came to nothing. */
  #cutSettled(utterance: Utterance): void {
    const { cutOff } = this.dialogue;
    if (cutOff === null || cutOff.generation !== utterance.generation) return;
    this.#set({ cutOff: { ...cutOff, rest: this.#unheardOf(utterance) } });
    const { floor } = this.dialogue.turn;
    if (cutOff.isDue && (floor === "quiet" || floor === "thinking")) this.#goOn();
  }

  /** All that was given to be said is over; a reply may still be coming. */
  #spoken(): void {
    const { sign } = this.dialogue;
    const isAnswer = sign !== null && this.#now - sign.at <= SIGN_ANSWERS_MS;
    if (isAnswer) this.#set({ callerEndedAt: sign.endedAt, sign: null });
    this.#turn({ type: "speechEnded", answer: isAnswer ? sign.text : "" });
    if (this.dialogue.reply !== null) return this.#turn({ type: "replyAsked" });
    if (this.dialogue.turn.floor !== "quiet") return;
    const { given, disclosure, isMuted, ending } = this.dialogue;
    const isToldOfRecording = disclosure.phase === "over" || disclosure.phase === "missed";
    const isScreened = this.dialogue.answering.phase === "screened";
    const isToBegin = isToldOfRecording && !isScreened && this.#isPreambleOver && !isMuted &&
      ending === null;
    if (isToBegin) return this.#open();
    if (given.length === 0) return;
    this.#sayGiven();
    this.#finish();
  }

  /** True when what was said of a recording is all that has been said. */
  get #isPreambleOver(): boolean {
    return this.dialogue.preamble > 0 && !this.#hasBegun;
  }

  /** The greeting may be let wait; a caller who speaks first is greeted behind their words. */
  #greetingDue(): void {
    const { answering, turn } = this.dialogue;
    if (!this.#owesGreeting || turn.floor !== "quiet" || answering.phase === "screened") return;
    if (this.#scenario.answering !== null && answering.phase === "listening") {
      this.#record({ type: "answered_by", by: "unknown" });
      this.#answeredBy({ phase: "talking", until: this.#now + REVISE_MS });
    }
    this.#open();
  }

  #legReady(greetsLater: boolean): void {
    const { graph } = this.#scenario;
    const { unsaid, ending, workflow, disclosure } = this.dialogue;
    if (this.#scenario.consent === "none" && disclosure.phase === "due") {
      this.#disclosed({ phase: "over" });
      this.effects.push({ type: "startRecording" });
    }
    if (!this.#hasBegun && ending === null) {
      this.#set({ unsaid: null }); // it is said whole
      return greetsLater ? undefined : this.#open();
    }
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
    this.#forget();
    this.#withdraw();
    this.#endCallerTurn();
    if (this.dialogue.disclosure.phase === "asking") this.#disclosed({ phase: "missed" });
    const { cutOff } = this.dialogue;
    const due = cutOff?.isDue ? cutOff.generation : null; // it was to go on
    this.#set({ cutOff: null });
    for (const utterance of this.dialogue.utterances) {
      const unsaid = this.#remainderOf(utterance);
      this.#updateUtterance(
        utterance.generation,
        (it) => settle(cutUtterance(it, this.#now)),
      );
      if (utterance.cutAt === null || utterance.generation === due) this.#set({ unsaid });
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

/** Silence after which the recogniser is to call an utterance over. */
export function endpointingMsOf({ endpointing, silenceMs, isEager }: TurnSettings): number {
  const isEarly = endpointing === "dynamic" || (endpointing === "fixed" && isEager);
  return isEarly ? Math.min(EARLY_ENDPOINT_MS, silenceMs) : silenceMs;
}

/** What the model is told beside the graph. */
function notesText(notes: readonly string[]): string {
  if (notes.length === 0) return "";
  return `Your colleagues have told you during this call:\n${
    notes.slice(-NOTES_MAX).map((note) => `- ${note}`).join("\n")
  }`;
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
