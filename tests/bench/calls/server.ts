/** The server that `bench calls` measures: the whole of ours, whose model and voice cost nothing and wait for nothing. */

import { connect } from "@/db/client.ts";
import { seedDemo } from "@/db/demo.ts";
import { migrate } from "@/db/migrate.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import { systemClock } from "@/lib/clock.ts";
import { readConfig } from "@/lib/config.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { startServer } from "@/main.ts";

export const REPLY = "Sure, I can help you with that today. " +
  "Your appointment is on Tuesday at three in the afternoon. Anything else?";
const TOKEN_CHARS = 4;
const CHAR_MS = 20;
/** Audible, and not silence: what it is does not matter. */
const AUDIO = new Uint8Array(60_000 * 8).fill(SILENCE ^ 0x55);

const model: LanguageModel = {
  provider: "bench",
  async *respond() {
    for (let at = 0; at < REPLY.length; at += TOKEN_CHARS) {
      yield { type: "text", text: REPLY.slice(at, at + TOKEN_CHARS) };
    }
    yield { type: "finished", reason: "stop" };
  },
};

const voice: TextToSpeech = {
  provider: "bench",
  async *synthesize(text) {
    let atMs = 0;
    for await (const clause of text) {
      const words = clause.trim().split(/\s+/).map((word) => {
        const startMs = atMs;
        atMs += (word.length + 1) * CHAR_MS;
        return { text: word, startMs, endMs: atMs };
      });
      const ms = words.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
      yield { type: "words", words };
      yield { type: "audio", audio: AUDIO.subarray(0, ms * 8) };
    }
  },
};

const [databaseUrl = "", sttUrl = "", token = "", calls = ""] = Deno.args;
const database = await connect({ at: { url: databaseUrl }, clock: systemClock, log: silentLog });
await migrate(database, { log: silentLog });
const start = demoAgent.nodes.find((node) => node.type === "start");
const graph = {
  ...demoAgent,
  limits: { maxDurationMs: 3_600_000, idleMs: 60_000, idlePromptCount: 10 },
  nodes: demoAgent.nodes.map((node) => node === start ? { ...start, greeting: "Hello." } : node),
};
await seedDemo(database, { agentName: graph.name, graph });
const plenty = { capacity: 1_000_000, perSecond: 100_000 };
await database.asOwner(
  10_000,
  (sql) =>
    sql`update tenant set limits = ${
      sql.json({ concurrentCalls: 10_000, callsPerDay: null, rates: { read: plenty } })
    }`,
);
await database.close();
const server = await startServer(
  readConfig({
    PORT: "0",
    OPERATOR_PORT: "0",
    DATABASE_URL: databaseUrl,
    TOKEN_PEPPER: newId("request"),
    KEY_ENCRYPTION_KEYS: `bench:${crypto.getRandomValues(new Uint8Array(32)).toBase64()}`,
    TWILIO_AUTH_TOKEN: token,
    DEEPGRAM_URL: sttUrl,
    DEEPGRAM_API_KEY: "bench",
    MAX_CALLS: calls,
  }),
  { log: silentLog, speech: { llm: model, tts: voice } },
);
Deno.stdout.writeSync(
  new TextEncoder().encode(`${JSON.stringify({ port: server.port, url: server.publicUrl })}\n`),
);
