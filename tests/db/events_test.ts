/** The events of conversations, which are appended and read in order. */

import assert from "node:assert/strict";
import { appendEvents, listEvents, type NewEvent } from "@/db/events.ts";
import { PROGRESS_TYPES } from "@/lib/conversation/transcript.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { plansOf } from "@/tests/support/explain.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

function events(tenantId: string, conversationId: string, seqs: readonly number[]): NewEvent[] {
  return seqs.map((seq) => ({
    tenantId,
    conversationId,
    seq,
    type: "said",
    payload: { text: `Wort ${seq} "é" ☎`, at: { ms: seq / 2 }, none: null },
    at: new Date(1_767_600_000_000 + seq),
  }));
}

Deno.test("events come back in order and as they were, whatever the order they came in", async () => {
  await using database = await open();
  const [tenantId, call] = [await newTenant(database), newId("call")];
  const listed = await database.asTenant("calls", tenantId, DEADLINE_MS, async (sql) => {
    await appendEvents(sql, events(tenantId, call, [2, 1]));
    await appendEvents(sql, events(tenantId, call, [3]));
    return await listEvents(sql, tenantId, call, { after: 0, limit: 10 });
  });
  const expected = events(tenantId, call, [1, 2, 3])
    .map(({ seq, type, payload, at }) => ({ seq, type, payload, at }));
  assert.deepEqual([...listed], expected);
});

Deno.test("an event that is appended twice stays as it was first", async () => {
  await using database = await open();
  const [tenantId, call] = [await newTenant(database), newId("call")];
  const listed = await database.asTenant("calls", tenantId, DEADLINE_MS, async (sql) => {
    await appendEvents(sql, events(tenantId, call, [1, 2]));
    const again = events(tenantId, call, [2, 3]).map((event) => ({ ...event, type: "again" }));
    await appendEvents(sql, again);
    return await listEvents(sql, tenantId, call, { after: 0, limit: 10 });
  });
  assert.deepEqual(listed.map(({ type }) => type), ["said", "said", "again"]);
});

Deno.test("events are read page by page, of one conversation", async () => {
  await using database = await open();
  const [tenantId, call, other] = [await newTenant(database), newId("call"), newId("call")];
  const pages = await database.asTenant("calls", tenantId, DEADLINE_MS, async (sql) => {
    await appendEvents(sql, events(tenantId, call, [1, 2, 3, 4, 5]));
    await appendEvents(sql, events(tenantId, other, [1]));
    const page = (after: number) => listEvents(sql, tenantId, call, { after, limit: 2 });
    return [await page(0), await page(2), await page(4), await page(5)];
  });
  assert.deepEqual(pages.map((page) => page.map(({ seq }) => seq)), [[1, 2], [3, 4], [5], []]);
});

Deno.test("what was under way is left out where only what came of it is read, and takes no room there", async () => {
  await using database = await open();
  const [tenantId, call] = [await newTenant(database), newId("call")];
  const types = [...PROGRESS_TYPES, "agent_said", "speech_heard", "call_ended"];
  const told = events(tenantId, call, types.map((_, nth) => nth + 1));
  const listed = await database.asTenant("calls", tenantId, DEADLINE_MS, async (sql) => {
    await appendEvents(sql, told.map((event, nth) => ({ ...event, type: types[nth] ?? "" })));
    return await listEvents(sql, tenantId, call, { after: 0, limit: 2, isSettled: true });
  });
  assert.deepEqual(listed.map(({ seq, type }) => [seq, type]), [[5, "agent_said"], [
    7,
    "call_ended",
  ]]);
});

Deno.test("one group holds events of many conversations and tenants", async () => {
  await using database = await open();
  const tenants = [await newTenant(database), await newTenant(database)];
  const calls = tenants.map(() => newId("call"));
  const group = Array.from(
    { length: 500 },
    (_, i) => events(tenants[i % 2] ?? "", calls[i % 2] ?? "", [1 + (i >> 1)]),
  ).flat();
  await database.asTenant("calls", tenants, DEADLINE_MS, (sql) => appendEvents(sql, group));
  for (const [i, tenantId] of tenants.entries()) {
    const listed = await database.asTenant(
      "calls",
      tenantId,
      DEADLINE_MS,
      (sql) => listEvents(sql, tenantId, calls[i] ?? "", { after: 0, limit: 1_000 }),
    );
    assert.deepEqual(listed.map(({ seq }) => seq), Array.from({ length: 250 }, (_, n) => n + 1));
  }
});

Deno.test("reading events goes by their key", async () => {
  await using database = await open();
  const tenantId = newId("tenant");
  const [plan] = await database.asTenant(
    "calls",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      plansOf(sql, (sql) => listEvents(sql, tenantId, newId("call"), { after: 5, limit: 10 })),
  );
  assert.match(plan ?? "", /Index Scan using conversation_event_pkey/);
  assert.match(plan ?? "", /Index Cond: .*seq > /);
  assert.doesNotMatch(plan ?? "", /Sort/);
});
