/** An agent with one model for its speech, published over the API and phoned over real sockets. */

import assert from "node:assert/strict";
import { phone, type PhoneOptions } from "@/tests/load/phone.ts";
import { signUp } from "@/tests/support/client.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { startOpenAIRealtime } from "@/tests/support/openai_realtime.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

const CALLER: Omit<PhoneOptions, "to"> = {
  lines: ["I have a toothache.", "Maria Lopez."],
  agentId: null,
  from: "+15550199000",
  bargeInAtMs: null,
  wavFile: null,
};

async function withServer(
  env: Readonly<Record<string, string>>,
  test: (kit: ServerKit) => Promise<void>,
): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database, env });
  try {
    await test(kit);
  } finally {
    await kit.close();
    await database.close();
  }
}

/** A company's number, behind which this agent answers. */
async function newLine(kit: ServerKit, graph: unknown, number: string) {
  const company = await signUp(kit.url);
  const made = await company.ask("POST", "/api/v1/agents", { name: "Desk", graph });
  const published = await company.ask("POST", `/api/v1/agents/${made.body.id}/publish`);
  if (published.status !== 201) return { company, published };
  await company.ask("POST", "/api/v1/phone-numbers", { number, agentId: made.body.id });
  return { company, published };
}

Deno.test("a call over OpenAI's Realtime protocol carries the real words, with and without a barge-in", async () => {
  const server = await startOpenAIRealtime({ apiKey: "sk-key" });
  const env = { OPENAI_BASE_URL: server.url, OPENAI_API_KEY: "sk-key" };
  try {
    await withServer(env, async (kit) => {
      const speech = { provider: "openai_realtime", voice: "cedar" };
      const to = "+15550100301";
      const { company, published } = await newLine(kit, { ...clinic, speech }, to);
      assert.equal(published.status, 201);
      const { token: apiKey } = company;
      const calm = await phone({ ...kit, apiKey }, { ...CALLER, to }, () => {});
      assert.ok(calm.transcriptMatches, calm.heard.join(" | "));
      assert.deepEqual(
        calm.transcript?.events.filter(({ type }) => type === "caller_said")
          .map((event) => "text" in event ? event.text : ""),
        CALLER.lines,
      );
      assert.equal(server.requestedModels.at(-1), "gpt-realtime-1.5");
      const hasty = await phone(
        { ...kit, apiKey },
        { ...CALLER, to, bargeInAtMs: 1_000 },
        () => {},
      );
      const first = hasty.transcript?.events.find(({ type }) => type === "agent_said");
      assert.ok(first?.type === "agent_said" && first.bargedIn && first.unheard !== "");
      assert.ok(hasty.heard[0]?.startsWith(first.text), hasty.heard.join(" | "));
    });
    assert.deepEqual([server.refusals, server.unanswered], [[], []]);
    await server.allClosed();
  } finally {
    await server.close();
  }
});

Deno.test("without a key such an agent is not published, and the answer names the field", async () => {
  await withServer({}, async (kit) => {
    const speech = { provider: "openai_realtime" };
    const { published } = await newLine(kit, { ...clinic, speech }, "+15550100302");
    assert.deepEqual([published.status, published.body.field], [400, "speech.provider"]);
  });
});

Deno.test("a simulated one needs no key", async () => {
  await withServer({}, async (kit) => {
    const to = "+15550100303";
    const speech = { provider: "simulated" };
    const { company } = await newLine(kit, { ...clinic, speech }, to);
    const { transcriptMatches, transcript } = await phone(
      { ...kit, apiKey: company.token },
      { ...CALLER, to, lines: CALLER.lines.slice(1) },
      () => {},
    );
    assert.ok(transcriptMatches);
    assert.ok(transcript?.events.some(({ type }) => type === "caller_said"));
    const metrics = await (await kit.operator("/metrics")).text();
    const tokens = /^conversation_tokens_total\{direction="input",of="text"\} (\d+)$/m.exec(
      metrics,
    );
    assert.ok(Number(tokens?.[1]) > 0, metrics);
  });
});
