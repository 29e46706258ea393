/** A recorded call over real sockets: the file of it, by a link, in parts; and nothing of it once it is erased. */

import assert from "node:assert/strict";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import type { Database } from "@/db/client.ts";
import { listAuditEntries } from "@/db/audit.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { systemClock } from "@/lib/clock.ts";
import { fileStore } from "@/lib/providers/storage/files.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { recordingPrefix } from "@/lib/recording/segments.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type S3Server, startS3 } from "@/tests/support/s3.ts";
import { placesOf } from "@/tests/support/catalogue.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";

const { open } = await testDatabase();

const RECORDED = { ...structuredClone(demoAgent), recording: { consent: "disclose" } };

interface Recorded {
  readonly kit: ServerKit;
  readonly database: Database;
  readonly objects: ObjectStore;
  readonly phoned: FakeCall;
  readonly callId: string;
  json(path: string, init?: RequestInit): Promise<Record<string, unknown>>;
}

/** A call of an agent that records is up, and its greeting is being said. */
async function withRecordedCall(
  { graph, env }: {
    readonly graph: Record<string, unknown>;
    /** Settings that say where recordings go; a folder of the test's own when absent. */
    readonly env?: Readonly<Record<string, string>>;
  },
  test: (it: Recorded) => Promise<void>,
): Promise<void> {
  const database = await open();
  const dir = await Deno.makeTempDir();
  const objects = fileStore(dir);
  const stores = storesOf(objects);
  const kit = await serverKit({ database, ...(env === undefined ? { stores } : { env }) });
  async function json(path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
    const response = await kit.rest(`/api/v1/${path}`, {
      ...init,
      headers: init.body === undefined ? {} : { "Content-Type": "application/json" },
    });
    const body = await response.text();
    assert(response.ok, `${response.status} ${body}`);
    return body === "" ? {} : JSON.parse(body);
  }
  try {
    await json(`agents/${DEMO_AGENT_ID}`, {
      method: "PATCH",
      body: JSON.stringify({ draft: graph }),
    });
    await json(`agents/${DEMO_AGENT_ID}/publish`, { method: "POST" });
    const phoned = await placeInbound({
      webhookUrl: `${kit.url}/twilio/voice`,
      publicUrl: kit.url,
      authToken: kit.carrierToken,
      from: "+12125550100",
      to: DEMO_NUMBER,
      clock: systemClock,
      twilio: kit.twilio,
    });
    const opened = phoned.log.find((it) => it.type === "streamOpened");
    const url = new URL(opened?.type === "streamOpened" ? opened.url : "");
    const callId = url.pathname.split("/")[3] ?? "";
    await test({ kit, database, objects, phoned, callId, json });
  } finally {
    await kit.close();
    await database.close();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Resolves once so many events of this type are recorded. */
async function seen({ kit, callId }: Recorded, type: string, count = 1): Promise<void> {
  const { body } = await kit.rest(`/api/v1/calls/${callId}/stream`);
  let text = "";
  for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece;
    if (text.split(`"${type}"`).length > count) return;
  }
  throw new Error(`No "${type}" came`);
}

interface View {
  readonly status: string;
  readonly bytes: number;
  readonly durationMs: number;
  readonly link: { readonly url: string } | null;
}

/** The recording, once it has been stored. */
async function stored({ json, callId }: Recorded): Promise<View> {
  while (true) {
    const view = await json(`calls/${callId}/recording`) as unknown as View;
    if (view.status !== "recording") return view;
  }
}

async function bytesOf(url: string, headers: Record<string, string> = {}): Promise<Uint8Array> {
  return await (await fetch(url, { headers })).bytes();
}

/** One side of a file of 16-bit samples, as µ-law. */
function sideOf(wav: Uint8Array, side: 0 | 1): Uint8Array {
  const view = new DataView(wav.buffer, wav.byteOffset + 44);
  const length = Math.floor(view.byteLength / 4);
  return encodeMulaw(
    Int16Array.from({ length }, (_, i) => view.getInt16(4 * i + 2 * side, true)),
  );
}

const textOf = (audio: Uint8Array): string =>
  heardWords(audio).filter(({ complete }) => complete).map(({ text }) => text).join(" ");

/** Words of `whole`, in its order. A machine that is short of processors leaves a hole in one now and then. */
function assertOf(text: string, whole: string): void {
  const words = text.split(" ").filter((word) => word !== "");
  assert.notEqual(words.length, 0, "nothing was recorded");
  const left = whole.split(" ");
  for (const word of words) {
    const at = left.indexOf(word);
    assert.notEqual(at, -1, `"${word}" of "${text}" is not of "${whole}"`);
    left.splice(0, at + 1);
  }
}

Deno.test("a recorded call is downloaded whole and in parts, and is erased with its sound", async () => {
  await withRecordedCall({ graph: RECORDED }, async (it) => {
    const { phoned, callId, kit, json, objects, database } = it;
    await seen(it, "recording_started");
    await seen(it, "agent_said", 2); // the greeting is recorded whole before the caller speaks into it
    await phoned.streams[0]?.say(speak("Goodbye for now.").audio);
    await seen(it, "caller_said");
    phoned.hangUp();
    await phoned.ended;
    const view = await stored(it);
    assert.equal(view.status, "complete");
    const url = view.link?.url ?? "";

    const whole = await fetch(url);
    assert.equal(whole.status, 200);
    assert.equal(whole.headers.get("content-type"), "audio/wav");
    assert.equal(whole.headers.get("accept-ranges"), "bytes");
    assert.equal(whole.headers.get("content-length"), `${view.bytes}`);
    const wav = await whole.bytes();
    assert.equal(wav.length, view.bytes);
    assertOf(textOf(sideOf(wav, 0)), "Goodbye for now.");
    const heard = phoned.streams.flatMap((it) => playedWords(it).map(({ text }) => text));
    assert.equal(heard.slice(0, 4).join(" "), "This call is recorded.");
    const agent = textOf(sideOf(wav, 1));
    assert(!agent.includes("recorded"), "the disclosure is before the first byte");
    assertOf(agent, heard.slice(4).join(" "));

    const middle = Math.floor(view.bytes / 3);
    const parts = [
      `bytes=0-${middle - 1}`,
      `bytes=${middle}-${2 * middle}`,
      `bytes=${2 * middle + 1}-`,
    ];
    const etag = whole.headers.get("etag") ?? "";
    const pieces = await Promise.all(
      parts.map((range) => bytesOf(url, { range, "if-range": etag })),
    );
    assert.deepEqual(new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer()), wav);
    const last = await fetch(url, { headers: { range: "bytes=-10" } });
    assert.equal(last.status, 206);
    assert.equal(
      last.headers.get("content-range"),
      `bytes ${view.bytes - 10}-${view.bytes - 1}/${view.bytes}`,
    );
    assert.deepEqual(await last.bytes(), wav.slice(-10));
    const past = await fetch(url, { headers: { range: `bytes=${view.bytes}-` } });
    assert.deepEqual([past.status, past.headers.get("content-range")], [
      416,
      `bytes */${view.bytes}`,
    ]);
    await past.body?.cancel();
    const changed = await bytesOf(url, { range: "bytes=0-9", "if-range": '"another"' });
    assert.deepEqual(changed, wav, "another version is sent whole");
    const head = await fetch(url, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("content-length")], [200, `${view.bytes}`]);
    const forged = await fetch(url.slice(0, -1) + (url.endsWith("A") ? "B" : "A"));
    assert.equal(forged.status, 404);
    await forged.body?.cancel();

    const audited = await database.asTenant(
      "rest",
      DEMO_TENANT_ID,
      5_000,
      (sql) => listAuditEntries(sql, DEMO_TENANT_ID, {}, { limit: 100 }),
    );
    const actions = audited.map(({ action }) => action);
    assert.equal(actions.filter((action) => action === "recording.downloaded").length, 7);
    assert(actions.includes("recording.linked"));

    const prefix = `recordings/${DEMO_TENANT_ID.slice("tenant_".length)}/`;
    const { signal } = new AbortController();
    const folder = `${prefix}${String(await idOf(json, callId)).slice("recording_".length)}/`;
    assert.notEqual((await objects.list(folder, signal)).length, 0);
    await database.asOwner(
      5_000,
      (sql) => sql`update call set ended_at = ended_at - interval '1 minute'`,
    );
    const receipt = await json(`calls/${callId}`, { method: "DELETE" });
    const counts = receipt["counts"] as Record<string, number>;
    assert.equal(counts["recordings"], 1);
    assert((counts["recordingSegments"] ?? 0) > 0);
    assert.deepEqual(await objects.list(folder, signal), []);
    const gone = await fetch(url);
    assert.equal(gone.status, 404);
    await gone.body?.cancel();
    const nothing = await kit.rest(`/api/v1/calls/${callId}/recording`);
    assert.equal(nothing.status, 404);
    await nothing.body?.cancel();
  });
});

async function idOf(json: Recorded["json"], callId: string): Promise<unknown> {
  return (await json(`calls/${callId}/recording`))["id"];
}

function settingsOf(s3: S3Server): Record<string, string> {
  return {
    S3_ENDPOINT: s3.endpoint,
    S3_REGION: s3.region,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
}

Deno.test("a recording goes to the bucket that is set, every request signed, and is erased there", async () => {
  const s3 = startS3();
  await withRecordedCall({ graph: RECORDED, env: settingsOf(s3) }, async (it) => {
    const { phoned, callId, json, database } = it;
    await seen(it, "recording_started");
    await phoned.streams[0]?.say(speak("Goodbye for now.").audio);
    await seen(it, "caller_said");
    phoned.hangUp();
    await phoned.ended;
    const view = await stored(it);
    assert.equal(view.status, "complete");
    const bytes = [...s3.objects.values()].reduce((sum, { length }) => sum + length, 0);
    const wav = await bytesOf(view.link?.url ?? "");
    assert.equal(wav.length, 44 + 2 * bytes);
    assertOf(textOf(sideOf(wav, 0)), "Goodbye for now.");
    await database.asOwner(
      5_000,
      (sql) => sql`update call set ended_at = ended_at - interval '1 minute'`,
    );
    await json(`calls/${callId}`, { method: "DELETE" });
    assert.deepEqual([s3.objects.size, s3.refused], [0, []]);
  });
  await s3.close();
});

Deno.test("a bucket that refuses what it is given fails the recording, and the call is held to its end", async () => {
  const s3 = startS3();
  const env = { ...settingsOf(s3), S3_SECRET_ACCESS_KEY: "not the one" };
  await withRecordedCall({ graph: RECORDED, env }, async (it) => {
    const { phoned } = it;
    await seen(it, "recording_failed");
    await phoned.streams[0]?.say(speak("Goodbye for now.").audio);
    await seen(it, "caller_said");
    phoned.hangUp();
    await phoned.ended;
    const { status, link, ...view } = await stored(it);
    assert.deepEqual([status, link], ["failed", null]);
    assert.equal("reason" in view && view.reason, "store_failed");
  });
  assert(s3.refused.length >= 3, "it tried");
  await s3.close();
});

const CARD = "4111111111111111";
const PAID = {
  name: "Payments",
  persona: "You take payments.",
  recording: { consent: "disclose" },
  nodes: [
    {
      type: "start",
      id: "card",
      greeting: "Please key in your card number.",
      instructions: "Take the card.",
      isSensitive: true,
      variables: [{
        name: "cardNumber",
        type: "string",
        description: "The number of the card.",
        ask: "Please key in your card number.",
      }],
    },
    { type: "end", id: "done", farewell: "Charged to {{cardNumber}}. Goodbye.", outcome: "paid" },
  ],
  edges: [{ from: "card", to: "done", function: "pay", condition: "The card is there." }],
};

Deno.test("a planted card number stands in no table, no file and no log", async () => {
  await withRecordedCall({ graph: PAID }, async (it) => {
    const { phoned, kit, database, objects } = it;
    await seen(it, "agent_said", 2); // what is said of the recording, and the greeting
    for (const digit of CARD) phoned.streams[0]?.press(digit);
    phoned.streams[0]?.press("#");
    await phoned.ended;
    const view = await stored(it);
    assert.equal(view.status, "complete");
    await (await kit.rest(`/api/v1/calls/${it.callId}/stream`)).text();
    const { variables, reason } = await it.json(`calls/${it.callId}`);
    assert.deepEqual([variables, reason], [{ cardNumber: "(not kept)" }, "agent_hung_up"]);
    assert.deepEqual(await placesOf(database, CARD), []);
    assert.deepEqual(await placesOf(database, CARD.slice(0, 8)), []);
    assert.equal(kit.logged.some((line) => line.includes(CARD.slice(0, 8))), false);
    const heard = phoned.streams.flatMap((it) => playedWords(it).map(({ text }) => text)).join(" ");
    assert.match(heard, /Charged to .+ Goodbye\./, "the caller was told");
    const { signal } = new AbortController();
    const id = String(await idOf(it.json, it.callId));
    for (const { key } of await objects.list(recordingPrefix(DEMO_TENANT_ID, id), signal)) {
      const sound = await objects.get(key, signal) ?? new Uint8Array();
      const agent = sound.filter((_, i) => i % 2 === 1);
      assert.equal(textOf(agent), "", "neither the node nor the number that is said again");
    }
  });
});
