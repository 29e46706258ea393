/** A whole call at virtual time whose agent hears and speaks with one model, over OpenAI's protocol. */

import { speak } from "@/lib/audio/modem.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";
import { type Script, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { openaiRealtime } from "@/lib/providers/realtime/openai.ts";
import { realtimeSpeech } from "@/lib/providers/realtime/speech.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { Secret } from "@/lib/secret.ts";
import { actorKit } from "./actor_kit.ts";
import { type CallKit, callKit, type CallKitOptions } from "./call_kit.ts";
import { playedWords } from "./heard.ts";
import type { ManualClock } from "./manual_clock.ts";
import { connectTo } from "./memory_socket.ts";
import { openaiRealtimeDesk, type RealtimeLog } from "./openai_realtime.ts";
import type { ClientMessage } from "./openai_realtime_messages.ts";
import type { MediaStream } from "./twilio_media.ts";

export interface RealtimeCallOptions extends Pick<CallKitOptions, "graph" | "direction"> {
  /** Of the model in the session. */
  readonly script?: Script;
  /** Others stand in for it; their model follows this script. */
  readonly fallback?: Script;
  readonly transcriptionMs?: number;
}

export interface RealtimeCall extends CallKit {
  readonly clock: ManualClock;
  readonly stream: MediaStream;
  readonly server: RealtimeLog;
  /** What the session's model was asked. */
  readonly prompts: readonly Prompt[];
  /** The next connections are refused with a status; null takes them again. */
  refuse(status: number | null): void;
  /** Resolves once so many words of the agent have been played. */
  hear(count: number): Promise<void>;
  /** The caller says this; resolves at the end of it. */
  say(text: string): Promise<void>;
  heard(): string;
  sent<T extends ClientMessage["type"]>(type: T): readonly Extract<ClientMessage, { type: T }>[];
}

/** A call that waits longer for a word has failed its test. */
const HEAR_MAX_MS = 30_000;

export async function realtimeCall(options: RealtimeCallOptions = {}): Promise<RealtimeCall> {
  const kit = actorKit();
  const { clock } = kit;
  const prompts: Prompt[] = [];
  const { script } = options;
  let status: number | null = null;
  const { log, open } = openaiRealtimeDesk({
    apiKey: "key",
    clock,
    ...(options.transcriptionMs === undefined ? {} : { transcriptionMs: options.transcriptionMs }),
    brain: simulatedModel({
      clock,
      firstTokenMs: 200,
      tokenMs: 10,
      script(prompt, n) {
        prompts.push(prompt);
        return typeof script === "function" ? script(prompt, n) : script?.[n] ?? null;
      },
    }),
  });
  const breakers = newBreakers(clock);
  const guard = <T>(name: string, provider: T) => ({ provider, breaker: breakers.of(name) });
  const speech = realtimeSpeech({
    realtime: openaiRealtime({
      apiKey: new Secret("key"),
      baseUrl: "https://api.openai.com/v1",
      clock,
      model: "gpt-realtime-1.5",
      voice: "marin",
      transcriptionModel: "gpt-transcribe",
      connect: connectTo({ open, status: () => status }),
    }),
    breaker: breakers.of("realtime"),
    clock,
    others: options.fallback === undefined ? { recognisers: [], models: [], voices: [] } : {
      recognisers: [guard("stt", simulatedStt({ clock }))],
      models: [
        guard(
          "llm",
          simulatedModel({ clock, firstTokenMs: 200, tokenMs: 15, script: options.fallback }),
        ),
      ],
      voices: [guard("tts", simulatedTts({ clock }))],
    },
  });
  const { graph, direction } = options;
  const call = callKit({
    kit,
    deps: speech,
    ...(graph === undefined ? {} : { graph }),
    ...(direction === undefined ? {} : { direction }),
  });
  const stream = await call.connect();

  return {
    ...call,
    clock,
    stream,
    server: log,
    prompts,
    refuse: (next) => void (status = next),
    async hear(count) {
      const from = playedWords(stream).length;
      const until = clock.now() + HEAR_MAX_MS;
      while (playedWords(stream).length < from + count) {
        if (clock.now() >= until) throw new Error(`Not heard: ${count} words`);
        await clock.advance(20);
      }
    },
    async say(text) {
      const { audio } = speak(text);
      void stream.say(audio);
      await clock.advance(audio.length / 8);
    },
    heard: () => playedWords(stream).map(({ text }) => text).join(" "),
    sent: <T extends ClientMessage["type"]>(type: T) =>
      log.received.filter((it): it is Extract<ClientMessage, { type: T }> => it.type === type),
  };
}
