/** An export is the whole tenant, nothing of another one, and no secret. */

import assert from "node:assert/strict";
import { strFromU8, unzipSync } from "fflate";
import { exportErrands } from "@/actors/desk/exports.ts";
import { EXPORT_FILES, type ExportFile } from "@/db/exports.ts";
import { listAuditEntries } from "@/db/audit.ts";
import type { Database } from "@/db/client.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { wavFile } from "@/lib/recording/download.ts";
import { recordingPrefix, SEGMENT_BYTES, segmentKey } from "@/lib/recording/segments.ts";
import { SOUND_MAX_BYTES, take, type Takeable } from "@/lib/recording/takeaway.ts";
import { API_KEY, setUp } from "@/tests/routes/fakes.ts";
import { catalogue } from "@/tests/support/catalogue.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { tenantOffice } from "@/tests/support/tenant_office.ts";
import { newWorld, type World } from "@/tests/support/world.ts";

const { open } = await testDatabase();

/** Tables of a tenant that are in no file, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  tenant_key: "holds nothing but wrapped keys",
  audit_cut: "the first of the seals that are there shows it",
  job: "work of the house; what comes of it is in the tables it writes",
  talk_ticket: "good for a minute, and known by its hash alone",
  livekit_event: "which webhooks were taken: ids that LiveKit made up",
  idempotency_key: "answers that are kept for a day, sealed",
};

/** Columns that are in no file, by table or of all; and why. */
const COLUMNS_LEFT_OUT: readonly string[] = [
  "tenant_id", // one and the same
  "lease", // of a worker at work
  "lease_until",
  "seq", // of outbox and deliveries: an order within the house
  "tenant.config_version", // of caches
  "delivery.step", // of the schedule
  "webhook_endpoint.previous_until", // of a secret
  "livekit_egress.stage", // of its status
  "livekit_egress.updated_ns", // which of two states counts
  "webhook_endpoint.slow_until", // of the schedule
];

const SECRET = /hash|sealed|secret|wrapped|token/;
/** Named like a secret, and none: the chain's hashes are there to be compared. */
const NO_SECRETS = ["audit_seal.hash", "audit_seal.sealed_at"];

const files: readonly (readonly [string, ExportFile])[] = Object.entries(EXPORT_FILES);

Deno.test("every table of a tenant is exported or left out for a reason, and so is every column", async () => {
  await using database = await open();
  const tables = (await catalogue(database)).filter(({ name, columns }) =>
    name === "tenant" || columns.some((column) => column.name === "tenant_id")
  );
  const exported = new Map(files.map(([, file]) => [file.table, file.columns]));
  for (const { name: table, columns } of tables) {
    assert.notEqual(exported.has(table), table in LEFT_OUT, table);
    for (const { name } of columns) {
      const isIn = exported.get(table)?.includes(name) ?? true;
      const isOut = SECRET.test(name) || COLUMNS_LEFT_OUT.includes(name) ||
        COLUMNS_LEFT_OUT.includes(`${table}.${name}`) ||
        `${table}.${name}` === "operator_visit.public_id";
      assert.ok(isIn || isOut, `${table}.${name}`);
    }
  }
});

Deno.test("no column that holds a secret is exported", () => {
  for (const [, { table, columns }] of files) {
    for (const name of columns) {
      assert.ok(!SECRET.test(name) || NO_SECRETS.includes(`${table}.${name}`), `${table}.${name}`);
    }
  }
});

/** The zip as the route sends it, for the world's tenant. */
async function download(
  database: Database,
  { ids }: World,
  stores = storesOf(memoryStore()),
): Promise<Response> {
  const office = tenantOffice(database, { tenantId: ids.tenant, services: { stores } });
  const errands: Readonly<Record<string, { run(...args: unknown[]): Promise<unknown> }>> =
    exportErrands as never; // each is given the input that it was asked with
  const { app } = setUp({
    desk(message) {
      assert.ok(message.type === "errand");
      const { name, input, reply } = message;
      void errands[name]?.run(office, input).then(reply, reply.fail);
    },
  });
  return await app.request("/api/v1/export", {
    headers: { authorization: `Bearer ${API_KEY}`, host: "voice.example.com" },
  });
}

Deno.test("the zip holds each row of the tenant, and of no other, as a line of JSON", async () => {
  await using database = await open();
  const world = await newWorld(database);
  const other = await newWorld(database);
  await database.asOwner(DEADLINE_MS, (sql) =>
    sql`
    insert into conversation_event (tenant_id, conversation_id, seq, type, payload, at)
    select ${uuidOf("tenant", world.ids.tenant)}, ${uuidOf("call", world.ids.call)}, n, 'said',
      ${sql.json({ text: "Grüße \u{1f99c}" })}, now() from generate_series(2, 1600) n`);
  const answer = await download(database, world);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/zip");
  const unzipped = unzipSync(new Uint8Array(await answer.arrayBuffer()));
  const names = [...files.map(([kind]) => `${kind}.jsonl`), "sound.jsonl"];
  assert.deepEqual(Object.keys(unzipped).sort(), names.sort());

  for (const [kind, { table }] of files) {
    const text = strFromU8(unzipped[`${kind}.jsonl`] ?? new Uint8Array());
    const lines = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    const key = table === "tenant" ? "id" : "tenant_id";
    const [row] = await database.asOwner(
      DEADLINE_MS,
      (sql) =>
        sql<{ count: number }[]>`select count(*)::int as count from ${sql(table)}
        where ${sql(key)} = ${uuidOf("tenant", world.ids.tenant)}`,
    );
    // The export's own entry is in it, or came to its file too late.
    assert.ok(lines.length === row?.count, `${kind}: ${lines.length} of ${row?.count}`);
    assert.ok(lines.length > 0, kind);
    assert.equal(new Set(text.split("\n")).size, lines.length + 1, `${kind}: each row once`);
    assert.ok(!text.includes(other.canary) && !text.includes(other.ids.tenant.slice(7)), kind);
  }
  const read = (kind: string) => strFromU8(unzipped[`${kind}.jsonl`] ?? new Uint8Array());
  assert.equal(JSON.parse(read("calls")).id, world.ids.call);
  assert.deepEqual(JSON.parse(read("calls")).variables, { canary: world.canary });
  assert.match(read("call_events"), /Grüße 🦜/u);
  assert.ok(
    !Object.keys(unzipped).some((name) =>
      /"(hash|.*[sS]ealed|.*[sS]ecret.*)":/.test(
        name === "audit_seals.jsonl" ? "" : strFromU8(unzipped[name] ?? new Uint8Array()),
      )
    ),
  );
  const entries = await database.asTenant(
    "rest",
    world.ids.tenant,
    DEADLINE_MS,
    (sql) => listAuditEntries(sql, world.ids.tenant, { action: "tenant.exported" }, { limit: 10 }),
  );
  assert.equal(entries.length, 1);
});

Deno.test("a page is read only when the one before it has been taken", async () => {
  let pages = 0;
  const { app } = setUp({
    desk(message) {
      assert.ok(message.type === "errand");
      if (message.name === "beginExport") return message.reply(["calls"]);
      pages++;
      const noise = crypto.getRandomValues(new Uint8Array(64 * 1024)).toHex();
      message.reply({ lines: [noise], next: [`${pages}`] }); // endless
    },
  });
  const answer = await app.request("/api/v1/export", {
    headers: { authorization: `Bearer ${API_KEY}`, host: "voice.example.com" },
  });
  const reader = answer.body?.getReader();
  let bytes = 0;
  while (bytes < 1024 * 1024) bytes += (await reader?.read())?.value?.length ?? 1e9;
  assert.ok(pages < 40, `${pages} pages of 64 kB after 1 MiB`);
  await reader?.cancel();
  const after = pages;
  await new Promise((resolve) => queueMicrotask(() => resolve(null)));
  assert.equal(pages, after, "nobody reads on");
});

Deno.test("the zip holds the sound of each recording as its download has it, and a manifest that says what was left out", async () => {
  await using database = await open();
  const world = await newWorld(database);
  const other = await newWorld(database);
  const store = memoryStore();
  const bytes = SEGMENT_BYTES + 320;
  const stored = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
  for (const { ids } of [world, other]) {
    await database.asOwner(DEADLINE_MS, (sql) =>
      sql`
      update recording set segments = 2, bytes = ${bytes}
      where tenant_id = ${uuidOf("tenant", ids.tenant)}`);
    const prefix = recordingPrefix(ids.tenant, ids.recording);
    const { signal } = new AbortController();
    await store.put(segmentKey(prefix, 0), stored.slice(0, SEGMENT_BYTES), signal);
    await store.put(segmentKey(prefix, 1), stored.slice(SEGMENT_BYTES), signal);
  }
  const answer = await download(database, world, storesOf(store));
  const unzipped = unzipSync(new Uint8Array(await answer.arrayBuffer()));
  const file = `sound/${world.ids.recording}.wav`;
  assert.deepEqual(Object.keys(unzipped).filter((name) => name.startsWith("sound/")), [file]);
  const wanted = wavFile("pcm", bytes);
  const sound = new Uint8Array(wanted.totalBytes);
  let at = 0;
  const range = { from: 0, to: wanted.totalBytes - 1 };
  const segment = (index: number) =>
    Promise.resolve(stored.slice(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES));
  for await (const piece of wanted.read(range, segment)) {
    sound.set(piece, at);
    at += piece.length;
  }
  assert.deepEqual(unzipped[file], sound);
  const manifest = strFromU8(unzipped["sound.jsonl"] ?? new Uint8Array());
  assert.deepEqual(JSON.parse(manifest), {
    ...{ id: world.ids.recording, callId: world.ids.call, bytes: wanted.totalBytes },
    ...{ file, reason: null },
  });
});

Deno.test("a recording is left out with a reason where it is too much, has no sound, or goes on", () => {
  const one: Takeable = {
    ...{ id: newId("recording"), callId: newId("call"), status: "complete", bytes: 16_000 },
    format: "mulaw",
  };
  assert.equal(take(one, 0).file, `sound/${one.id}.wav`);
  assert.equal(take(one, SOUND_MAX_BYTES - 16_000).reason, "too_much");
  assert.equal(take({ ...one, bytes: 0 }, 0).reason, "no_sound");
  assert.equal(take({ ...one, status: "recording" }, 0).reason, "still_recorded");
});
