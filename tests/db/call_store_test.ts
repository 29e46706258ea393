/** What a call writes of itself: read back as it was, and ended for it when it cannot do so itself. */

import assert from "node:assert/strict";
import { callStore } from "@/actors/call/store.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { getCall, insertCall } from "@/db/calls.ts";
import { NO_USAGE } from "@/lib/conversation/usage.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { newCall, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const { signal } = new AbortController();
const at = new Date("2026-01-05T09:00:00Z");

const WORKFLOW = {
  node: "slot",
  variables: { day: "Thursday" },
  transitions: 2,
  turnCalls: 0,
  outcome: null,
};
const EVENTS: readonly CallEvent[] = [
  { type: "call_started", direction: "inbound" },
  { type: "leg_started", epoch: 1 },
  { type: "caller_said", turn: 1, text: "On Thursday, please." },
  { type: "workflow_moved", workflow: WORKFLOW },
  { type: "usage_counted", usage: NO_USAGE },
];

async function setUp() {
  const database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const row = newCall(agentId);
  await database.asTenant("calls", tenantId, 5_000, (sql) => insertCall(sql, tenantId, row));
  const system = newSystem({ clock: systemClock, log: silentLog });
  const ref = system.spawn(recorderKind, "recorder", () => recorder({ database, log: silentLog }));
  const store = callStore({ tenantId, callId: row.id }, { database, recorder: ref });
  EVENTS.forEach((event, nth) => store.record(nth + 1, event, at));
  return {
    store,
    call: () =>
      database.asTenant("calls", tenantId, 5_000, (sql) => getCall(sql, tenantId, row.id)),
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      await database.close();
    },
  };
}

Deno.test("a call reads back its events as it recorded them, those of this instant too", async () => {
  await using test = await setUp();
  const history = await test.store.history(signal);
  assert.deepEqual(history, { events: EVENTS, answeredAt: at, lastAt: at });
});

Deno.test("a call that broke off is ended for it, with what it had learnt", async () => {
  await using test = await setUp();
  await test.store.breakOff({ outcome: "failed", reason: "crashed" }, at);
  const call = await test.call();
  assert.deepEqual([call?.status, call?.outcome, call?.reason], ["ended", "failed", "crashed"]);
  assert.deepEqual([call?.variables, call?.usage], [{ day: "Thursday" }, NO_USAGE]);
  const { events } = await test.store.history(signal);
  assert.deepEqual(events.at(-1), { type: "call_ended", outcome: "failed", reason: "crashed" });
});

Deno.test("a call that broke off within a word has on record what was heard until then", async () => {
  await using test = await setUp();
  const told: readonly CallEvent[] = [
    { type: "speech_given", turn: 2, text: "On Thursday at nine?", isOpen: false },
    { type: "speech_heard", turn: 2, words: 2 },
    { type: "caller_heard", text: "No, at" },
  ];
  told.forEach((event, nth) => test.store.record(EVENTS.length + nth + 1, event, at));
  await test.store.breakOff({ outcome: "failed", reason: "machine_lost" }, at);
  const { events } = await test.store.history(signal);
  assert.deepEqual(events.slice(EVENTS.length + told.length), [
    {
      ...{ type: "agent_said", turn: 2, text: "On Thursday", unheard: "at nine?" },
      ...{ bargedIn: true, gapMs: null, parts: null },
    },
    { type: "caller_said", turn: 3, text: "No, at" },
    { type: "call_ended", outcome: "failed", reason: "machine_lost" },
  ]);
});

Deno.test("a call that had ended stays as it was, though it broke off after that", async () => {
  await using test = await setUp();
  const ended = { outcome: "answered", reason: "agent_hung_up" } as const;
  test.store.record(EVENTS.length + 1, { type: "call_ended", ...ended }, at);
  await test.store.saveEnd(
    { ...ended, variables: {}, usage: null, answeredAt: at, endedAt: at },
    signal,
  );
  await test.store.breakOff({ outcome: "failed", reason: "stopped" }, at);
  const call = await test.call();
  assert.deepEqual([call?.outcome, call?.reason, call?.answeredAt], [
    "answered",
    "agent_hung_up",
    at,
  ]);
  const { events } = await test.store.history(signal);
  assert.equal(events.filter((event) => event.type === "call_ended").length, 1);
});
