/** A whole call at virtual time: the real actors and codecs between simulated providers and a simulated carrier. */

import {
  call,
  type CallDeps,
  callKind,
  type CallMessage,
  type CallSettings,
  type EndedCall,
} from "@/actors/call/call.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { type Script, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { type ActorKit, actorKit, prng } from "./actor_kit.ts";
import { socketPair } from "./socket_pair.ts";
import { type MediaFaults, type MediaStream, newMediaStream } from "./twilio_media.ts";

export const CALL_ID = "call_0198f3c2-0000-7000-8000-0000000000c1";
export const CARRIER_CALL_ID = `CA${"0".repeat(31)}1`;

export interface CallKitOptions {
  /** Seeds the scheduler; first come, first served when absent. */
  readonly seed?: number;
  readonly graph?: Graph;
  readonly script?: Script;
  readonly delayMs?: { readonly toCarrier: number; readonly toServer: number };
  readonly jitterMs?: number;
  readonly faults?: MediaFaults;
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
  /** Asks what to do, as the carrier's webhook does, and opens the media socket. */
  connect(): Promise<MediaStream>;
  answer(): Promise<CallAnswer>;
  resume(): Promise<CallAnswer>;
  /** Ends what is left, so that nothing outlives the test. */
  close(): Promise<void>;
}

export function callKit(options: CallKitOptions = {}): CallKit {
  const kit = actorKit(options.seed === undefined ? {} : { seed: options.seed });
  const { clock, system } = kit;
  const events: CallEvent[] = [];
  const ends: EndedCall[] = [];
  const hangUps: string[] = [];
  const streams: MediaStream[] = [];
  let tokens = 0;

  const settings: CallSettings = {
    callId: CALL_ID,
    tenantId: "tenant_0198f3c2-0000-7000-8000-000000000001",
    direction: "inbound",
    carrierCallId: CARRIER_CALL_ID,
    graph: options.graph ?? parseGraph(demoAgent),
  };
  const deps: CallDeps = {
    nodeId: "local",
    carrier: {
      provider: "test",
      placeCall: () => Promise.resolve({ carrierCallId: CARRIER_CALL_ID }),
      hangUp(carrierCallId) {
        hangUps.push(carrierCallId);
        for (const stream of streams) stream.stop();
        return Promise.resolve();
      },
    },
    newProtocol: twilioMedia,
    stt: simulatedStt({ clock }),
    llm: simulatedModel({
      clock,
      firstTokenMs: 200,
      tokenMs: 15,
      ...(options.script === undefined ? {} : { script: options.script }),
    }),
    tts: simulatedTts({ clock }),
    ticker: newTicker(clock),
    newToken: () => `token-${String(++tokens).padStart(32, "0")}`,
    urls: { answerUrl: "https://a.test/answer", statusUrl: "https://a.test/status" },
    record(seq, event) {
      events[seq - 1] = event;
    },
    history: () => Promise.resolve([...events]),
    savePlaced: () => Promise.resolve(),
    saveLive: () => Promise.resolve(),
    saveEnd(ended) {
      ends.push(ended);
      return Promise.resolve();
    },
    ...options.deps,
  };
  const ref = system.spawn(callKind, CALL_ID, () => call(settings, deps));

  async function ask<T>(question: Promise<T>): Promise<T> {
    await clock.settle();
    return await question;
  }

  async function open(answer: CallAnswer): Promise<MediaStream> {
    if (answer.type !== "connect") throw new Error(`Not to be connected: ${answer.type}`);
    const { token, mediaPath } = answer;
    const epoch = Number(mediaPath.split("/")[4]);
    const attached = await ask(
      ref.ask<string>((reply) => ({ type: "attach", epoch, token, reply })),
    );
    if (attached !== "ok") throw new Error(`Not attached: ${attached}`);
    const [carriers, ours] = socketPair({ clock });
    const stream = newMediaStream({
      socket: carriers,
      clock,
      accountSid: `AC${"0".repeat(32)}`,
      callSid: CARRIER_CALL_ID,
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
  return {
    kit,
    call: ref,
    events,
    ends,
    hangUps,
    answer,
    resume: () =>
      ask(ref.ask<CallAnswer>((reply) => ({
        type: "resume",
        carrierCallId: CARRIER_CALL_ID,
        reply,
      }))),
    connect: async () => await open(await answer()),
    async close() {
      for (const stream of streams) stream.drop();
      const ended = system.shutdown();
      await clock.settle();
      await ended;
    },
  };
}
