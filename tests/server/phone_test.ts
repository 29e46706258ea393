/** A call through real sockets, a real database and the real protocols of its carrier and providers. */

import assert from "node:assert/strict";
import { listCalls } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { systemClock } from "@/lib/clock.ts";
import { phone, type PhoneOptions } from "@/tests/load/phone.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { startElevenLabs } from "@/tests/support/elevenlabs.ts";
import { startOpenAI } from "@/tests/support/openai.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";

const { open } = await testDatabase();

const CALLER: PhoneOptions = {
  lines: ["I have a toothache."],
  agentId: null,
  from: "+15550199000",
  to: DEMO_NUMBER,
  bargeInAtMs: null,
  wavFile: null,
};

async function withServer(
  env: Readonly<Record<string, string>>,
  test: (kit: ServerKit, database: Database) => Promise<void>,
): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database, env });
  try {
    await test(kit, database);
  } finally {
    await kit.close();
    await database.close();
  }
}

Deno.test("a caller is answered, and the stored transcript is what they heard", async () => {
  await withServer({}, async (kit) => {
    const { transcript, transcriptMatches, callId } = await phone(kit, CALLER, () => {});
    assert.ok(transcriptMatches);
    assert.deepEqual(
      transcript?.events.filter((event) => event.type === "caller_said").map(({ text }) => text),
      ["I have a toothache."],
    );
    assert.equal(transcript?.reason, "caller_hung_up");
    const call = await (await kit.rest(`/api/v1/calls/${callId}`)).json();
    assert.equal(call.status, "ended");
    assert.equal(call.outcome, "answered");
    assert.equal(call.from, CALLER.from);
  });
});

Deno.test("a caller who barges in cuts the agent off, in the transcript as in the ear", async () => {
  await withServer({}, async (kit) => {
    const { transcript, transcriptMatches } = await phone(
      kit,
      { ...CALLER, bargeInAtMs: 1_000 },
      () => {},
    );
    assert.ok(transcriptMatches);
    const first = transcript?.events.find((event) => event.type === "agent_said");
    assert.ok(first?.bargedIn);
    assert.notEqual(first.unheard, "");
  });
});

Deno.test("a call over Deepgram, OpenAI and ElevenLabs as they are on the wire carries the real words", async () => {
  const deepgram = await startDeepgram({ apiKey: "dg-key" });
  const language = await startOpenAI({ apiKey: "sk-key" });
  const elevenLabs = await startElevenLabs({ apiKey: "xi-key" });
  try {
    await withServer({
      DEEPGRAM_URL: deepgram.url,
      DEEPGRAM_API_KEY: "dg-key",
      OPENAI_BASE_URL: language.url,
      OPENAI_API_KEY: "sk-key",
      ELEVENLABS_URL: elevenLabs.url,
      ELEVENLABS_API_KEY: "xi-key",
    }, async (kit) => {
      const { transcript, transcriptMatches } = await phone(kit, CALLER, () => {});
      assert.ok(transcriptMatches);
      const said = transcript?.events.filter((event) => event.type === "caller_said");
      assert.deepEqual(said?.map(({ text }) => text), ["I have a toothache."]);
      const answer = transcript?.events.filter((event) => event.type === "agent_said").at(-1);
      assert.equal(answer?.text, "I can help with that. What is your name, please?");
      assert.ok(language.requests.length >= 1);
      assert.equal(elevenLabs.requests.length, 1); // one socket, and a context an utterance
      const contexts = new Set(elevenLabs.received.map(({ context_id: id }) => id));
      assert.ok(contexts.has("u2"));

      const again = await phone(kit, CALLER, () => {});
      assert.ok(again.transcriptMatches);
      const greeting = transcript?.events.find((event) => event.type === "agent_said");
      const asked = elevenLabs.received.map(({ text = "" }) => text.trim());
      const first = greeting?.text.split(" ").slice(0, 2).join(" ") ?? "?";
      assert.equal(asked.filter((text) => text.startsWith(first)).length, 1); // kept since
      assert.equal(deepgram.requests[0]?.pathname, "/v1/listen");
    });
  } finally {
    await Promise.all([deepgram.close(), language.close(), elevenLabs.close()]);
  }
});

Deno.test("a call over Deepgram Flux and Aura carries the real words", async () => {
  const deepgram = await startDeepgram({ apiKey: "dg-key" });
  try {
    await withServer({
      DEEPGRAM_URL: deepgram.url,
      DEEPGRAM_API_KEY: "dg-key",
      DEEPGRAM_MODEL: "flux-general-en",
    }, async (kit) => {
      const { transcript, transcriptMatches } = await phone(kit, CALLER, () => {});
      assert.ok(transcriptMatches);
      const said = transcript?.events.filter((event) => event.type === "caller_said");
      assert.deepEqual(said?.map(({ text }) => text), ["I have a toothache."]);
      const paths = deepgram.requests.map(({ pathname }) => pathname);
      assert.ok(paths.includes("/v2/listen") && paths.includes("/v1/speak"), paths.join(" "));
    });
  } finally {
    await deepgram.close();
  }
});

Deno.test("a media socket that breaks is opened anew, and the agent goes on from the first word not heard", async () => {
  await withServer({}, async (kit) => {
    const phoned = await place(kit, DEMO_NUMBER);
    const first = phoned.stream;
    assert.ok(first);
    await until(() => heardOf(first).then((words) => words.length >= 3 ? words : null));
    phoned.breakStream();
    const before = await heardOf(first);
    const second = await until(() =>
      new Promise<MediaStream | null>((resolve) => {
        systemClock.timer(20, () => resolve(phoned.stream));
      })
    );
    assert.notEqual(second, first);
    const after = await until(() =>
      heardOf(second).then((words) => words.at(-1) === "you?" ? words : null)
    );
    phoned.hangUp();
    await phoned.ended;
    const greeting = "Bright Smile Dental, Nora speaking. How can I help you?".split(" ");
    assert.equal(after.join(" "), greeting.slice(greeting.length - after.length).join(" "));
    // The word that was being said is repeated, and one whose mark was on its way may be.
    assert.ok(
      before.length + after.length >= greeting.length,
      [...before, "/", ...after].join(" "),
    );
  });
});

Deno.test("operators see a live call and stop it; its record says why", async () => {
  await withServer({}, async (kit) => {
    const phoned = await place(kit, DEMO_NUMBER);
    const { actors } = await (await kit.operator("/actors?kind=call")).json();
    assert.equal(actors.length, 1);
    const { id } = actors[0];
    const one = await (await kit.operator(`/actors/call/${id}`)).json();
    assert.equal(one.kind, "call");
    assert.equal((await kit.operator(`/actors/call/${id}/stop`, { method: "POST" })).status, 204);
    assert.equal((await phoned.ended).by, "agent");
    const call = await until(async () => {
      const call = await (await kit.rest(`/api/v1/calls/${id}`)).json();
      return call.status === "ended" ? call : null;
    });
    assert.equal(call.reason, "stopped");
  });
});

Deno.test("a number that is nobody's, and an agent that does not exist, are told in a sentence", async () => {
  await withServer({}, async (kit) => {
    const unknown = await place(kit, "+15550100999");
    assert.match(sentenceOf(unknown.log), /not in service/);
    const nobody = await place(kit, DEMO_NUMBER, `?agentId=${DEMO_AGENT_ID.slice(0, -1)}9`);
    assert.match(sentenceOf(nobody.log), /nobody/);
  });
});

Deno.test("a provider without its key is told in a sentence, and the server has started all the same", async () => {
  await withServer({ STT_PROVIDER: "deepgram" }, async (kit, database) => {
    const ready = await kit.rest("/ready");
    assert.deepEqual([ready.status, await ready.json()], [200, { status: "ok" }]);
    const phoned = await place(kit, DEMO_NUMBER);
    assert.match(sentenceOf(phoned.log), /not set up/);
    const told = kit.logged.filter((line) => line.includes("not_configured"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /DEEPGRAM_API_KEY/);
    const calls = await database.asTenant(
      "rest",
      DEMO_TENANT_ID,
      5_000,
      (sql) => listCalls(sql, DEMO_TENANT_ID, { limit: 1 }),
    );
    assert.equal(calls[0]?.carrierCallId, phoned.carrierCallId);
    assert.equal(calls[0]?.outcome, "failed");
    assert.equal(calls[0]?.reason, "not_configured");
  });
});

Deno.test("a carrier that no token was set for is told in a sentence, and the rest works", async () => {
  const database = await open();
  const kit = await serverKit({ database, isWithoutCarrier: true });
  try {
    const phoned = await place(kit, DEMO_NUMBER);
    assert.match(sentenceOf(phoned.log), /not set up/);
    assert.equal(kit.logged.filter((line) => line.includes("TWILIO_AUTH_TOKEN")).length, 1);
    const placed = await kit.rest("/api/v1/calls", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ agentId: DEMO_AGENT_ID, to: "+15550123456", from: DEMO_NUMBER }),
    });
    assert.equal(placed.status, 503);
    const { code, field } = await placed.json();
    assert.deepEqual([code, field], ["not_configured", "TWILIO_ACCOUNT_SID"]);
  } finally {
    await kit.close();
    await database.close();
  }
});

Deno.test("the most calls there may be are held, and the next caller hears the busy tone", async () => {
  await withServer({ MAX_CALLS: "1" }, async (kit) => {
    const first = await place(kit, DEMO_NUMBER);
    const second = await place(kit, DEMO_NUMBER);
    assert.equal(second.status, "busy");
    first.hangUp();
    await first.ended;
  });
});

Deno.test("an outbound call rings, is answered by the agent, and is stored", async () => {
  const database = await open();
  const kit = await serverKit({ database });
  try {
    const placed = await kit.rest("/api/v1/calls", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ agentId: DEMO_AGENT_ID, to: "+15550123456", from: DEMO_NUMBER }),
    });
    assert.equal(placed.status, 201, await placed.clone().text());
    const { id } = await placed.json();
    const phoned = kit.twilio.calls.at(-1);
    assert.ok(phoned);
    await until(() => kit.operator("/alive").then((it) => it.text()).then(() => phoned.stream));
    phoned.hangUp();
    await phoned.ended;
    const call = await until(async () => {
      const call = await (await kit.rest(`/api/v1/calls/${id}`)).json();
      return call.status === "ended" ? call : null;
    });
    assert.equal(call.direction, "outbound");
    assert.equal(call.outcome, "answered");
  } finally {
    await kit.close();
    await database.close();
  }
});

/** The words that the caller has heard so far, looked at a little later. */
function heardOf(stream: MediaStream): Promise<string[]> {
  return new Promise((resolve) => {
    systemClock.timer(50, () => resolve(playedWords(stream).map((word) => word.text)));
  });
}

function place(kit: ServerKit, to: string, query = "") {
  return placeInbound({
    webhookUrl: `${kit.url}/twilio/voice${query}`,
    publicUrl: kit.url,
    authToken: kit.carrierToken,
    from: "+15550199000",
    to,
    clock: systemClock,
    twilio: kit.twilio,
  });
}

function sentenceOf(log: Awaited<ReturnType<typeof place>>["log"]): string {
  return log.flatMap((entry) => entry.type === "said" ? [entry.sentence] : []).join(" ");
}

/** Asks until there is an answer; the test's own time limit is the bound. */
async function until<T>(ask: () => Promise<T | null>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
  }
}
