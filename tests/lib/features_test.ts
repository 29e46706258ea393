/** What is configured: each feature names the setting that it waits for. */

import assert from "node:assert/strict";
import { readConfig, SETTINGS } from "@/lib/config.ts";
import { featuresOf } from "@/lib/features.ts";

function missing(env: Record<string, string>, hasKeys = true): Record<string, string | null> {
  const features = featuresOf(readConfig(env), hasKeys);
  return Object.fromEntries(features.map(({ name, missing }) => [name, missing]));
}

Deno.test("with nothing set all but the carrier and its rooms works, simulated or in memory", () => {
  const { carrier, livekit, rooms, ...rest } = missing({});
  assert.equal(rooms, "ROOMS_URL");
  assert.equal(livekit, "LIVEKIT_URL");
  assert.equal(carrier, "TWILIO_ACCOUNT_SID");
  assert.deepEqual(new Set(Object.values(rest)), new Set([null]));
});

Deno.test("what is not configured names the setting that is missing", () => {
  assert.equal(missing({ TWILIO_ACCOUNT_SID: "AC1" }).carrier, "TWILIO_AUTH_TOKEN");
  assert.equal(missing({ LIVEKIT_URL: "wss://p.livekit.cloud" }).livekit, "LIVEKIT_API_KEY");
  assert.equal(missing({ ROOMS_URL: "ws://127.0.0.1:8100" }).rooms, "ROOMS_TOKEN");
  assert.equal(missing({ STT_PROVIDER: "deepgram" }).stt, "DEEPGRAM_API_KEY");
  assert.equal(missing({ LLM_PROVIDER: "openai" }).llm, "OPENAI_API_KEY");
  assert.equal(missing({ TTS_PROVIDER: "elevenlabs" }).tts, "ELEVENLABS_API_KEY");
  assert.equal(missing({ TTS_PROVIDER: "aura" }).tts, "DEEPGRAM_API_KEY");
  const { logins, apiKeys, credentials, webhooks } = missing({}, false);
  const names = [logins, apiKeys, credentials, webhooks];
  assert.deepEqual(new Set(names), new Set(["KEY_ENCRYPTION_KEYS"]));
  for (const name of names) assert.ok(SETTINGS.includes(name ?? ""));
});
