/** Settings: what an environment means, and what is said about a wrong one. */

import assert from "node:assert/strict";
import { environment, machineOf, readConfig, SETTINGS } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";

/** The error that an environment is refused with. */
function refusal(env: Record<string, string>): AppError {
  try {
    readConfig(env);
  } catch (error) {
    assert(error instanceof AppError);
    return error;
  }
  assert.fail("the settings were accepted");
}

Deno.test("no setting at all means simulated providers on the embedded database, on loopback", () => {
  const config = readConfig({});
  assert.deepEqual(config.listen, { host: "127.0.0.1", port: 8000 });
  assert.deepEqual(config.operator, { host: "127.0.0.1", port: 9000, token: null });
  assert.deepEqual(config.database, { type: "embedded", dataDir: ".ringmaster" });
  assert.deepEqual([config.stt, config.llm, config.tts], Array(3).fill({ provider: "simulated" }));
  assert.equal(config.maxCalls, 300);
  assert.equal(config.log.pii, false);
});

Deno.test("an empty value is no value", () => {
  const empty = Object.fromEntries(SETTINGS.map((name) => [name, ""]));
  assert.deepEqual(readConfig(empty), readConfig({}));
});

const CHOICES: readonly {
  env: Record<string, string>;
  providers: readonly [stt: string, llm: string, tts: string];
}[] = [
  { env: { DEEPGRAM_API_KEY: "d" }, providers: ["deepgram", "simulated", "aura"] },
  { env: { OPENAI_API_KEY: "o" }, providers: ["simulated", "openai", "simulated"] },
  { env: { ELEVENLABS_API_KEY: "e" }, providers: ["simulated", "simulated", "elevenlabs"] },
  {
    env: { DEEPGRAM_API_KEY: "d", ELEVENLABS_API_KEY: "e" },
    providers: ["deepgram", "simulated", "elevenlabs"],
  },
  {
    env: { DEEPGRAM_API_KEY: "d", ELEVENLABS_API_KEY: "e", TTS_PROVIDER: "aura" },
    providers: ["deepgram", "simulated", "aura"],
  },
  {
    env: { DEEPGRAM_API_KEY: "d", OPENAI_API_KEY: "o", STT_PROVIDER: "simulated" },
    providers: ["simulated", "openai", "aura"],
  },
];

for (const { env, providers } of CHOICES) {
  const [stt, llm, tts] = providers;
  Deno.test(`${Object.keys(env).join(" and ")} choose ${stt}, ${llm} and ${tts}`, () => {
    const config = readConfig(env);
    assert.deepEqual([config.stt, config.llm, config.tts].map((c) => c.provider), providers);
  });
}

Deno.test("a provider that is named without its key stays chosen, with no key", () => {
  const config = readConfig({ LLM_PROVIDER: "openai" });
  assert.deepEqual(config.llm, {
    provider: "openai",
    url: "https://api.openai.com/v1",
    apiKey: null,
    model: "gpt-4.1-mini",
  });
});

Deno.test("the addresses of providers lose the slash at their end", () => {
  const config = readConfig({
    PUBLIC_URL: "https://voice.example/base/",
    TWILIO_API_URL: "http://127.0.0.1:4010/",
  });
  assert.equal(config.publicUrl, "https://voice.example/base");
  assert.equal(config.twilio.apiUrl, "http://127.0.0.1:4010");
});

const WRONG: readonly [name: string, value: string][] = [
  ["PORT", "80a"],
  ["PORT", "65536"],
  ["PORT", "-1"],
  ["PORT", "0x50"],
  ["OPERATOR_PORT", "9000.5"],
  ["OPERATOR_TOKEN", "too-short"],
  ["PUBLIC_URL", "voice.example"],
  ["PUBLIC_URL", "ftp://voice.example"],
  ["PUBLIC_URL", "https://voice.example/?tenant=1"],
  ["OPENAI_BASE_URL", "localhost:11434"],
  ["DATABASE_URL", "mysql://root:hunter2@db/calls"],
  ["DEEPGRAM_MODEL", "nova-1"],
  ["STT_PROVIDER", "whisper"],
  ["MAX_CALLS", "0"],
  ["MAX_CALLS", "many"],
  ["LOG_LEVEL", "verbose"],
  ["LOG_PII", "yes"],
];

for (const [name, value] of WRONG) {
  Deno.test(`${name}=${value} is refused by name, without its value`, () => {
    const { code, field, message } = refusal({ [name]: value });
    assert.deepEqual({ code, field }, { code: "invalid", field: name });
    assert.match(message, new RegExp(`^Cannot read the settings: ${name} must `));
    assert(!message.includes(value), message);
  });
}

Deno.test("all wrong settings are named at once", () => {
  const { message } = refusal({ PORT: "x", MAX_CALLS: "x" });
  assert.match(message, /PORT must .*; MAX_CALLS must /);
});

Deno.test("a printed configuration shows none of its secrets", () => {
  const env = Object.fromEntries(
    ["TWILIO_AUTH_TOKEN", "DEEPGRAM_API_KEY", "OPENAI_API_KEY", "ELEVENLABS_API_KEY"]
      .map((name) => [name, `${name}-hunter2`]),
  );
  const config = readConfig({
    ...env,
    OPERATOR_TOKEN: "operator-hunter2",
    DATABASE_URL: "postgres://ringmaster:hunter2@db/ringmaster",
  });
  assert.doesNotMatch(Deno.inspect(config, { depth: 9 }) + JSON.stringify(config), /hunter2/);
  assert.equal(config.operator.token?.reveal(), "operator-hunter2");
});

Deno.test("the environment is read by the names of the settings and no other", () => {
  assert.deepEqual(Object.keys(environment()), SETTINGS);
});

Deno.test("a machine goes by Fly's name, else by its address, and is reached at one that a URL can hold", () => {
  const of = (env: Record<string, string>) => machineOf(readConfig(env), 8000);
  assert.deepEqual(of({}), { nodeId: "127.0.0.1-8000", address: "127.0.0.1:8000" });
  const fly = { FLY_MACHINE_ID: "d891", FLY_PRIVATE_IP: "fdaa:0:18::2" };
  assert.deepEqual(of(fly), { nodeId: "d891", address: "[fdaa:0:18::2]:8000" });
  assert.equal(of({ FLY_PRIVATE_IP: "fdaa:0:18::2" }).nodeId, "-fdaa-0-18-2-8000");
});

Deno.test("who the client is says the socket, the proxy that is named, or Fly's", () => {
  const of = (env: Record<string, string>) => readConfig(env).edge.clientHeader;
  assert.equal(of({}), null);
  assert.equal(of({ CLIENT_IP_HEADER: "X-Real-IP" }), "x-real-ip");
  assert.equal(of({ FLY_MACHINE_ID: "d891", CLIENT_IP_HEADER: "X-Real-IP" }), "fly-client-ip");
  assert.throws(() => readConfig({ CLIENT_IP_HEADER: "X Real" }), /CLIENT_IP_HEADER/);
});
