/** A whole call at virtual time: the real actors and codecs between simulated providers and a simulated carrier. */

import {
  call,
  type CallDeps,
  callKind,
  type CallMessage,
  type CallSettings,
  type Channel,
  type EndedCall,
  type Loss,
} from "@/actors/call/call.ts";
import type { Attachment } from "@/actors/call/link.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { newPieces } from "@/actors/call/pieces.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import type { Ref, StopReason } from "@/actors/runtime/actor.ts";
import { newLog } from "@/lib/log.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { twilioRelay } from "@/lib/providers/carrier/twilio_relay.ts";
import { webMedia } from "@/lib/providers/carrier/web_media.ts";
import { type Script, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { type ActorKit, actorKit, prng } from "./actor_kit.ts";
import { eventLog } from "./event_log.ts";
import { type RecordingKit, recordingKit } from "./recordings.ts";
import { socketPair } from "./socket_pair.ts";
import { newWebPage, type WebPage } from "./web_page.ts";
import { newRelayStream, type RelayStream } from "./twilio_relay.ts";
import { type MediaFaults, type MediaStream, newMediaStream } from "./twilio_media.ts";

export const CALL_ID = "call_0198f3c2-0000-7000-8000-000000000001";
export const CARRIER_CALL_ID = `CA${"0".repeat(31)}1`;

export interface CallKitOptions {
  /** Of several calls in one system; each then has a number of its own. */
  readonly kit?: ActorKit;
  readonly nth?: number;
  readonly direction?: "inbound" | "outbound";
  /** `web`: `openPage` opens its socket. */
  readonly channel?: Channel;
  /** Why the call goes on here, from its events. Absent: it begins here. */
  readonly after?: Loss;
  /** Seeds the scheduler; first come, first served when absent. */
  readonly seed?: number;
  readonly graph?: Graph;
  readonly script?: Script;
  readonly delayMs?: { readonly toCarrier: number; readonly toServer: number };
  readonly jitterMs?: number;
  readonly faults?: MediaFaults;
  /** Of a relay: false leaves out what it tells of its speech. */
  readonly tells?: boolean;
  /** Of caller and agent. */
  readonly numbers?: readonly string[];
  /** Where recordings go; in memory when absent. */
  readonly objects?: ObjectStore;
  /** Takes the place of simulated parts. */
  readonly deps?: Partial<CallDeps>;
}

export interface CallKit {
  readonly kit: ActorKit;
  readonly call: Ref<CallMessage>;
  readonly events: readonly CallEvent[];
  /** What was stored at its end; one, when it has ended. */
  readonly ends: readonly EndedCall[];
  /** How often the carrier was told to hang up. */
  readonly hangUps: readonly string[];
  /** How the actor stopped; empty while it lives. */
  readonly stops: readonly StopReason[];
  /** What the call has logged, one JSON line each. */
  readonly logged: readonly string[];
  readonly streams: readonly MediaStream[];
  readonly recordings: RecordingKit;
  /** Asks what to do, as the carrier's webhook does, and opens the media socket. */
  connect(): Promise<MediaStream>;
  answer(): Promise<CallAnswer>;
  resume(): Promise<CallAnswer>;
  /** Opens the media socket that an answer tells of. */
  open(answer: CallAnswer): Promise<MediaStream>;
  /** Opens a page's socket, of a web call, as the answer tells. */
  openPage(answer: CallAnswer): Promise<WebPage>;
  /** Opens a relay's socket, of an agent that the carrier speaks for. */
  openRelay(answer: CallAnswer): Promise<RelayStream>;
  /** As `connect`, when a stream has ended. */
  reconnect(): Promise<MediaStream>;
  attach(epoch: number, token: string): Promise<Attachment>;
  /** Ends what is left, so that nothing outlives the test. */
  close(): Promise<void>;
}

export function callKit(options: CallKitOptions = {}): CallKit {
  const kit = options.kit ?? actorKit(options.seed === undefined ? {} : { seed: options.seed });
  const { nth = 1, direction = "inbound" } = options;
  const callId = `${CALL_ID.slice(0, -2)}${String(nth).padStart(2, "0")}`;
  const ourCarrierCallId = `CA${String(nth).padStart(32, "0")}`;
  const { clock, system } = kit;
  const log = eventLog();
  const { events } = log;
  const ends: EndedCall[] = [];
  const hangUps: string[] = [];
  const streams: MediaStream[] = [];
  const relays: RelayStream[] = [];
  const stops: StopReason[] = [];
  const logged: string[] = [];
  const recordings = recordingKit({
    system,
    clock,
    ...(options.objects === undefined ? {} : { objects: options.objects }),
  });
  let tokens = 0;

  const settings: CallSettings = {
    callId,
    tenantId: "tenant_0198f3c2-0000-7000-8000-000000000001",
    direction,
    channel: options.channel ?? "phone",
    carrierCallId: direction === "inbound" ? ourCarrierCallId : null,
    graph: options.graph ?? parseGraph(demoAgent),
    numbers: options.numbers ?? ["+15550199000", "+15550100100"],
    ...(options.after === undefined ? {} : { after: options.after }),
  };
  const deps: CallDeps = {
    nodeId: "local",
    carrier: {
      provider: "test",
      placeCall: () => Promise.resolve({ carrierCallId: ourCarrierCallId }),
      hangUp(carrierCallId) {
        hangUps.push(carrierCallId);
        for (const stream of streams) stream.stop();
        for (const relay of relays) relay.close();
        return Promise.resolve();
      },
    },
    newProtocol: options.channel === "web"
      ? webMedia
      : (options.graph?.relay ?? null) === null
      ? twilioMedia
      : twilioRelay,
    stt: simulatedStt({ clock }),
    llm: simulatedModel({
      clock,
      firstTokenMs: 200,
      tokenMs: 15,
      ...(options.script === undefined ? {} : { script: options.script }),
    }),
    tts: simulatedTts({ clock }),
    ticker: newTicker(clock),
    recordings,
    pieces: newPieces(),
    newToken: () => `token-${String(++tokens).padStart(32, "0")}`,
    urls: {
      answerUrl: "https://a.test/answer",
      statusUrl: "https://a.test/status",
      answeredByUrl: "https://a.test/answered-by",
    },
    resumePath: `/twilio/calls/${callId}/resume`,
    record: log.record,
    history: log.history,
    savePlaced: () => Promise.resolve(),
    saveLive: () => Promise.resolve(),
    saveEnd(ended) {
      ends.push(ended);
      return Promise.resolve();
    },
    log: newLog({
      level: "debug",
      pii: false,
      date: clock.date,
      write: (line) => void logged.push(line),
    }),
    ...options.deps,
  };
  const ref = system.spawn(callKind, callId, () => call(settings, deps), {
    stopped(reason) {
      recordings.callEnded(callId);
      stops.push(reason);
    },
  });

  async function ask<T>(question: Promise<T>): Promise<T> {
    question.catch(() => {}); // it is awaited below, which may be later
    await clock.settle();
    return await question;
  }

  const attach = (epoch: number, token: string): Promise<Attachment> =>
    ask(ref.ask<Attachment>((reply) => ({ type: "attach", epoch, token, reply })));

  async function spend(answer: CallAnswer): Promise<{ token: string; epoch: number }> {
    if (answer.type !== "connect") throw new Error(`Not to be connected: ${answer.type}`);
    const { token, mediaPath } = answer;
    const epoch = Number(mediaPath.split("/")[4]);
    const attached = await attach(epoch, token);
    if (attached !== "ok") throw new Error(`Not attached: ${attached}`);
    return { token, epoch };
  }

  async function openPage(answer: CallAnswer): Promise<WebPage> {
    await spend(answer);
    const [theirs, ours] = socketPair({ clock });
    const page = newWebPage({ socket: theirs, clock });
    ref.send({ type: "connected", socket: ours });
    await clock.settle();
    page.start();
    await clock.settle();
    return page;
  }

  async function openRelay(answer: CallAnswer): Promise<RelayStream> {
    const { token } = await spend(answer);
    const [carriers, ours] = socketPair({ clock });
    ref.send({ type: "connected", socket: ours });
    await clock.settle();
    const relay = newRelayStream({
      socket: carriers,
      clock,
      callSid: ourCarrierCallId,
      parameters: { token },
      ...(options.tells === undefined ? {} : { tells: options.tells }),
    });
    relays.push(relay);
    await clock.settle();
    return relay;
  }

  async function open(answer: CallAnswer): Promise<MediaStream> {
    const { token, epoch } = await spend(answer);
    const [carriers, ours] = socketPair({ clock });
    const stream = newMediaStream({
      socket: carriers,
      clock,
      accountSid: `AC${"0".repeat(32)}`,
      callSid: ourCarrierCallId,
      streamSid: `MZ${String(epoch).padStart(32, "0")}`,
      parameters: { token },
      ...(options.delayMs === undefined ? {} : { delayMs: options.delayMs }),
      ...(options.jitterMs === undefined
        ? {}
        : { jitterMs: options.jitterMs, random: prng(options.seed ?? 1) }),
      ...(options.faults === undefined ? {} : { faults: options.faults }),
    });
    streams.push(stream);
    ref.send({ type: "connected", socket: ours });
    await clock.settle();
    return stream;
  }

  const answer = (): Promise<CallAnswer> =>
    ask(ref.ask<CallAnswer>((reply) => ({ type: "answer", reply })));
  const resume = (): Promise<CallAnswer> =>
    ask(
      ref.ask<CallAnswer>((reply) => ({ type: "resume", carrierCallId: ourCarrierCallId, reply })),
    );
  return {
    kit,
    call: ref,
    events,
    ends,
    hangUps,
    stops,
    logged,
    streams,
    recordings,
    answer,
    resume,
    attach,
    open,
    openPage,
    openRelay,
    reconnect: async () => await open(await resume()),
    connect: async () => await open(await answer()),
    async close() {
      for (const stream of streams) stream.drop();
      for (const relay of relays) relay.close();
      const ended = system.shutdown();
      await clock.settle();
      await ended;
    },
  };
}
