/** Phone numbers: one owner each in the whole house, whoever asks at once. */

import assert from "node:assert/strict";
import { deskStore } from "@/actors/desk/store.ts";
import { publishAgentVersion } from "@/db/agents.ts";
import { numberOwner } from "@/db/lookups.ts";
import { listPhoneNumbers } from "@/db/phone_numbers.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { plansOf } from "@/tests/support/explain.ts";
import { DEADLINE_MS, newStaffedTenant, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const GRAPH = { nodes: [] };

Deno.test("a number is claimed, assigned, unassigned and released", async () => {
  await using database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const { run } = errandRunner(database, tenantId);
  const number = "+15550100301";
  const owner = () => database.lookup("rest", DEADLINE_MS, (sql) => numberOwner(sql, number));
  const made = await run("claimPhoneNumber", { number });
  assert.deepEqual([made.number, made.agentId], [number, null]);
  assert.deepEqual(await run("phoneNumber", made.id), made);
  const assigned = await run("assignPhoneNumber", { numberId: made.id, agentId });
  assert.deepEqual(assigned, { ...made, agentId });
  assert.equal((await owner())?.agentId, agentId);
  await run("assignPhoneNumber", { numberId: made.id, agentId: null });
  assert.equal((await owner())?.tenantId, tenantId);
  assert.equal((await owner())?.agentId, null);
  assert.equal(await run("releasePhoneNumber", made.id), null);
  assert.equal(await owner(), null);
  await assert.rejects(run("releasePhoneNumber", made.id), { code: "not_found" });
  await assert.rejects(run("assignPhoneNumber", { numberId: made.id, agentId }), {
    code: "not_found",
  });
});

Deno.test("a number says how its calls are held, and its agent is held so", async () => {
  await using database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const { run } = errandRunner(database, tenantId);
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      publishAgentVersion(sql, tenantId, { id: newId("version"), agentId, graph: demoAgent }),
  );
  const [number, other] = ["+15550100304", "+15550100305"];
  const made = await run("claimPhoneNumber", { number, agentId, leg: "relay" });
  assert.equal(made.leg, "relay");
  await run("claimPhoneNumber", { number: other, agentId });
  const { agent } = deskStore(database, tenantId, { clock: systemClock, carrier: "test" });
  const { signal } = new AbortController();
  const relayOf = async (number: string | null) =>
    (await agent({ agentId, number }, signal))?.graph.relay;
  const house = { ttsProvider: null, transcriptionProvider: null, speechModel: null };
  assert.deepEqual(await relayOf(number), house);
  assert.equal(await relayOf(other), null);
  assert.equal(await relayOf(null), null);
  const changed = await run("assignPhoneNumber", { numberId: made.id, leg: "stream" });
  assert.deepEqual([changed.agentId, changed.leg], [agentId, "stream"]);
  assert.equal(await relayOf(number), null);
  const left = await run("assignPhoneNumber", { numberId: made.id, agentId: null });
  assert.deepEqual([left.agentId, left.leg], [null, "stream"]);
});

Deno.test("a number says what its callers are offered while no line is free: the busy tone unless it says else", async () => {
  await using database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const { run } = errandRunner(database, tenantId);
  const plain = await run("claimPhoneNumber", { number: "+15550100306", agentId });
  const patient = await run("claimPhoneNumber", {
    ...{ number: "+15550100307", agentId },
    whenFull: "wait",
  });
  assert.deepEqual([plain.whenFull, patient.whenFull], ["busy", "wait"]);
  const changed = await run("assignPhoneNumber", { numberId: plain.id, whenFull: "wait" });
  assert.deepEqual([changed.whenFull, changed.agentId], ["wait", agentId]);
  const left = await run("assignPhoneNumber", { numberId: plain.id, leg: "relay" });
  assert.deepEqual([left.whenFull, left.leg], ["wait", "relay"]);
});

Deno.test("a number that anyone has is refused, and the rush for one has one winner", async () => {
  await using database = await open();
  const tenants = await Promise.all(Array.from({ length: 4 }, () => newTenant(database)));
  const number = "+15550100302";
  const claims = await Promise.allSettled(
    tenants.flatMap((tenantId) => {
      const { run } = errandRunner(database, tenantId);
      return [run("claimPhoneNumber", { number }), run("claimPhoneNumber", { number })];
    }),
  );
  assert.equal(claims.filter(({ status }) => status === "fulfilled").length, 1);
  for (const claim of claims) {
    if (claim.status === "rejected") assert.equal(claim.reason.code, "conflict");
  }
});

Deno.test("an agent that is archived while it is assigned is either refused or not archived", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const { run } = errandRunner(database, tenantId);
  for (let round = 0; round < 10; round++) {
    const { id: agentId } = await run("createAgent", { name: "Front desk", graph: GRAPH });
    const { id: numberId } = await run("claimPhoneNumber", { number: `+155501004${round}0` });
    const [archived, assigned] = await Promise.allSettled([
      run("archiveAgent", { agentId, expected: null }),
      run("assignPhoneNumber", { numberId, agentId }),
    ]);
    assert.notEqual(archived.status, assigned.status);
  }
});

Deno.test("another tenant's number cannot be seen, assigned or released", async () => {
  await using database = await open();
  const mine = await newStaffedTenant(database);
  const { id } = await errandRunner(database, mine.tenantId).run("claimPhoneNumber", {
    number: "+15550100303",
  });
  const { run } = errandRunner(database, await newTenant(database));
  await assert.rejects(run("phoneNumber", id), { code: "not_found" });
  await assert.rejects(run("releasePhoneNumber", id), { code: "not_found" });
  await assert.rejects(run("assignPhoneNumber", { numberId: id, agentId: null }), {
    code: "not_found",
  });
  assert.deepEqual((await run("phoneNumbers", { limit: 10 })).items, []);
});

Deno.test("phone numbers are listed by their key, and those of an agent by an index", async () => {
  await using database = await open();
  const tenantId = newId("tenant");
  const [all, page] = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      plansOf(sql, async (sql) => {
        await listPhoneNumbers(sql, tenantId, { limit: 10 });
        await listPhoneNumbers(sql, tenantId, { limit: 10, before: newId("number") });
      }),
  );
  for (const plan of [all, page]) {
    assert.match(plan ?? "", /Index Scan Backward using phone_number_pkey/);
    assert.doesNotMatch(plan ?? "", /Sort/);
  }
});
