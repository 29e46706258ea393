/** A call: one live conversation by phone, from the ring to the hang-up. What each message does is in life/. */

import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { FromRecording } from "@/actors/recording/recording.ts";
import type { Recordings } from "@/actors/recording/recordings.ts";
import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { ClipRef } from "@/lib/clip_library.ts";
import type { Log } from "@/lib/log.ts";
import type {
  CallProgress,
  Carrier,
  MediaProtocol,
  PlaceCall,
} from "@/lib/providers/carrier/carrier.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { HeardOf } from "@/lib/providers/realtime/voice.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { type CallUsage, NO_USAGE } from "@/lib/conversation/usage.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import type { Moment } from "@/lib/workflow/hooks.ts";
import type { Command } from "./control.ts";
import { type Effect, newDialogue } from "./dialogue.ts";
import type { CallEvent, CallOutcome, EndReason } from "./events.ts";
import type { FromLeg } from "./leg.ts";
import { spawnChildren, tune } from "@/actors/call/life/children.ts";
import { type CallFacts, factsOf } from "@/actors/call/life/facts.ts";
import {
  admit,
  colleagueSaid,
  colleagueUnheard,
  invite,
  nobodyListens,
  tapAsked,
  tapLeft,
  tapped,
  tapSpoke,
} from "@/actors/call/life/listening_in.ts";
import {
  carrierJudged,
  dial,
  dialed,
  hangUp,
  progressed,
  RING_MS,
} from "@/actors/call/life/placing.ts";
import { record } from "@/actors/call/life/record.ts";
import { recordingLost } from "@/actors/call/life/recorded.ts";
import {
  control,
  deaf,
  durationPassed,
  heard,
  pressed,
  wordsPlaced,
} from "@/actors/call/life/reports.ts";
import {
  givenUp,
  leave,
  leaveIfDue,
  type LeavingWhen,
  onRecord,
  sounding,
} from "@/actors/call/life/leaving.ts";
import { historyRead, readHistory } from "@/actors/call/life/restoring.ts";
import { carrierHungUp, save, saveAgain, saved } from "@/actors/call/life/saving.ts";
import type { CallState } from "@/actors/call/life/state.ts";
import {
  answer,
  attach,
  calledBack,
  CONNECT_WITHIN_MS,
  connected,
  connectMissed,
  legEnded,
  legFaulted,
  legStarted,
  resume,
} from "@/actors/call/life/stream.ts";
import { keysNoted, pull, tell, tellOfSpeech } from "@/actors/call/life/talking.ts";
import { type Attachment, offer } from "./link.ts";
import type { FromListener } from "./listener.ts";
import type { FromModel } from "./model.ts";
import type { Pieces } from "./pieces.ts";
import type { FromScribe } from "./scribe.ts";
import type { FromSpeaker } from "./speaker.ts";
import type { FromTap } from "./tap.ts";
import type { Ticker } from "./ticker.ts";

export type CallMessage =
  | FromLeg
  | FromListener
  | FromSpeaker
  | FromModel
  | FromRecording
  | FromTap
  | FromScribe
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
  /** From the desk: the carrier reports how the call goes. `reply`: to a machine that will do without, else. */
  | { type: "progressed"; carrierCallId: string; progress: CallProgress; reply?: Reply<void> }
  /** From the desk: the carrier says who has answered. It may come twice, and before there is a stream. */
  | { type: "carrierJudged"; carrierCallId: string; by: CarrierAnswerer }
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
  | { type: "stallDue"; request: number }
  | { type: "settleDue"; generation: number }
  | { type: "durationPassed" }
  | { type: "connectMissed" }
  | { type: "endingDue" }
  | { type: "carrierHungUp"; outcome: Outcome<void> }
  | { type: "hooksDue"; moment: Moment }
  | { type: "historyRead"; after: Loss | "crash"; tries: number; outcome: Outcome<History> }
  /** From the house, whose machine drains: another is to go on with it. */
  | { type: "leave"; when: LeavingWhen }
  /** Whether the caller makes sounds of speech, as the listener hears it. */
  | { type: "sounding"; outcome: Outcome<boolean> }
  /** The carrier was told to ask what is next; false: to it the call has ended. */
  | { type: "calledBack"; outcome: Outcome<boolean> }
  /** All that has happened is on record; whether the caller has made sounds of speech meanwhile. */
  | { type: "onRecord"; outcome: Outcome<boolean> }
  /** That keys are about to be pressed is on record, or cannot be. */
  | { type: "keysNoted"; begin: Extract<Effect, { type: "begin" }> }
  /** Nobody owns it. */
  | { type: "givenUp"; outcome: Outcome<void> }
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

export interface CallSettings {
  readonly callId: string;
  readonly tenantId: string;
  readonly direction: "inbound" | "outbound";
  /** Null for a call that is to be placed. */
  readonly carrierCallId: string | null;
  /** `web`: by a page in a browser; `room`: in a LiveKit room. No carrier asks for more of those. Absent: by phone. */
  readonly channel?: Channel;
  readonly graph: Graph;
  /** Played wherever the agent says their words. Absent: none. */
  readonly clips?: readonly ClipRef[];
  /** Of caller and agent: E.164, or what is no number. The law of a recording goes by them. */
  readonly numbers: readonly string[];
  /** Why it goes on here, from its events. Absent: it begins here. */
  readonly after?: Loss;
}

/** How a machine came to a call of another: that one was lost, or has left it on purpose. */
export type Loss = "machineLost" | "handedOver";

/** What a call goes over. */
export type Channel = "phone" | "web" | "room";

/** A call as it stands on record. */
export interface History {
  readonly events: readonly CallEvent[];
  /** When its first media stream began; null: none has. */
  readonly answeredAt: Date | null;
  /** When the last of the events happened; null: there are none. */
  readonly lastAt: Date | null;
}

/** What is stored of a call when it has ended. */
export interface EndedCall {
  readonly outcome: CallOutcome;
  readonly reason: EndReason;
  readonly variables: Readonly<Record<string, unknown>>;
  /** What it has used of its providers; null: nobody knows. */
  readonly usage: CallUsage | null;
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
  /** The sound of the room around the agent, as a loop; null: it cannot be had. Absent: there is none. */
  readonly ambience?: Promise<Uint8Array | null>;
  /** What it has used of its providers on this machine. Absent: nobody counts. */
  readonly used?: () => CallUsage;
  /** Of speech whose model must know what was heard of it. */
  readonly heard?: (report: HeardOf) => void;
  readonly ticker: Ticker;
  readonly recordings: Pick<Recordings, "open" | "running">;
  readonly pieces: Pieces;
  readonly newToken: () => string;
  /** Hands an event to the recorder; `seq` counts from 1 without a gap. */
  record(seq: number, event: CallEvent, at: Date): void;
  /** This call so far, what was just recorded included. */
  history(signal: AbortSignal): Promise<History>;
  /** Where the carrier finds us for a call we place. */
  readonly urls: Pick<PlaceCall, "answerUrl" | "statusUrl"> & {
    /** Where it tells who has answered, if it is asked to listen for machines. */
    readonly answeredByUrl: string;
  };
  /** Where the carrier asks what is next, under PUBLIC_URL. */
  readonly resumePath: string;
  savePlaced(carrierCallId: string, signal: AbortSignal): Promise<void>;
  saveLive(answeredAt: Date, signal: AbortSignal): Promise<void>;
  saveEnd(ended: EndedCall, signal: AbortSignal): Promise<void>;
  /** How it leaves this machine for another. Absent: it leaves for none. */
  readonly handOver?: HandOver;
  /**
   * Whether this machine can tell that no other has taken the call: one that cannot, and holds no stream of it,
   * does nothing to it at the carrier. Absent: no other takes any.
   */
  readonly isOurs?: () => boolean;
  /** Is this machine so hard pressed that calls do without extras? Absent: it never is. */
  readonly isPressed?: () => boolean;
  readonly log: Log;
}

export interface HandOver {
  /** Resolves when all events are on record. */
  flush(): Promise<void>;
  /** Resolves when other machines may claim the call. What was not flushed is refused. */
  release(): Promise<void>;
}

type Handler<M> = (state: CallState, message: M, ctx: Context<CallMessage>) => CallState | void;
/** A handler of life/: `call` is what does not change in it. */
type Handle<M> = (call: CallFacts, ...handled: Parameters<Handler<M>>) => ReturnType<Handler<M>>;

export function call(settings: CallSettings, deps: CallDeps): Actor<CallState, CallMessage> {
  const facts = factsOf(settings, deps);
  const { graph } = facts;

  function by<M>(handle: Handle<M>): Handler<M> {
    return (state, message, ctx) => {
      const next = handle(facts, state, message, ctx);
      return next === undefined ? next : leaveIfDue(facts, next, ctx);
    };
  }

  return {
    init(ctx, restart) {
      const after = restart === undefined ? settings.after : "crash";
      const state: CallState = {
        phase: after === undefined ? "connecting" : "rebuilding",
        carrierCallId: settings.carrierCallId,
        judged: null,
        refusals: 0,
        link: offer(1, deps.newToken()),
        leaving: "never",
        restFrom: null,
        staysUntil: -Infinity,
        children: spawnChildren(facts, ctx),
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
        usedBefore: NO_USAGE,
      };
      const mayRing = after === undefined && settings.direction === "outbound";
      ctx.timer("connect", mayRing ? RING_MS : CONNECT_WITHIN_MS, { type: "connectMissed" });
      if (after === undefined) {
        return record(facts, state, { type: "call_started", direction: settings.direction }, ctx);
      }
      readHistory(facts, { after, tries: 1 }, ctx);
      return state;
    },
    on: {
      // Placed, answered, and what the carrier says of it.
      dial: by(dial),
      dialed: by(dialed),
      progressed: by(progressed),
      carrierJudged: by(carrierJudged),
      answer: by(answer),
      resume: by(resume),
      attach: by(attach),
      connected: by(connected),
      connectMissed: by(connectMissed),
      legStarted: by(legStarted),
      legFaulted: by(legFaulted),
      legEnded: by(legEnded),
      calledBack: by(calledBack),
      // What the caller says and keys.
      heard: by(heard),
      sounded: by(tell),
      unheard: by(tell),
      beeped: by(tell),
      listenerLost: (state) => tune(facts, state),
      deaf: by(deaf),
      pressed: by(pressed),
      keysDue: by(tell),
      // What the agent says.
      modelSaid: by(tell),
      modelLost: by(tell),
      stallDue: by(tell),
      wordsPlaced: by(wordsPlaced),
      synthesisBegan: by(tellOfSpeech),
      playoutBegan: by(tellOfSpeech),
      synthesisFailed: by(tell),
      speakerLost: by(tell),
      marked: by(tellOfSpeech),
      settleDue: by(tellOfSpeech),
      // Time that has passed.
      greetingDue: by(tell),
      beepDue: by(tell),
      deadlinePassed: by(tell),
      durationPassed: by(durationPassed),
      hooksDue: (state, { moment }, ctx) => pull(facts, state, moment, ctx),
      // What people and programs of the company do.
      control: by(control),
      hangUp: by(hangUp),
      invite: by(invite),
      admit: by(admit),
      tapped: by(tapped),
      tapLeft: by(tapLeft),
      tapAsked: by(tapAsked),
      tapSpoke: by(tapSpoke),
      colleagueSaid: by(colleagueSaid),
      colleagueUnheard: by(colleagueUnheard),
      recordingLost: by(recordingLost),
      // Its end, and what is made good after a crash.
      historyRead: by(historyRead),
      leave: by(leave),
      sounding: by(sounding),
      onRecord: by(onRecord),
      givenUp: by(givenUp),
      keysNoted: by(keysNoted),
      carrierHungUp: by(carrierHungUp),
      endingDue: (state, _message, ctx) =>
        state.phase === "ending" ? save(facts, state, ctx) : state,
      savedMeanwhile() {},
      saved: by(saved),
      saveAgain: by(saveAgain),
    },
    view: ({ phase, leaving, link, dialogue, seq, ending, saving, taping }) => ({
      phase,
      leaving,
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
