/** A tenant's own model, voice and language in its calls, as its providers are asked for them on the wire. */

import assert from "node:assert/strict";
import { insertAgent, publishAgentVersion } from "@/db/agents.ts";
import type { Database } from "@/db/client.ts";
import { insertPhoneNumber } from "@/db/phone_numbers.ts";
import { newId } from "@/lib/ids.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { phone } from "@/tests/load/phone.ts";
import { signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { startElevenLabs } from "@/tests/support/elevenlabs.ts";
import { startOpenAI } from "@/tests/support/openai.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

/** An agent that says nothing of voice and language, and its number. */
async function newLine(database: Database, tenantId: string, number: string): Promise<void> {
  const agentId = newId("agent");
  const graph = { ...demoAgent, language: null, voice: null };
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    await publishAgentVersion(sql, tenantId, { id: newId("version"), agentId, graph });
    await insertPhoneNumber(sql, tenantId, { id: newId("number"), number, agentId });
  });
}

Deno.test("a tenant's calls ask for the model, voice and language that it has set, another's for the house's", async () => {
  const deepgram = await startDeepgram({ apiKey: "dg-key" });
  const language = await startOpenAI({ apiKey: "sk-key" });
  const elevenLabs = await startElevenLabs({ apiKey: "xi-key" });
  const database = await open();
  const kit = await serverKit({
    database,
    env: {
      DEEPGRAM_URL: deepgram.url,
      DEEPGRAM_API_KEY: "dg-key",
      OPENAI_BASE_URL: language.url,
      OPENAI_API_KEY: "sk-key",
      OPENAI_MODEL: "house-model",
      ELEVENLABS_URL: elevenLabs.url,
      ELEVENLABS_API_KEY: "xi-key",
      ELEVENLABS_VOICE: "house-voice",
    },
  });
  try {
    const companies = [await signUp(kit.url), await signUp(kit.url)];
    const defaults = { model: "own-model", voice: "own-voice", language: "es" };
    const set = await companies[0]?.ask("PATCH", "/api/v1/tenant", { settings: { defaults } });
    assert.deepEqual([set?.status, set?.body.settings], [200, { defaults }]);

    const asked: string[][] = [];
    for (const [nth, { tenantId, token }] of companies.entries()) {
      const to = `+1555010020${nth}`;
      await newLine(database, tenantId, to);
      const from = [language, elevenLabs, deepgram].map(({ requests }) => requests.length);
      const [models = 0, voices = 0, ears = 0] = from;
      const caller = { lines: ["I have a toothache."], agentId: null, from: "+15550199000", to };
      await phone(
        { ...kit, apiKey: token },
        { ...caller, bargeInAtMs: null, wavFile: null },
        () => {},
      );
      const said = (values: Iterable<string | null | undefined>): string =>
        [...new Set(values)].join();
      asked.push([
        said(language.requests.slice(models).map(({ model }) => model)),
        said(elevenLabs.requests.slice(voices).map(({ pathname }) => pathname.split("/")[3])),
        said(elevenLabs.requests.slice(voices).map((it) => it.searchParams.get("language_code"))),
        said(deepgram.requests.slice(ears).map((it) => it.searchParams.get("language"))),
      ]);
    }
    assert.deepEqual(asked, [
      ["own-model", "own-voice", "es", "es"],
      ["house-model", "house-voice", "en", "en"],
    ]);
  } finally {
    await kit.close();
    await database.close();
    await Promise.all([deepgram.close(), language.close(), elevenLabs.close()]);
  }
});
