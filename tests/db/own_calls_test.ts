/** Who placed a call, and that members of role `agent` see their own only where the tenant says so. */

import assert from "node:assert/strict";
import type { AskDesk, ErrandName } from "@/actors/desk/errands.ts";
import { openHouse } from "@/actors/house.ts";
import { insertAgent, publishAgentVersion } from "@/db/agents.ts";
import { insertCall } from "@/db/calls.ts";
import { type Principal, type Role, SCOPES_OF } from "@/lib/access.ts";
import { systemClock } from "@/lib/clock.ts";
import { readConfig } from "@/lib/config.ts";
import { newId } from "@/lib/ids.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { silentLog } from "@/lib/log.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { noLiveKit } from "@/tests/support/livekit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, insertedCall, newCall, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const NO_SUCH = { code: "not_found", message: "No such call" };
const [FROM, TO] = ["+15550100100", "+15550123456"];

/** A real house whose carrier takes every call and lets it ring; a tenant, and another that has a call. */
async function setUp() {
  const database = await open();
  const { tenantId, agentId: unpublished } = await newStaffedTenant(database);
  const agentId = newId("agent");
  const inTenant = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  await inTenant(async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    const version = { id: newId("version"), agentId, graph: demoAgent };
    await publishAgentVersion(sql, tenantId, version);
  });
  const inbound = newCall(unpublished);
  await inTenant((sql) => insertCall(sql, tenantId, inbound));
  const foreign = await insertedCall(database, await newStaffedTenant(database));
  const house = openHouse({
    config: readConfig({}),
    database,
    carrier: {
      ...inboundOnly(),
      placeCall: () => Promise.resolve({ carrierCallId: newId("job") }),
    },
    newCarrier: () => inboundOnly(),
    newLiveKit: noLiveKit,
    publicUrl: "https://voice.example.com",
    keys: null,
    notifier: { provider: "none", send: () => Promise.resolve() },
    stores: storesOf(memoryStore()),
    clock: systemClock,
    log: silentLog,
  });

  function someone(role: Role | null): { readonly id: string; readonly ask: AskDesk } {
    const id = newId(role === null ? "key" : "person");
    const by: Principal = {
      kind: role === null ? "key" : "user",
      id,
      tenantId,
      role,
      scopes: new Set(SCOPES_OF[role ?? "admin"]),
      sessionId: null,
      configVersion: 1,
    };
    const request = { requestId: "r1", address: null, idempotencyKey: null };
    const ask = (name: ErrandName, input?: unknown): Promise<unknown> =>
      house.desk(tenantId).ask(
        (reply) => ({ type: "errand", name, input, by, request, reply }),
        { timeoutMs: DEADLINE_MS },
      );
    return { id, ask: ask as AskDesk }; // typed by the errand's name
  }

  const owner = someone("owner");
  return {
    someone,
    place: async ({ ask }: { readonly ask: AskDesk }) =>
      (await ask("placeCall", { agentId, from: FROM, to: TO })).id,
    set: (agentsSeeOwnCallsOnly: boolean) =>
      owner.ask("changeTenant", { settings: { agentsSeeOwnCallsOnly }, expected: null }),
    inbound: inbound.id,
    foreign: foreign.id,
    async [Symbol.asyncDispose]() {
      await house.close();
      await database.close();
    },
  };
}

/** Every errand that reads or changes one call. */
const ERRANDS: readonly [name: ErrandName, ask: (ask: AskDesk, id: string) => Promise<unknown>][] =
  [
    ["call", (ask, id) => ask("call", id)],
    ["callEvents", (ask, callId) => ask("callEvents", { callId, after: 0, limit: 10 })],
    ["callNews", (ask, callId) => ask("callNews", { callId, after: 0, limit: 10 })],
    ["callTranscript", (ask, id) => ask("callTranscript", id)],
    ["callTranscriptText", (ask, id) => ask("callTranscriptText", id)],
    ["callAnalysis", (ask, id) => ask("callAnalysis", id)],
    ["hangUpCall", (ask, id) => ask("hangUpCall", id)], // last: it ends the call
  ];

const idsOf = async (ask: AskDesk) =>
  (await ask("calls", { limit: 10 })).items.map(({ id }) => id).sort();

Deno.test("a call says who placed it: a person, a key, or nobody when it came in", async () => {
  await using house = await setUp();
  for (const someone of [house.someone("agent"), house.someone("builder"), house.someone(null)]) {
    const id = await house.place(someone);
    assert.equal((await someone.ask("call", id)).placedBy, someone.id);
  }
  assert.equal((await house.someone("viewer").ask("call", house.inbound)).placedBy, null);
});

Deno.test("agents see all calls of their tenant, unless it says that they see their own", async () => {
  await using house = await setUp();
  const [ada, bo] = [house.someone("agent"), house.someone("agent")];
  const [adas, bos] = [await house.place(ada), await house.place(bo)];
  const all = [adas, bos, house.inbound].sort();
  assert.deepEqual(await idsOf(ada.ask), all);
  assert.equal((await ada.ask("call", bos)).placedBy, bo.id);
  await house.set(true);
  assert.deepEqual([await idsOf(ada.ask), await idsOf(bo.ask)], [[adas], [bos]]);
  const number = { limit: 10, number: TO };
  assert.deepEqual((await ada.ask("calls", number)).items.map(({ id }) => id), [adas]);
  await house.set(false);
  assert.deepEqual(await idsOf(ada.ask), all);
});

Deno.test("another's call is forbidden to an agent in every errand, and another tenant's is not there", async () => {
  await using house = await setUp();
  const [ada, bo] = [house.someone("agent"), house.someone("agent")];
  const [adas, bos] = [await house.place(ada), await house.place(bo)];
  await house.set(true);
  for (const [name, run] of ERRANDS) {
    for (const id of [bos, house.inbound]) {
      await assert.rejects(run(ada.ask, id), { code: "forbidden" }, name);
    }
    for (const id of [house.foreign, newId("call"), "no id"]) {
      await assert.rejects(run(ada.ask, id), NO_SUCH, name);
    }
    await run(ada.ask, adas);
  }
  assert.notEqual((await bo.ask("call", bos)).status, "ended"); // nobody else hung up
});

Deno.test("other roles and keys see all calls, whatever agents see", async () => {
  await using house = await setUp();
  const id = await house.place(house.someone("agent"));
  await house.set(true);
  for (const role of ["owner", "admin", "builder", "viewer", null] as const) {
    const { ask } = house.someone(role);
    assert.deepEqual(await idsOf(ask), [id, house.inbound].sort(), `${role}`);
    for (const [name, run] of ERRANDS.slice(0, -1)) {
      await assert.doesNotReject(run(ask, house.inbound), `${name} ${role}`);
    }
  }
});
