/** Every model that hears and speaks keeps the one contract. */

import { systemClock } from "@/lib/clock.ts";
import { openaiRealtime } from "@/lib/providers/realtime/openai.ts";
import type { Realtime } from "@/lib/providers/realtime/realtime.ts";
import { simulatedRealtime } from "@/lib/providers/realtime/simulated.ts";
import { Secret } from "@/lib/secret.ts";
import type { Streaming } from "@/tests/support/contract_provider.ts";
import { echo, testRealtime, testRealtimeFaults } from "@/tests/support/contract_realtime.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { startOpenAIRealtime } from "@/tests/support/openai_realtime.ts";

const apiKey = "realtime-test";

/** The server lives in real time; the adapter's own waits are the test's to end. */
async function openai(): Promise<Streaming<Realtime>> {
  const clock = manualClock();
  const server = await startOpenAIRealtime({ apiKey, brain: echo, transcriptionMs: 10 });
  const adapter = openaiRealtime({
    apiKey: new Secret(apiKey),
    baseUrl: server.url,
    clock,
    model: "gpt-realtime-1.5",
    voice: "marin",
    transcriptionModel: "gpt-transcribe",
  });
  return { clock, server, adapter };
}

function simulated(): Promise<Streaming<Realtime>> {
  const adapter = simulatedRealtime({ clock: systemClock, brain: echo, transcriptionMs: 10 });
  return Promise.resolve({ clock: manualClock(), server: null, adapter });
}

testRealtime("openai realtime", openai);
testRealtimeFaults("openai realtime", openai);
testRealtime("simulated realtime", simulated);
