/** Every voice keeps the one contract. */

import { aura } from "@/lib/providers/tts/aura.ts";
import { elevenlabs } from "@/lib/providers/tts/elevenlabs.ts";
import { openaiSpeech } from "@/lib/providers/tts/openai.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { type HeldVoice, holdVoice, type TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import type { Streaming } from "@/tests/support/contract_provider.ts";
import { testTextToSpeech, testTextToSpeechFaults } from "@/tests/support/contract_tts.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { startElevenLabs } from "@/tests/support/elevenlabs.ts";
import { startOpenAISpeech } from "@/tests/support/openai_speech.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const apiKey = "tts-test";

async function eleven(): Promise<Streaming<TextToSpeech>> {
  const clock = manualClock();
  const server = await startElevenLabs({ apiKey, clock });
  const options = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  const adapter = elevenlabs({ ...options, model: "eleven_flash_v2_5", voice: "rachel" });
  return { clock, server, adapter };
}

/** The same, held over a call: what it keeps open goes once the call does. */
async function elevenHeld(): Promise<Streaming<TextToSpeech>> {
  const { clock, server, adapter } = await eleven();
  let held: HeldVoice | null = null;
  const released: typeof server = Object.create(server, {
    allClosed: {
      value: () => {
        held?.release();
        return server?.allClosed();
      },
    },
  });
  const voice: TextToSpeech = {
    provider: adapter.provider,
    async *synthesize(text, options, signal) {
      signal.throwIfAborted(); // a call would not begin either
      held ??= holdVoice(adapter, options);
      yield* held.synthesize(text, options, signal);
    },
  };
  return { clock, server: released, adapter: voice };
}

async function deepgram(): Promise<Streaming<TextToSpeech>> {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey, clock });
  const options = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  return { clock, server, adapter: aura({ ...options, voice: "aura-2-thalia-en" }) };
}

async function openai(): Promise<Streaming<TextToSpeech>> {
  const clock = manualClock();
  const server = await startOpenAISpeech(apiKey);
  const options = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  return { clock, server, adapter: openaiSpeech({ ...options, model: "tts", voice: "alloy" }) };
}

function simulated(): Promise<Streaming<TextToSpeech>> {
  const clock = manualClock();
  const adapter = simulatedTts({ clock, firstByteMs: 0, realTimeFactor: 0 });
  return Promise.resolve({ clock, server: null, adapter });
}

testTextToSpeech("elevenlabs", { hasTimes: true }, eleven);
testTextToSpeechFaults("elevenlabs", eleven);
testTextToSpeech("elevenlabs, held", { hasTimes: true }, elevenHeld);
testTextToSpeechFaults("elevenlabs, held", elevenHeld);
testTextToSpeech("aura", { hasTimes: false }, deepgram);
testTextToSpeechFaults("aura", deepgram);
testTextToSpeech("openai speech", { hasTimes: false }, openai);
testTextToSpeech("simulated voice", { hasTimes: true }, simulated);
