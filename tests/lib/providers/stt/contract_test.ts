/** Every recogniser keeps the one contract. */

import { deepgramFlux } from "@/lib/providers/stt/deepgram_flux.ts";
import { deepgramNova } from "@/lib/providers/stt/deepgram_nova.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { Secret } from "@/lib/secret.ts";
import type { Streaming } from "@/tests/support/contract_provider.ts";
import { testSpeechToText, testSpeechToTextFaults } from "@/tests/support/contract_stt.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const apiKey = "dg-test";

async function nova(): Promise<Streaming<SpeechToText>> {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey, clock });
  const options = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  return { clock, server, adapter: deepgramNova({ ...options, model: "nova-3" }) };
}

async function flux(): Promise<Streaming<SpeechToText>> {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey, clock });
  const options = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  return { clock, server, adapter: deepgramFlux({ ...options, model: "flux-general-en" }) };
}

function simulated(): Promise<Streaming<SpeechToText>> {
  const clock = manualClock();
  const adapter = simulatedStt({ clock, latencyMs: 0 });
  return Promise.resolve({ clock, server: null, adapter });
}

testSpeechToText("nova", nova);
testSpeechToTextFaults("nova", nova);
testSpeechToText("flux", flux);
testSpeechToTextFaults("flux", flux);
testSpeechToText("simulated recogniser", simulated);
