/** A call: one live conversation by phone, from the ring to the hang-up. */

import type { Actor, Context, Kind, Outcome, Ref, Reply } from "@/actors/runtime/actor.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { FromRecording } from "@/actors/recording/recording.ts";
import type { Recordings } from "@/actors/recording/recordings.ts";
import { type Consent, consentFor } from "@/lib/recording/consent.ts";
import { AppError } from "@/lib/errors.ts";
import type {
  CallProgress,
  Carrier,
  MediaProtocol,
  Notice,
  PlaceCall,
} from "@/lib/providers/carrier/carrier.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { SpeechToText, TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { senseIn } from "@/lib/speech/sense.ts";
import { type AnsweringSettings, type Graph, languageOf, startOf } from "@/lib/workflow/graph.ts";
import {
  byHook,
  type HookAction,
  hooksOf,
  type Moment,
  type Pulls,
  withPull,
} from "@/lib/workflow/hooks.ts";
import { render } from "@/lib/workflow/template.ts";
import { BeepEar } from "@/lib/audio/beep.ts";
import { Vad } from "@/lib/audio/vad.ts";
import type { Log } from "@/lib/log.ts";
import { INVITE_MS } from "@/lib/listening.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import {
  type Dialogue,
  type DialogueEvent,
  type Effect,
  newDialogue,
  type Scenario,
  SETTLE_MS,
} from "./dialogue.ts";
import { takeEvent } from "@/actors/call/scene/course.ts";
import { BEEP_WAIT_MS, FIRST_WORDS_MS } from "./answering.ts";
import { type Command, controlled } from "./control.ts";
import type { Pause } from "./disclosure.ts";
import { CALLER_HUNG_UP, CRASHED, type Ending, endingOf, TRANSFERRED } from "./ending.ts";
import type { CallEvent, CallOutcome, CallPart, EndReason } from "./events.ts";
import { type FromLeg, leg, legKind, type LegMessage } from "./leg.ts";
import { admit, type Attachment, connectAnswer, type Link, offer } from "./link.ts";
import { type FromListener, listener, listenerKind, type ListenerMessage } from "./listener.ts";
import { type FromModel, model, modelKind, type ModelMessage } from "./model.ts";
import { asRelayed, isInterruptible, relaySetup } from "./relayed.ts";
import { relaySpeaker } from "./relay_speaker.ts";
import { rebuild } from "./rebuild.ts";
import { noticesOf, wordsOf } from "./screen.ts";
import { type FromSpeaker, speaker, speakerKind, type SpeakerMessage } from "./speaker.ts";
import type { Pieces } from "./pieces.ts";
import { pauseTaping, tapeMessage, type Taping } from "./taping.ts";
import {
  type FromTap,
  invited,
  type ListeningIn,
  nobodyListens,
  spent,
  tap,
  tapKind,
} from "./tap.ts";
import type { Ticker } from "./ticker.ts";
import { hearingAt, keypadOf, voiceAt } from "./tuning.ts";
import { deadlineOf, type Turn } from "./turns.ts";
import {
  hiddenVariables,
  isSensitive,
  keptVariables,
  learnSecrets,
  tellsSecret,
  withhold,
} from "./withheld.ts";

export type CallMessage =
  | FromLeg
  | FromListener
  | FromSpeaker
  | FromModel
  | FromRecording
  | FromTap
  /** From the desk, for who may listen in: `reply` fails with conflict while there is nothing to hear. */
  | { type: "invite"; by: string; reply: Reply<{ readonly ticket: string }> }
  /** From the listening route: spends a ticket; `reply` fails with forbidden for one that is none. */
  | { type: "admit"; ticket: string; reply: Reply<{ readonly by: string }> }
  /** From the listening route: the socket of an `admit` that was answered. */
  | { type: "tapped"; by: string; socket: MessageSocket }
  | { type: "tapLeft"; tap: number }
  /** From the desk, for an outbound call: ask the carrier to place it. Numbers are E.164. */
  | { type: "dial"; from: string; to: string; reply: Reply<{ callId: string }> }
  /** From the desk: what to tell the carrier now? Also asked again when the carrier repeats itself. */
  | { type: "answer"; reply: Reply<CallAnswer> }
  /** From the desk: the carrier says that the media stream has ended and the call has not. */
  | { type: "resume"; carrierCallId: string; reply: Reply<CallAnswer> }
  /** From the media route: may this socket be opened? Yes once, for the newest epoch and its token. */
  | { type: "attach"; epoch: number; token: string; reply: Reply<Attachment> }
  /** From the media route: the socket of an `attach` that was answered with ok. */
  | { type: "connected"; socket: MessageSocket }
  /** From the desk: the carrier reports how the call goes. */
  | { type: "progressed"; carrierCallId: string; progress: CallProgress }
  /** From operators, and from the desk, whose `reply` fails with conflict when the call has ended. */
  | { type: "hangUp"; reply?: Reply<void> }
  /** From the desk, for who may: `reply` fails with conflict while the call is not being held. `by`: who gave it. */
  | { type: "control"; command: Command; by: string; reply: Reply<void> }
  | {
    type: "dialed";
    outcome: Outcome<{ readonly carrierCallId: string }>;
    reply: Reply<{ callId: string }>;
  }
  | { type: "deadlinePassed" }
  | { type: "greetingDue" }
  | { type: "beepDue" }
  | { type: "keysDue" }
  | { type: "settleDue"; generation: number }
  | { type: "durationPassed" }
  | { type: "connectMissed" }
  | { type: "endingDue" }
  | { type: "carrierHungUp"; outcome: Outcome<void> }
  | { type: "hooksDue"; moment: Moment }
  | { type: "historyRead"; outcome: Outcome<readonly CallEvent[]> }
  /** A write that the end makes good if it failed: it stores all. */
  | { type: "savedMeanwhile" }
  | { type: "saved"; outcome: Outcome<void> }
  | { type: "saveAgain" };

export const callKind: Kind<CallMessage> = {
  name: "call",
  controlMax: 4096,
  restart: "transient",
  intensity: { restarts: 1, withinMs: 24 * 3_600_000 }, // rebuilt once from its events
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

/** The carrier must open the media socket within this of the ring, or of losing the one before. */
export const CONNECT_WITHIN_MS = 15_000;
/** A call we place may ring for so long. */
export const RING_MS = 90_000;
/** The carrier's API and its socket together have this long to end a call. */
export const ENDING_MS = 5_000;
/** Writes of a call's end that may fail, with doubling waits between them. */
const SAVES_MAX = 8;
const SAVE_AGAIN_MS = 500;
const FILLERS_MAX = 2; // of one reply

export interface CallSettings {
  readonly callId: string;
  readonly tenantId: string;
  readonly direction: "inbound" | "outbound";
  /** Null for a call that is to be placed. */
  readonly carrierCallId: string | null;
  /** `web`: by a page in a browser; `room`: in a LiveKit room. No carrier asks for more of those. Absent: by phone. */
  readonly channel?: Channel;
  readonly graph: Graph;
  /** Of caller and agent: E.164, or what is no number. The law of a recording goes by them. */
  readonly numbers: readonly string[];
}

/** What a call goes over. */
export type Channel = "phone" | "web" | "room";

/** What is stored of a call when it has ended. */
export interface EndedCall {
  readonly outcome: CallOutcome;
  readonly reason: EndReason;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly answeredAt: Date | null;
  readonly endedAt: Date;
}

export interface CallDeps {
  /** Of media paths: which machine holds this call. */
  readonly nodeId: string;
  readonly carrier: Carrier;
  /** For a socket that was let in with this token. */
  readonly newProtocol: (
    link: { readonly carrierCallId: string; readonly token: string },
  ) => MediaProtocol;
  readonly stt: SpeechToText;
  readonly llm: LanguageModel;
  readonly tts: TextToSpeech;
  readonly ticker: Ticker;
  readonly recordings: Pick<Recordings, "open" | "running">;
  readonly pieces: Pieces;
  readonly newToken: () => string;
  /** Hands an event to the recorder; `seq` counts from 1 without a gap. */
  record(seq: number, event: CallEvent, at: Date): void;
  /** The events of this call so far, those included that were just recorded. */
  history(signal: AbortSignal): Promise<readonly CallEvent[]>;
  /** Where the carrier finds us for a call we place. */
  readonly urls: Pick<PlaceCall, "answerUrl" | "statusUrl">;
  /** Where the carrier asks what is next, under PUBLIC_URL. */
  readonly resumePath: string;
  savePlaced(carrierCallId: string, signal: AbortSignal): Promise<void>;
  saveLive(answeredAt: Date, signal: AbortSignal): Promise<void>;
  saveEnd(ended: EndedCall, signal: AbortSignal): Promise<void>;
  readonly log: Log;
}

type LastWord = Extract<CallAnswer, { type: "refused" | "transfer" }>;

interface Children {
  readonly listener: Ref<ListenerMessage>;
  readonly speaker: Ref<SpeakerMessage>;
  readonly model: Ref<ModelMessage>;
  readonly leg: Ref<LegMessage> | null;
}

interface State {
  readonly phase: "rebuilding" | "connecting" | "live" | "ending" | "saving";
  /** Of the agent's hooks. */
  readonly pulls: Pulls;
  readonly listening: ListeningIn;
  /** Null until the carrier has taken a call of ours. */
  readonly carrierCallId: string | null;
  readonly link: Link;
  readonly children: Children;
  readonly dialogue: Dialogue;
  readonly seq: number;
  readonly taping: Taping | null;
  /** Numbers that the caller gave at a sensitive node: they must not turn up in the record. */
  readonly secrets: readonly string[];
  readonly answeredAt: Date | null;
  readonly ending: Ending | null;
  /** What the carrier is told when it asks what is next, in its own voice or to whom it is to dial; null: it just hangs up. */
  readonly lastWord: LastWord | null;
  /** Whom the caller is handed to once the agent has said its last words. */
  readonly transferTo: string | null;
  /** What is being stored, once it has ended, and how often that has failed. */
  readonly saving: { readonly ended: EndedCall; readonly failures: number } | null;
}

export function call(settings: CallSettings, deps: CallDeps): Actor<State, CallMessage> {
  /** Whether the carrier hears and speaks for the agent. */
  const isRelayed = settings.graph.relay !== null && (settings.channel ?? "phone") === "phone";
  const graph = isRelayed ? asRelayed(settings.graph) : settings.graph;
  const relay = isRelayed ? relaySetup(graph) : null;
  const consent = graph.recording === null ? null : consentFor(graph.recording.consent, {
    numbers: settings.numbers,
    state: graph.recording.state,
  });
  const answering = settings.direction === "outbound" ? graph.answering : null;
  const scenario = scenarioOf(graph, consent, answering);
  const hidden = hiddenVariables(graph);
  const { rules } = scenario;
  const isWeb = settings.channel === "web";
  /** Whether a carrier asks what is next when the media socket has closed. */
  const isAsked = (settings.channel ?? "phone") === "phone";

  /** Their ids fit into an operator's path as they are: `call_….listener`. */
  function spawnChildren(ctx: Context<CallMessage>): Children {
    const self = ctx.self;
    const start = startOf(graph).id;
    return {
      listener: ctx.spawn(listenerKind, `${ctx.self.id}.listener`, () =>
        listener({
          stt: deps.stt,
          options: hearing(start),
          call: self,
          pieces: deps.pieces,
          vad: new Vad(),
          tellsSounds: graph.turns.bargeIn.bySound,
          isEarly: settings.direction === "inbound" && !isRelayed,
          ...(answering === null ? {} : { beeps: new BeepEar() }),
        })),
      speaker: relay === null
        ? ctx.spawn(speakerKind, `${ctx.self.id}.speaker`, () =>
          speaker({
            tts: deps.tts,
            options: voiceAt(graph, start),
            ticker: deps.ticker,
            call: self,
          }))
        : ctx.spawn(
          speakerKind,
          `${ctx.self.id}.speaker`,
          () => relaySpeaker({ call: self, language: relay.language }),
        ),
      model: ctx.spawn(
        modelKind,
        `${ctx.self.id}.model`,
        () => model({ model: deps.llm, call: self }),
      ),
      leg: null,
    };
  }

  function hearing(nodeId: string): TranscribeOptions {
    return { ...hearingAt(graph, nodeId), ...(isWeb ? { source: "microphone" } : {}) };
  }

  /** Has the caller listened to as the node that the conversation is at wants it. */
  function tune({ children, dialogue }: State): void {
    children.listener.send({ type: "tune", options: hearing(dialogue.workflow.node) });
  }

  /** `isHere`: the event is of a sensitive node. */
  function record(
    state: State,
    event: CallEvent,
    ctx: Context<CallMessage>,
    isHere = isSensitive(graph, state.dialogue.workflow.node),
  ): State {
    // Of a call whose events could not be read their number is unknown: its row alone says how it ended.
    if (state.seq === 0 && event.type !== "call_started") return state;
    const seq = state.seq + 1;
    const secrets = isHere ? learnSecrets(state.secrets, event, hidden) : state.secrets;
    deps.record(seq, withhold(event, { isHere, hidden, secrets }), ctx.date());
    for (const notice of noticesOf(event)) show(state, notice);
    return { ...state, seq, secrets };
  }

  /** From here on what goes over the line is recorded. */
  function startRecording(state: State, ctx: Context<CallMessage>): State {
    if (graph.recording === null || consent === null || state.taping !== null) return state;
    const { callId, tenantId } = settings;
    const { format } = graph.recording;
    const running = deps.recordings.open({ callId, tenantId, consent, format }, ctx.self);
    const taping: Taping = { running, pauses: [] };
    const on = record({ ...state, taping }, { type: "recording_started", consent }, ctx);
    tape(on);
    return heedNode(on, ctx);
  }

  function tape({ taping, children: { leg } }: State): void {
    if (taping !== null) leg?.send(tapeMessage(taping));
  }

  /** Nothing that is said or keyed at a sensitive node is recorded. */
  function heedNode(state: State, ctx: Context<CallMessage>): State {
    const isHere = isSensitive(graph, state.dialogue.workflow.node);
    return pauseTape(state, { cause: "sensitive", isPaused: isHere }, ctx);
  }

  /** A number that was given at a sensitive node is not recorded when the agent repeats it. */
  function hush(state: State, text: string, ctx: Context<CallMessage>): State {
    if (!tellsSecret(text, state.secrets)) return state;
    return pauseTape(state, { cause: "repeated", isPaused: true }, ctx);
  }

  function pauseTape(
    state: State,
    change: Parameters<typeof pauseTaping>[1],
    ctx: Context<CallMessage>,
  ): State {
    if (state.taping === null) return state;
    const [taping, event] = pauseTaping(state.taping, change);
    if (event === null) return { ...state, taping };
    state.children.leg?.send({ type: "pauseTape", isPaused: change.isPaused });
    return record({ ...state, taping }, event, ctx);
  }

  /** Has the leg that there is tell those who listen. */
  function tapLeg({ listening, children: { leg } }: State): void {
    leg?.send({ type: "taps", taps: listening.seats.map(({ ref }) => ref) });
  }

  /** The agent has its place back, and knows that somebody was in it. */
  function giveBack(state: State, ctx: Context<CallMessage>): State {
    const { listening } = state;
    const seat = listening.seats.find(({ id }) => id === listening.takenBy);
    if (seat === undefined) return state;
    seat.ref.send({ type: "answered", answer: "given" });
    const given: State = { ...state, listening: { ...listening, takenBy: null } };
    const ended = record(given, { type: "takeover_ended", by: seat.by }, ctx);
    const told = tell(ended, { type: "note", text: TAKEN_NOTE }, ctx);
    return tell(told, { type: "mute", isMuted: false }, ctx);
  }

  function welcome(): Notice {
    const { stt, tts } = deps;
    const simulated = { stt: stt.provider === "simulated", tts: tts.provider === "simulated" };
    return { type: "welcome", agent: graph.name, language: languageOf(graph), simulated };
  }

  /** On the caller's screen, if they have one. */
  function show(state: State, notice: Notice): void {
    if (isWeb) state.children.leg?.send({ type: "show", notice });
  }

  function tell(state: State, event: DialogueEvent, ctx: Context<CallMessage>): State {
    return state.phase === "live" ? converse(state, event, ctx) : state;
  }

  /** What tells of speech counts until the line is closed: a call that is being hung up is still heard. */
  function tellOfSpeech(state: State, event: DialogueEvent, ctx: Context<CallMessage>): State {
    return state.phase === "ending" ? converse(state, event, ctx) : tell(state, event, ctx);
  }

  /** Lets the dialogue take an event, and does what follows. */
  function converse(state: State, event: DialogueEvent, ctx: Context<CallMessage>): State {
    const before = state.dialogue;
    const [dialogue, effects] = takeEvent(before, event, scenario, ctx.now());
    let next: State = { ...state, dialogue };
    const isHere = isSensitive(graph, before.workflow.node);
    for (const effect of effects) {
      next = effect.type === "record"
        ? record(next, effect.event, ctx, isHere)
        : perform(next, effect, ctx);
    }
    const isSaid = dialogue.utterances.length === 0 && before.utterances.length > 0;
    if (isSaid) next = pauseTape(next, { cause: "repeated", isPaused: false }, ctx);
    if (dialogue.workflow.node !== before.workflow.node) {
      const isHushed = isSensitive(graph, dialogue.workflow.node);
      if (isHushed !== isHere) {
        for (const { ref } of next.listening.seats) ref.send({ type: "hushed", isHushed });
      }
      tune(next);
      next = heedNode(next, ctx);
    }
    if (dialogue.turn.floor !== before.turn.floor) {
      show(next, { type: "state", floor: dialogue.turn.floor });
    }
    if (next.phase === "live" && dialogue.turn !== before.turn) {
      ctx.timer("turn", deadlineOf(dialogue.turn, rules), { type: "deadlinePassed" });
    }
    const hasFailed = effects.some((it) => it.type === "record" && it.event.type === "failed");
    if (hasFailed) next = pull(next, { type: "failed" }, ctx);
    const { node } = dialogue.workflow;
    if (node !== before.workflow.node) next = pull(next, { type: "moved", node }, ctx);
    const prompts = promptsOf(dialogue.turn);
    if (prompts > promptsOf(before.turn)) next = pull(next, { type: "silent", prompts }, ctx);
    return next;
  }

  function perform(
    state: State,
    effect: Exclude<Effect, { type: "record" }>,
    ctx: Context<CallMessage>,
  ): State {
    const { speaker, model, listener, leg } = state.children;
    switch (effect.type) {
      case "begin":
        if (leg !== null && state.phase === "live") { // on a line that is being closed nothing begins
          const voice = voiceAt(graph, state.dialogue.workflow.node);
          const mayBeCut = isInterruptible(graph, state.dialogue);
          speaker.send({ ...effect, leg, voice, isInterruptible: mayBeCut });
        }
        return effect.keys === undefined ? state : hush(state, effect.keys, ctx);
      case "text":
        speaker.send(effect);
        return hush(state, effect.text, ctx);
      case "finish":
      case "release":
      case "discard":
        speaker.send(effect);
        return state;
      case "listen":
        listener.send(effect);
        return state;
      case "silence": {
        const { generation } = effect;
        if (leg !== null) speaker.send({ type: "silence", generation, leg });
        ctx.timer(`settle ${generation}`, SETTLE_MS, { type: "settleDue", generation });
        return state;
      }
      case "request":
        model.send(effect);
        return state;
      case "withdraw":
        model.send(effect);
        return state;
      case "awaitBeep":
        ctx.timer("beep", BEEP_WAIT_MS, { type: "beepDue" });
        return state;
      case "startRecording":
        return startRecording(state, ctx);
      case "hangUp":
        return end(state, effect.ending, effect.sentence, ctx);
    }
  }

  function newLink(state: State): State {
    return { ...state, link: offer(state.link.epoch + 1, deps.newToken()) };
  }

  function answer(state: State): CallAnswer {
    switch (state.phase) {
      case "rebuilding":
      case "connecting":
      case "live":
        return connectAnswer(state.link, {
          callId: settings.callId,
          nodeId: deps.nodeId,
          resumePath: deps.resumePath,
          relay,
        });
      case "ending":
      case "saving":
        // Dialed once: the carrier asks here as well when the number it dialed is done.
        if (state.phase === "saving" && state.lastWord?.type === "transfer") {
          return { type: "hangUp" };
        }
        return state.lastWord ?? { type: "hangUp" };
    }
  }

  /** The leg is gone, but the call is not: wait for the carrier to bring another. */
  function loseLeg(state: State, ctx: Context<CallMessage>): State {
    const lost = tell(state, { type: "legLost" }, ctx);
    const { generations } = lost.dialogue.counts;
    lost.children.speaker.send({ type: "silence", generation: generations, leg: null });
    ctx.cancel("turn");
    ctx.timer("connect", CONNECT_WITHIN_MS, { type: "connectMissed" });
    const { epoch } = lost.link;
    const waiting = record(newLink(lost), { type: "leg_lost", epoch }, ctx);
    return { ...waiting, phase: "connecting", children: { ...waiting.children, leg: null } };
  }

  /** The carrier's word that a stream is over may overtake the socket's close, and the path is spent. */
  function endStream(state: State, ctx: Context<CallMessage>): State {
    const { phase, link, children } = state;
    if (link.phase === "offered" || (phase !== "live" && phase !== "connecting")) return state;
    if (children.leg !== null) ctx.stopChild(children.leg, "Carrier ended the stream");
    if (phase === "live") return loseLeg(state, ctx);
    return newLink({ ...state, children: { ...children, leg: null } });
  }

  /** Ends the call at the carrier, unless that has happened. Closing the socket alone would not hang up. */
  function end(
    state: State,
    ending: Ending,
    sentence: string | null,
    ctx: Context<CallMessage>,
  ): State {
    if (state.phase === "ending" || state.phase === "saving") return state;
    for (const timer of ["turn", "duration", "connect"]) ctx.cancel(timer);
    ctx.timer("ending", ENDING_MS, { type: "endingDue" });
    show(state, { type: "over", reason: ending.reason, sentence });
    for (const { ref } of state.listening.seats) ref.send({ type: "callEnded" });
    // Of a page's call it has just been shown, and no carrier asks for it.
    const lastWord = isAsked ? lastWordOf(state, ending, sentence) : null;
    const ended: State = { ...state, phase: "ending", ending, lastWord };
    const { carrierCallId, answeredAt, children } = state;
    if (carrierCallId === null) return ended; // it is being dialed: nothing can be hung up yet
    const isRinging = settings.direction === "outbound" && answeredAt === null;
    if (lastWord === null || isRinging) hangUpAtCarrier(carrierCallId, ctx);
    else children.leg?.send({ type: "hangUp", why: ending.reason }); // the carrier then asks, and gets the last word
    return ended;
  }

  function savePlaced(carrierCallId: string, ctx: Context<CallMessage>): void {
    ctx.run("save placed", (signal) => deps.savePlaced(carrierCallId, signal), () => ({
      type: "savedMeanwhile",
    }));
  }

  function hangUpAtCarrier(carrierCallId: string, ctx: Context<CallMessage>): void {
    ctx.run(
      "hang up",
      (signal) => deps.carrier.hangUp(carrierCallId, signal),
      (outcome) => ({ type: "carrierHungUp", outcome }),
    );
  }

  /** Nothing more will be said: record how it came out, and store it. */
  function save(state: State, ctx: Context<CallMessage>): State {
    if (state.phase === "saving") return state;
    const ending = state.ending ?? CALLER_HUNG_UP;
    const settled = converse(state, { type: "legLost" }, ctx);
    const unrecorded = settled.taping === null
      ? settled
      : record({ ...settled, taping: null }, { type: "recording_stopped" }, ctx);
    return store(record(unrecorded, { type: "call_ended", ...ending }, ctx), ending, ctx);
  }

  /** Lets go of line and providers, and stores the end; then the call stops. */
  function store(state: State, ending: Ending, ctx: Context<CallMessage>): State {
    const { children, dialogue, answeredAt } = state;
    for (const child of Object.values(children)) {
      if (child !== null) ctx.stopChild(child, "Call has ended");
    }
    for (const work of ["turn", "duration", "connect", "ending", "hang up"]) ctx.cancel(work);
    const { secrets } = state;
    const variables = keptVariables(dialogue.workflow.variables, { hidden, secrets });
    const ended: EndedCall = { ...ending, variables, answeredAt, endedAt: ctx.date() };
    write(ended, ctx);
    const saving = { ended, failures: 0 };
    return { ...state, phase: "saving", ending, saving, children: { ...children, leg: null } };
  }

  function write(ended: EndedCall, ctx: Context<CallMessage>): void {
    ctx.run(
      "save",
      (signal) => deps.saveEnd(ended, signal),
      (outcome) => ({ type: "saved", outcome }),
    );
  }

  function fail(
    state: State,
    part: CallPart,
    error: { readonly code: string; readonly message: string },
    ctx: Context<CallMessage>,
  ): State {
    const { code, message } = error;
    const failed = record(state, { type: "failed", part, code, message }, ctx);
    return pull(failed, { type: "failed" }, ctx);
  }

  function startDuration(ctx: Context<CallMessage>): void {
    ctx.timer("duration", graph.limits.maxDurationMs, { type: "durationPassed" });
    for (const { on } of graph.hooks) {
      if (on.type !== "elapsed") continue;
      ctx.timer(`hooks ${on.afterMs}`, on.afterMs, { type: "hooksDue", moment: on });
    }
  }

  function spoken(action: HookAction, state: State): Command {
    switch (action.type) {
      case "say":
        return { ...action, text: rendered(action.text, state) };
      case "transfer":
        return { ...action, sentence: action.sentence && rendered(action.sentence, state) };
      case "addContext":
      case "hangUp":
        return action;
    }
  }

  /** Does what the agent's hooks have for this moment. */
  function pull(state: State, moment: Moment, ctx: Context<CallMessage>): State {
    let next = state;
    for (const hook of hooksOf(graph.hooks, moment, state.pulls)) {
      if (next.phase !== "live" || next.dialogue.ending !== null) return next;
      if (hook.do.type === "transfer" && !isAsked) continue; // no carrier dials for it
      const by = byHook(hook);
      const pulled = { ...next, pulls: withPull(next.pulls, by) };
      const command = spoken(hook.do, next);
      next = obey(record(pulled, controlled(command, by), ctx), command, ctx);
    }
    return next;
  }

  function obey(state: State, command: Command, ctx: Context<CallMessage>): State {
    switch (command.type) {
      case "say": {
        const { text, interrupts } = command;
        return tell(state, { type: "say", sentence: text, interrupts }, ctx);
      }
      case "pressKeys":
        return tell(state, { type: "sendKeys", keys: command.keys }, ctx);
      case "addContext":
        return tell(state, { type: "note", text: command.text }, ctx);
      case "mute":
      case "unmute":
        return tell(state, { type: "mute", isMuted: command.type === "mute" }, ctx);
      case "pauseRecording":
      case "resumeRecording": {
        const isPaused = command.type === "pauseRecording";
        return pauseTape(state, { cause: "asked", isPaused }, ctx);
      }
      case "transfer": {
        const { to, sentence } = command;
        const leaving: State = { ...state, transferTo: to };
        if (sentence === null) return end(leaving, TRANSFERRED, null, ctx);
        return tell(leaving, { type: "end", sentence, ending: TRANSFERRED }, ctx);
      }
      case "hangUp":
        return end(state, { outcome: "answered", reason: "agent_hung_up" }, null, ctx);
    }
  }

  /** Says the agent's apology, then hangs up; with no leg to say it on, the carrier says it. */
  function apologise(state: State, reason: EndReason, ctx: Context<CallMessage>): State {
    if (state.dialogue.ending !== null) return state; // as a hook has it, say, that transfers
    const ending: Ending = { outcome: "failed", reason };
    const sentence = rendered(graph.failureSentence, state);
    if (state.phase === "live") return tell(state, { type: "end", sentence, ending }, ctx);
    return end(state, ending, sentence, ctx);
  }

  return {
    init(ctx, restart) {
      const state: State = {
        phase: restart === undefined ? "connecting" : "rebuilding",
        carrierCallId: settings.carrierCallId,
        link: offer(1, deps.newToken()),
        children: spawnChildren(ctx),
        dialogue: newDialogue(graph),
        pulls: {},
        listening: nobodyListens,
        seq: 0,
        taping: null,
        secrets: [],
        answeredAt: null,
        ending: null,
        lastWord: null,
        transferTo: null,
        saving: null,
      };
      const mayRing = restart === undefined && settings.direction === "outbound";
      ctx.timer("connect", mayRing ? RING_MS : CONNECT_WITHIN_MS, { type: "connectMissed" });
      if (restart === undefined) {
        return record(state, { type: "call_started", direction: settings.direction }, ctx);
      }
      ctx.hold("history", deps.history, (outcome) => ({ type: "historyRead", outcome }));
      return state;
    },
    on: {
      historyRead(state, { outcome }, ctx) {
        if (!outcome.ok) return end(state, CRASHED, rendered(graph.failureSentence, state), ctx);
        const rebuiltOf = rebuild(outcome.value, graph);
        const { dialogue, seq, epoch, carrierCallId, recording, pulls } = rebuiltOf;
        const running = recording.isOn ? deps.recordings.running(settings.callId) : null;
        const pauses: Pause[] = recording.isAskedToPause ? ["asked"] : [];
        if (isSensitive(graph, dialogue.workflow.node)) pauses.push("sensitive");
        const rebuilt: State = {
          ...state,
          phase: "connecting",
          carrierCallId: state.carrierCallId ?? carrierCallId,
          dialogue,
          pulls,
          seq,
          link: { ...state.link, epoch: epoch + 1 },
          taping: running && { running, pauses },
          answeredAt: epoch === 0 ? null : ctx.date(), // once stored, the first one stays
        };
        const ended = outcome.value.findLast((event) => event.type === "call_ended");
        if (ended !== undefined) {
          return store(rebuilt, { outcome: ended.outcome, reason: ended.reason }, ctx);
        }
        if (epoch > 0) startDuration(ctx);
        tune(rebuilt);
        const failed = fail(rebuilt, "call", { code: "crashed", message: "Rebuilt" }, ctx);
        if (!recording.isOn || running !== null) return failed;
        return record(failed, { type: "recording_failed", reason: "crashed" }, ctx);
      },
      dial(state, { from, to, reply }, ctx) {
        if (state.phase !== "connecting") {
          reply.fail(new AppError("conflict", "Cannot place a call: it has been hung up"));
          return save(state, ctx);
        }
        const timeLimitSeconds = Math.ceil((graph.limits.maxDurationMs + RING_MS) / 1000);
        ctx.run(
          "dial",
          (signal) => deps.carrier.placeCall({ from, to, timeLimitSeconds, ...deps.urls }, signal),
          (outcome) => ({ type: "dialed", outcome, reply }),
        );
        return state;
      },
      dialed(state, { outcome, reply }, ctx) {
        if (outcome.ok) reply({ callId: settings.callId });
        else reply.fail(outcome.error);
        if (state.phase === "saving") return state;
        if (!outcome.ok) {
          const ending = state.ending ?? { outcome: "failed", reason: "carrier_ended" };
          return save({ ...fail(state, "carrier", outcome.error, ctx), ending }, ctx);
        }
        const { carrierCallId } = outcome.value;
        savePlaced(carrierCallId, ctx);
        if (state.phase === "ending") hangUpAtCarrier(carrierCallId, ctx);
        return record({ ...state, carrierCallId }, { type: "call_dialed", carrierCallId }, ctx);
      },
      answer(state, { reply }) {
        reply(answer(state));
      },
      resume(state, { carrierCallId, reply }, ctx) {
        const known = state.carrierCallId ?? carrierCallId; // its answer may overtake the API's
        if (carrierCallId !== known) return reply({ type: "hangUp" });
        const waiting = { ...endStream(state, ctx), carrierCallId: known };
        reply(answer(waiting));
        if (waiting.phase !== "ending") return waiting;
        return save(waiting, ctx); // the carrier has its last word
      },
      attach(state, { epoch, token, reply }) {
        const { link } = state;
        const attachment = admit(link, { epoch, token });
        if (attachment === "ok" && state.phase !== "connecting") return reply("refused");
        reply(attachment);
        if (attachment === "ok") return { ...state, link: { ...link, phase: "attached" } };
        return state;
      },
      connected(state, { socket }, ctx) {
        const { link, children, phase, carrierCallId } = state;
        const isAwaited = phase === "connecting" && link.phase === "attached";
        if (!isAwaited || children.leg !== null || carrierCallId === null) {
          return socket.close(1008, "Call takes no socket now");
        }
        const { epoch, token } = link;
        const ref = ctx.spawn(
          legKind,
          `${ctx.self.id}.leg.${epoch}`,
          () =>
            leg({ epoch, token, carrierCallId }, {
              socket,
              protocol: deps.newProtocol({ carrierCallId, token }),
              call: ctx.self,
              listener: children.listener,
              speaker: children.speaker,
            }),
        );
        const taken: State = { ...state, children: { ...children, leg: ref } };
        show(taken, welcome());
        tape(taken);
        tapLeg(taken);
        return taken;
      },
      legStarted(state, { epoch }, ctx) {
        if (epoch !== state.link.epoch || state.phase !== "connecting") return state;
        ctx.cancel("connect");
        const answeredAt = state.answeredAt ?? ctx.date();
        if (state.answeredAt === null) {
          startDuration(ctx);
          ctx.run("save live", (signal) => deps.saveLive(answeredAt, signal), () => ({
            type: "savedMeanwhile",
          }));
        }
        const link: Link = { ...state.link, phase: "started" };
        const live = record(
          { ...state, phase: "live", link, answeredAt },
          { type: "leg_started", epoch },
          ctx,
        );
        ctx.timer("turn", rules.idleMs, { type: "deadlinePassed" });
        const wordsMs = answering === null ? 0 : FIRST_WORDS_MS; // who answers, speaks first
        const delayMs = Math.max(graph.turns.firstMessageDelayMs, wordsMs);
        if (delayMs > 0) ctx.timer("greeting", delayMs, { type: "greetingDue" });
        return tell(live, { type: "legReady", greetsLater: delayMs > 0 }, ctx);
      },
      legFaulted(state, _message, ctx) {
        const error = { code: "provider_failed", message: "The carrier reports an error" };
        return fail(state, "leg", error, ctx);
      },
      legEnded(state, { stopped, epoch }, ctx) {
        if (epoch !== state.link.epoch) return state;
        const legless: State = { ...state, children: { ...state.children, leg: null } };
        switch (state.phase) {
          case "rebuilding":
          case "saving":
            return legless;
          case "ending":
            return state.lastWord === null ? save(legless, ctx) : legless;
          case "connecting": // it never started: offer another
            return newLink(legless);
          case "live":
            if (!stopped) return loseLeg(legless, ctx);
            return save(
              { ...legless, ending: CALLER_HUNG_UP },
              ctx,
            );
        }
      },
      marked: (state, message, ctx) => tellOfSpeech(state, message, ctx),
      pressed(state, { digit }, ctx) {
        const { interDigitMs } = keypadOf(graph, state.dialogue.workflow.node);
        ctx.timer("keys", interDigitMs, { type: "keysDue" });
        const pressed = record(state, { type: "dtmf_pressed", digit }, ctx);
        return pull(
          tell(pressed, { type: "pressed", digit }, ctx),
          { type: "pressed", digit },
          ctx,
        );
      },
      hooksDue: (state, { moment }, ctx) => pull(state, moment, ctx),
      heard(state, message, ctx) {
        const { recognition } = message;
        if (recognition.type === "interim" || recognition.type === "final") {
          const isFinal = recognition.type === "final";
          show(state, { type: "callerWords", text: recognition.text, isFinal });
        }
        return tell(state, message, ctx);
      },
      sounded: (state, message, ctx) => tell(state, message, ctx),
      unheard: (state, message, ctx) => tell(state, message, ctx),
      beeped: (state, message, ctx) => tell(state, message, ctx),
      beepDue: (state, message, ctx) => tell(state, message, ctx),
      listenerLost: (state) => tune(state),
      deaf(state, { error }, ctx) {
        return apologise(fail(state, "listener", error, ctx), "provider_failed", ctx);
      },
      wordsPlaced(state, message, ctx) {
        show(state, wordsOf(message, state.dialogue.utterances));
        return tellOfSpeech(state, message, ctx);
      },
      synthesisBegan: (state, message, ctx) => tellOfSpeech(state, message, ctx),
      playoutBegan: (state, message, ctx) => tellOfSpeech(state, message, ctx),
      synthesisFailed: (state, message, ctx) => tell(state, message, ctx),
      speakerLost: (state, message, ctx) => tell(state, message, ctx),
      modelSaid: (state, message, ctx) => tell(state, message, ctx),
      modelLost: (state, message, ctx) => tell(state, message, ctx),
      settleDue: (state, message, ctx) => tellOfSpeech(state, message, ctx),
      deadlinePassed: (state, message, ctx) => tell(state, message, ctx),
      keysDue: (state, message, ctx) => tell(state, message, ctx),
      greetingDue: (state, message, ctx) => tell(state, message, ctx),
      durationPassed(state, _message, ctx) {
        const ending: Ending = { outcome: "answered", reason: "max_duration" };
        if (state.phase !== "live") return end(state, ending, null, ctx); // between two legs
        const sentence = rendered(graph.timeUpSentence, state);
        return tell(state, { type: "end", sentence, ending }, ctx);
      },
      connectMissed(state, _message, ctx) {
        if (state.phase !== "connecting" && state.phase !== "rebuilding") return state;
        const reason = state.answeredAt === null ? "never_connected" : "leg_lost";
        return end(state, { outcome: "failed", reason }, null, ctx);
      },
      progressed(state, { carrierCallId, progress }, ctx) {
        const known = state.carrierCallId ?? carrierCallId; // its word may overtake the API's answer
        if (carrierCallId !== known) return state;
        const ending = endingOf(progress, state.answeredAt !== null);
        if (ending === null || state.phase === "saving") return state;
        if (state.carrierCallId === null) savePlaced(carrierCallId, ctx);
        return save({ ...state, carrierCallId: known, ending: state.ending ?? ending }, ctx);
      },
      invite(state, { by, reply }, ctx) {
        if (state.phase !== "live" || relay !== null) {
          return reply.fail(
            new AppError("conflict", "There is no sound of this call to hear here"),
          );
        }
        const invite = { ticket: deps.newToken(), by, until: ctx.now() + INVITE_MS };
        const listening = invited(state.listening, invite, ctx.now());
        if (listening === null) {
          return reply.fail(new AppError("busy", "Too many tickets wait", { retryable: true }));
        }
        reply({ ticket: invite.ticket });
        return { ...state, listening };
      },
      admit(state, { ticket, reply }, ctx) {
        const admitted = spent(state.listening, ticket, ctx.now());
        if (admitted === null) {
          return reply.fail(new AppError("forbidden", "The ticket was used, or is too old"));
        }
        reply({ by: admitted.by });
        return { ...state, listening: admitted.listening };
      },
      tapped(state, { by, socket }, ctx) {
        if (state.phase === "ending" || state.phase === "saving") {
          return socket.close(1000, "Call has ended");
        }
        const id = state.listening.count + 1;
        const isHushed = isSensitive(graph, state.dialogue.workflow.node);
        const ref = ctx.spawn(
          tapKind,
          `${ctx.self.id}.tap.${id}`,
          () => tap({ id, socket, call: ctx.self, isHushed }),
          { stopped: () => ({ type: "tapLeft", tap: id }) },
        );
        const seats = [...state.listening.seats, { id, by, ref }];
        const seated: State = { ...state, listening: { ...state.listening, seats, count: id } };
        tapLeg(seated);
        return record(seated, { type: "listen_started", by }, ctx);
      },
      tapLeft(state, { tap: id }, ctx) {
        const seat = state.listening.seats.find((it) => it.id === id);
        if (seat === undefined) return state;
        const free = state.listening.takenBy === id ? giveBack(state, ctx) : state;
        const seats = free.listening.seats.filter((it) => it !== seat);
        const left: State = { ...free, listening: { ...free.listening, seats } };
        tapLeg(left);
        if (left.phase === "saving") return left; // its last event is on record
        return record(left, { type: "listen_ended", by: seat.by }, ctx);
      },
      tapAsked(state, { tap: id, ask }, ctx) {
        const { listening } = state;
        const seat = listening.seats.find((it) => it.id === id);
        if (seat === undefined) return state;
        if (ask === "give") return listening.takenBy === id ? giveBack(state, ctx) : state;
        const isHeld = state.phase === "live" && state.dialogue.ending === null;
        if (listening.takenBy !== null || !isHeld) {
          seat.ref.send({ type: "answered", answer: "refused" });
          return state;
        }
        const taken: State = { ...state, listening: { ...listening, takenBy: id } };
        const started = record(taken, { type: "takeover_started", by: seat.by }, ctx);
        const muted = tell(started, { type: "mute", isMuted: true }, ctx);
        seat.ref.send({ type: "answered", answer: "taken" });
        return muted;
      },
      tapSpoke({ phase, listening, children }, { tap: id, audio }) {
        if (phase === "live" && listening.takenBy === id) {
          children.leg?.send({ type: "play", audio });
        }
      },
      hangUp(state, { reply }, ctx) {
        if (state.phase === "saving") {
          return reply?.fail(new AppError("conflict", "The call has ended"));
        }
        reply?.();
        const outcome = state.answeredAt === null ? "failed" : "answered";
        return end(state, { outcome, reason: "stopped" }, null, ctx);
      },
      control(state, { command, by, reply }, ctx) {
        if (state.phase !== "live" || state.dialogue.ending !== null) {
          return reply.fail(new AppError("conflict", "The call is not being held now"));
        }
        if (command.type === "transfer" && !isAsked) {
          return reply.fail(
            new AppError("conflict", "A call from a browser or a room has no carrier to dial"),
          );
        }
        const isOfRecording = command.type === "pauseRecording" ||
          command.type === "resumeRecording";
        if (isOfRecording && state.taping === null) {
          return reply.fail(new AppError("conflict", "The call is not being recorded"));
        }
        reply();
        return obey(record(state, controlled(command, by), ctx), command, ctx);
      },
      recordingLost(state, { reason }, ctx) {
        if (state.taping === null) return state;
        state.children.leg?.send({ type: "tape", running: null, isPaused: false });
        return record({ ...state, taping: null }, { type: "recording_failed", reason }, ctx);
      },
      carrierHungUp(state, { outcome }, ctx) {
        const next = outcome.ok ? state : fail(state, "carrier", outcome.error, ctx);
        if (next.children.leg === null) return save(next, ctx);
        next.children.leg.send({ type: "hangUp" });
        return next;
      },
      endingDue: (state, _message, ctx) => state.phase === "ending" ? save(state, ctx) : state,
      savedMeanwhile() {},
      saved(state, { outcome }, ctx) {
        if (outcome.ok || state.saving === null) return ctx.stop();
        const failures = state.saving.failures + 1;
        if (failures === SAVES_MAX) {
          const { callId } = settings;
          deps.log.error("end of a call not stored", { callId, error: outcome.error });
          return ctx.stop();
        }
        ctx.timer("save again", SAVE_AGAIN_MS * 2 ** (failures - 1), { type: "saveAgain" });
        return { ...state, saving: { ...state.saving, failures } };
      },
      saveAgain({ saving }, _message, ctx) {
        if (saving !== null) write(saving.ended, ctx);
      },
    },
    view: ({ phase, link, dialogue, seq, ending, saving, taping }) => ({
      phase,
      epoch: link.epoch,
      link: link.phase,
      floor: dialogue.turn.floor,
      node: dialogue.workflow.node,
      turns: dialogue.counts.turns,
      replying: dialogue.reply !== null,
      ahead: dialogue.ahead !== null,
      wasted: dialogue.wasted,
      isMuted: dialogue.isMuted,
      isRecorded: taping !== null && taping.pauses.length === 0,
      unsettled: dialogue.utterances.length,
      events: seq,
      ending,
      saveFailures: saving?.failures ?? 0,
    }),
  };
}

/** What the model knows of a conversation that was not its own. */
const TAKEN_NOTE = "A colleague of yours has just spoken with the caller in your place. " +
  "You did not hear the colleague; what the caller said meanwhile stands in the conversation.";

function promptsOf(turn: Turn): number {
  return "prompts" in turn ? turn.prompts : 0;
}

function lastWordOf(
  { transferTo }: Pick<State, "transferTo">,
  { reason }: Ending,
  sentence: string | null,
): LastWord | null {
  if (sentence !== null) return { type: "refused", sentence };
  if (reason !== "transferred" || transferTo === null) return null;
  return { type: "transfer", to: transferTo };
}

/** What a call of this agent goes by. */
export function scenarioOf(
  graph: Graph,
  consent: Consent | null = null,
  answering: AnsweringSettings | null = null,
): Scenario {
  const { bargeIn, fillerMs } = graph.turns;
  const { isAllowed, words, speechMs, bySound, ignoresBackchannels, stopPhrases } = bargeIn;
  return {
    graph,
    rules: {
      idleMs: graph.limits.idleMs,
      bargeIn: { isAllowed, words, speechMs, bySound },
      fillerMs,
      fillersMax: FILLERS_MAX,
    },
    answering,
    consent,
    senseOf: senseIn({ language: languageOf(graph), ignoresBackchannels, stopPhrases }),
  };
}

/** A sentence of the graph, with what is known put in. */
function rendered(template: string, { dialogue }: Pick<State, "dialogue">): string {
  return render(template, dialogue.workflow.variables);
}
