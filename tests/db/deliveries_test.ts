/** Deliveries on a real database, at virtual time: each event reaches each endpoint, in order, in turn. */

import assert from "node:assert/strict";
import { SCHEDULE_MS } from "@/actors/deliveries/schedule.ts";
import { insertOutboxEvent } from "@/db/outbox.ts";
import { listJobs } from "@/db/jobs.ts";
import { listAttempts, replayDeliveries, replayDelivery } from "@/db/deliveries.ts";
import { newId } from "@/lib/ids.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type Reaction, webhookStage } from "@/tests/support/webhooks.ts";

const test = await testDatabase();
const OK: Reaction = { status: 204 };
const HISTORIES = Number(Deno.env.get("DELIVERY_HISTORIES") ?? "5");
const DAY_MS = 24 * 60 * 60_000;

function only<T>(list: readonly T[]): T {
  assert.equal(list.length, 1);
  const [one] = list;
  if (one === undefined) throw new Error("Not one");
  return one;
}

Deno.test("an event reaches the endpoints that want it, once, signed, and is written down", async () => {
  await using stage = await webhookStage(test, () => OK);
  const tenantId = await stage.tenant();
  const all = await stage.endpoint(tenantId);
  const ended = await stage.endpoint(tenantId, { events: ["call.ended"] });
  const other = await stage.endpoint(await stage.tenant());
  stage.machine();
  const started = await stage.event(tenantId);
  const end = await stage.event(tenantId, "call.ended");
  await stage.advance(3_000, 500);
  assert.deepEqual(
    stage.sent.filter(({ url }) => url === all.url).map(({ eventId }) => eventId),
    [started, end],
  );
  assert.deepEqual(
    stage.sent.filter(({ url }) => url === ended.url).map(({ eventId }) => eventId),
    [end],
  );
  assert.equal(stage.sent.filter(({ url }) => url === other.url).length, 0);
  const delivery = only(await stage.list(tenantId, ended.id));
  assert.deepEqual([delivery.status, delivery.attempt, delivery.eventType], [
    "delivered",
    1,
    "call.ended",
  ]);
  const attempt = only(
    await stage.as(tenantId, (sql) => listAttempts(sql, tenantId, delivery.id, 10)),
  );
  assert.deepEqual([attempt.status, attempt.answer, attempt.error], [204, "ok", null]);
  assert.match(attempt.requestHeaders["webhook-signature"] ?? "", /^v1,/);
});

Deno.test("an event of a transaction that was rolled back reaches nobody", async () => {
  await using stage = await webhookStage(test, () => OK);
  const tenantId = await stage.tenant();
  await stage.endpoint(tenantId);
  stage.machine();
  const payload = { callId: newId("call") } as never;
  const at = stage.clock.date();
  await assert.rejects(stage.as(tenantId, async (sql) => {
    await insertOutboxEvent(sql, tenantId, { id: newId("event"), type: "call.ended", payload, at });
    throw new Error("the act failed");
  }));
  await stage.advance(2_000, 500);
  assert.equal(stage.sent.length, 0);
});

Deno.test("what fails is tried ten times by the schedule, under one id, and has then failed", async () => {
  await using stage = await webhookStage(test, () => ({ status: 500 }));
  const tenantId = await stage.tenant();
  const endpoint = await stage.endpoint(tenantId);
  await stage.event(tenantId);
  stage.machine();
  const tries: number[] = [];
  for (const waitMs of SCHEDULE_MS) {
    await stage.advance(waitMs + 1_000, Math.max(500, waitMs / 4));
    tries.push(stage.sent.length);
  }
  assert.deepEqual(tries, SCHEDULE_MS.map((_, i) => i + 1));
  await stage.advance(2 * DAY_MS, DAY_MS / 4);
  assert.equal(stage.sent.length, 10);
  assert.equal(new Set(stage.sent.map(({ eventId }) => eventId)).size, 1);
  assert.equal(only(await stage.list(tenantId, endpoint.id)).status, "failed");
});

Deno.test("a redirect is a failure, and so is no answer within fifteen seconds", async () => {
  const reactions: Reaction[] = [{ status: 302 }, { status: 200, afterMs: 20_000 }, OK];
  await using stage = await webhookStage(test, () => reactions.shift() ?? OK);
  const tenantId = await stage.tenant();
  const endpoint = await stage.endpoint(tenantId);
  await stage.event(tenantId);
  stage.machine();
  await stage.advance(10 * 60_000, 1_000);
  const delivery = only(await stage.list(tenantId, endpoint.id));
  assert.equal(delivery.status, "delivered");
  const attempts = await stage.as(tenantId, (sql) => listAttempts(sql, tenantId, delivery.id, 9));
  assert.deepEqual(
    attempts.map(({ status }) => status),
    [302, null, 200].map((s) => s === 200 ? 204 : s),
  );
});

Deno.test("one that fails does not hold up those after it, whose order is kept", async () => {
  let first = "";
  await using stage = await webhookStage(
    test,
    ({ eventId }) => eventId === first ? { status: 500 } : { status: 200, afterMs: 300 },
  );
  const tenantId = await stage.tenant();
  await stage.endpoint(tenantId);
  const events = [];
  for (let i = 0; i < 12; i++) events.push(await stage.event(tenantId));
  first = events[0] ?? "";
  stage.machine();
  stage.machine();
  await stage.advance(4_900, 100);
  assert.deepEqual(stage.sent.map(({ eventId }) => eventId), events);
});

Deno.test("410 disables the endpoint at once, cancels what waits, and its owners are told", async () => {
  await using stage = await webhookStage(test, () => ({ status: 410 }));
  const tenantId = await stage.tenant();
  const endpoint = await stage.endpoint(tenantId);
  await stage.event(tenantId);
  await stage.event(tenantId);
  stage.machine();
  await stage.advance(2_000, 500);
  assert.equal(stage.sent.length, 1);
  const found = await stage.read(tenantId, endpoint.id);
  assert.equal(found?.status, "disabled");
  assert.match(found?.disabledReason ?? "", /410/);
  assert.deepEqual((await stage.list(tenantId, endpoint.id)).map(({ status }) => status), [
    "cancelled",
    "failed",
  ]);
  const jobs = await stage.as(tenantId, (sql) => listJobs(sql, tenantId, { limit: 10 }));
  assert.equal(only(jobs).kind, "endpoint_disabled");
  await stage.event(tenantId);
  await stage.advance(2_000, 500);
  assert.equal(stage.sent.length, 1);
});

Deno.test("an endpoint that fails for five days without one success is disabled", async () => {
  await using stage = await webhookStage(test, () => ({ status: null }));
  const tenantId = await stage.tenant();
  const endpoint = await stage.endpoint(tenantId);
  stage.machine();
  for (let day = 0; day < 6; day++) {
    assert.equal((await stage.read(tenantId, endpoint.id))?.status, "enabled", `day ${day}`);
    await stage.event(tenantId);
    await stage.advance(DAY_MS, DAY_MS / 8);
  }
  assert.equal((await stage.read(tenantId, endpoint.id))?.status, "disabled");
});

Deno.test("an overloaded endpoint gets the quiet that it asks for", async () => {
  const reactions: Reaction[] = [{ status: 429, headers: { "retry-after": "120" } }];
  await using stage = await webhookStage(test, () => reactions.shift() ?? OK);
  const tenantId = await stage.tenant();
  await stage.endpoint(tenantId);
  await stage.event(tenantId);
  stage.machine();
  await stage.advance(1_000, 500);
  await stage.event(tenantId);
  await stage.advance(118_000, 500);
  assert.equal(stage.sent.length, 1);
  await stage.advance(3_000, 500);
  assert.equal(stage.sent.length, 3);
});

Deno.test("of one tenant five are under way at most, on all machines, and nobody else waits for them", async () => {
  const slow = "https://slow.example.com/";
  await using stage = await webhookStage(
    test,
    ({ url }) => url.startsWith(slow) ? { status: 200, afterMs: 14_000 } : OK,
  );
  const flooding = await stage.tenant();
  for (let i = 0; i < 8; i++) await stage.endpoint(flooding, { url: `${slow}${i}` });
  for (let i = 0; i < 20; i++) await stage.event(flooding);
  stage.machine();
  stage.machine();
  await stage.advance(1_000, 500);
  assert.equal(stage.open(slow), 5);
  const quiet = await stage.tenant();
  const endpoint = await stage.endpoint(quiet);
  await stage.event(quiet);
  await stage.advance(600, 100);
  assert.equal(stage.sent.filter(({ url }) => url === endpoint.url).length, 1);
  assert.equal(stage.open(slow), 5);
});

Deno.test("a delivery, and a time, can be sent again, under the ids of their events", async () => {
  await using stage = await webhookStage(test, () => OK);
  const tenantId = await stage.tenant();
  const { id } = await stage.endpoint(tenantId);
  stage.machine();
  const from = stage.clock.date();
  const events = [await stage.event(tenantId), await stage.event(tenantId)];
  await stage.advance(2_000, 500);
  const to = stage.clock.date();
  const [newest] = await stage.list(tenantId, id);
  await stage.as(tenantId, (sql) => replayDelivery(sql, tenantId, id, newest?.id ?? ""));
  await stage.advance(1_000, 500);
  const range = { from, to, limit: 100 };
  const count = await stage.as(tenantId, (sql) => replayDeliveries(sql, tenantId, id, range));
  assert.equal(count, 2);
  await stage.advance(2_000, 500);
  assert.deepEqual(stage.sent.map(({ eventId }) => eventId), [...events, events[1], ...events]);
  const later = await stage.endpoint(tenantId);
  assert.equal(
    await stage.as(tenantId, (sql) => replayDeliveries(sql, tenantId, later.id, range)),
    2,
  );
});

Deno.test("whatever is lost between event and record, every event arrives, and none is made up", async (t) => {
  for (let seed = 1; seed <= HISTORIES; seed++) {
    await t.step(`seed ${seed}`, async () => {
      const random = prng(seed);
      let isFaulty = true;
      const fault = (): boolean => isFaulty && random() < 0.06;
      const react = (): Reaction => isFaulty && random() < 0.3 ? { status: 503 } : OK;
      await using stage = await webhookStage(test, react, { seed, fault });
      const tenants = [await stage.tenant(), await stage.tenant()];
      const wanted: string[] = [];
      for (const tenantId of tenants) {
        await stage.endpoint(tenantId, { url: `https://one.example.com/${tenantId}` });
      }
      stage.machine();
      const dying = stage.machine();
      for (let i = 0; i < 10; i++) {
        for (const tenantId of tenants) wanted.push(await stage.event(tenantId));
        await stage.advance(Math.floor(random() * 40_000) + 1, 2_000);
        if (i === 5) stage.system.stop(dying.kind, dying.id, "the machine dies");
      }
      isFaulty = false;
      await stage.advance(20 * 60_000, 5_000);
      assert.deepEqual(new Set(stage.sent.map(({ eventId }) => eventId)), new Set(wanted));
      for (const { url, request } of stage.sent) {
        assert.ok(url.startsWith("https://one.example.com/tenant_"));
        assert.equal(JSON.parse(String(request.body)).type, "call.started");
      }
    });
  }
});
