/** What it saves to hold a voice over a call and to keep fixed sentences, and what a room costs, over ElevenLabs' protocol: `sound [--utterances 20]`. */

import { parseArgs } from "node:util";
import { Ambience } from "@/actors/call/ambience.ts";
import { ambience } from "@/lib/audio/ambience.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { atLoudness } from "@/lib/audio/mix.ts";
import { systemClock } from "@/lib/clock.ts";
import { elevenlabs } from "@/lib/providers/tts/elevenlabs.ts";
import { newSpeechMemory, remembered } from "@/lib/providers/tts/remembered.ts";
import { holdVoice, type TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import { startElevenLabs } from "@/tests/support/elevenlabs.ts";

/** Of a provider some 30 ms away: a round trip each for the connection, its encryption and the upgrade. */
const HANDSHAKE_MS = 90;
/** What ElevenLabs says of its fastest model. */
const FIRST_AUDIO_MS = 75;
const MIX_RUNS = 5;
/** Of 100 ms. */
const MIX_PIECES = 10_000;
const OPTIONS = { voice: null, language: "en" };
const TEXT = "We are open from Monday to Friday.";

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { utterances: { type: "string", default: "20" } },
  });
  const utterances = Number(values.utterances);
  return {
    utterances,
    handshakeMs: HANDSHAKE_MS,
    providerMs: FIRST_AUDIO_MS,
    unheld: await speakCall(utterances, false),
    held: await speakCall(utterances, true),
    fixed: await speakTwice(),
    ambience: await mix(),
  };
}

/** A call's utterances, one after the other, from the first word of text to the first audio. */
async function speakCall(utterances: number, isHeld: boolean) {
  const server = await startElevenLabs({
    apiKey: "key",
    handshakeMs: HANDSHAKE_MS,
    firstAudioMs: FIRST_AUDIO_MS,
  });
  const voice = voiceOf(server.url);
  const held = isHeld ? holdVoice(voice, OPTIONS) : null;
  const waits: number[] = [];
  for (let nth = 0; nth < utterances; nth++) waits.push(await firstAudioMs(held ?? voice));
  held?.release();
  await server.close();
  const [first = 0] = waits;
  waits.sort((a, b) => a - b);
  return {
    handshakes: server.acceptedCount,
    firstUtteranceMs: rounded(first),
    medianMs: rounded(waits[Math.floor(waits.length / 2)] ?? 0),
  };
}

/** The room under a second of one call's sound, and the longest that making a sound keeps all others waiting. */
async function mix() {
  let worstMs = 0;
  let layerAt = systemClock.now();
  const sound = await ambience("cafe", () => {
    worstMs = Math.max(worstMs, systemClock.now() - layerAt);
    layerAt = systemClock.now();
    return Promise.resolve();
  });
  const room = new Ambience(atLoudness(sound, -10));
  const audio = new Uint8Array(100 * BYTES_PER_MS);
  const costs: number[] = [];
  for (let run = 0; run < MIX_RUNS; run++) {
    const startedAt = systemClock.now();
    for (let piece = 0; piece < MIX_PIECES; piece++) room.under(audio, piece * 100);
    costs.push((systemClock.now() - startedAt) * 1_000 / (MIX_PIECES / 10));
  }
  costs.sort((a, b) => a - b);
  return { usPerCallSecond: rounded(costs[MIX_RUNS >> 1] ?? 0), longestLayerMs: rounded(worstMs) };
}

function voiceOf(baseUrl: string): TextToSpeech {
  return elevenlabs({
    apiKey: new Secret("key"),
    baseUrl,
    clock: systemClock,
    model: "eleven_flash_v2_5",
    voice: "rachel",
  });
}

/** A fixed sentence in two calls, of which the second finds it kept. */
async function speakTwice() {
  const server = await startElevenLabs({ apiKey: "key", firstAudioMs: FIRST_AUDIO_MS });
  const voice = remembered(voiceOf(server.url), { memory: newSpeechMemory(), name: "bench" });
  const firstCallMs = await firstAudioMs(voice, true);
  const requests = server.receivedCount;
  const secondCallMs = await firstAudioMs(voice, true);
  await server.close();
  return {
    firstCallMs: rounded(firstCallMs),
    secondCallMs: rounded(secondCallMs),
    secondCallMessages: server.receivedCount - requests,
  };
}

async function firstAudioMs(voice: TextToSpeech, isFixed = false): Promise<number> {
  const startedAt = systemClock.now();
  const { signal } = new AbortController();
  let waitMs: number | null = null;
  for await (const { type } of voice.synthesize(clauses(), { ...OPTIONS, isFixed }, signal)) {
    if (type === "audio") waitMs ??= systemClock.now() - startedAt;
  }
  return waitMs ?? NaN;
}

async function* clauses(): AsyncGenerator<string> {
  yield await Promise.resolve(TEXT);
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
