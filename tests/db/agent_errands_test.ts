/** Agents as a tenant's desk keeps them: a draft, versions that never change, and an archive. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { insertCall } from "@/db/calls.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { openVault } from "@/tests/support/services.ts";
import { DEADLINE_MS, newCall, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const GRAPH = JSON.parse(JSON.stringify(demoAgent));
const UNFINISHED = { nodes: [{ type: "start", id: "welcome" }], note: "Grüße ☎", n: [1.5, null] };

async function setUp() {
  const database = await open();
  const tenantId = await newTenant(database);
  const { run, by } = errandRunner(database, tenantId);
  return { database, tenantId, run, by, [Symbol.asyncDispose]: () => database.close() };
}

/** What was written beside the agents, as `action subject` and `type`. */
async function written(database: Database, tenantId: string) {
  return await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    const audit = await sql<{ action: string; details: unknown }[]>`
      select action, details from audit_entry order by at, id`;
    const outbox = await sql<{ type: string; payload: unknown }[]>`
      select type, payload from outbox order by id`;
    const [tenant] = await sql<{ configVersion: bigint }[]>`select config_version from tenant`;
    return {
      actions: audit.map(({ action }) => action),
      events: outbox.map(({ type, payload }) => ({ type, payload })),
      configVersion: Number(tenant?.configVersion),
    };
  });
}

Deno.test("a draft comes back as it was sent, whole or not", async () => {
  await using test = await setUp();
  for (const graph of [GRAPH, UNFINISHED, {}]) {
    const made = await test.run("createAgent", { name: "Front desk", graph });
    assert.deepEqual(made.draft, graph);
    assert.deepEqual((await test.run("agent", made.id)).draft, graph);
    assert.deepEqual([made.revision, made.publishedVersion, made.hasDraft], [1, null, true]);
  }
});

Deno.test("validation names everything that is wrong with the draft, by its path", async () => {
  await using test = await setUp();
  const graph = structuredClone(GRAPH);
  graph.edges[0].to = "nowhere";
  graph.nodes[1].variables[0].name = "reason";
  graph.nodes[1].variables[1].name = "reason";
  const { id } = await test.run("createAgent", { name: "Front desk", graph });
  const { isValid, faults } = await test.run("validateAgent", id);
  assert.equal(isValid, false);
  assert.deepEqual(
    faults.map(({ path, nodeId }) => [path, nodeId]).slice(0, 3),
    [
      ["nodes[1].variables[1].name", "patient"],
      ["nodes[1].variables[1].type", "patient"],
      ["edges[0].to", null],
    ],
  );
  assert.ok(faults.some(({ path }) => path === "nodes[1]"), "nothing leads to it");
  await assert.rejects(test.run("publishAgent", { agentId: id, expected: null }), {
    code: "invalid",
    field: "nodes[1].variables[1].name",
  });
  await test.run("changeAgent", { agentId: id, draft: GRAPH, expected: null });
  assert.deepEqual(await test.run("validateAgent", id), { isValid: true, faults: [] });
});

Deno.test("publishing makes the draft the next version, and tells of it once", async () => {
  await using test = await setUp();
  const { id } = await test.run("createAgent", { name: "Front desk", graph: GRAPH });
  const before = await written(test.database, test.tenantId);
  const version = await test.run("publishAgent", { agentId: id, expected: 1 });
  assert.deepEqual([version.number, version.isPublished], [1, true]);
  assert.deepEqual(version.graph, parseGraph(GRAPH));
  const agent = await test.run("agent", id);
  assert.deepEqual([agent.draft, agent.publishedVersion, agent.revision], [null, 1, 2]);
  const after = await written(test.database, test.tenantId);
  assert.deepEqual(after.actions, ["agent.created", "agent.published"]);
  assert.deepEqual(after.events, [
    { type: "agent.published", payload: { agentId: id, version: 1, by: test.by.id } },
  ]);
  assert.ok(after.configVersion > before.configVersion);
  await assert.rejects(test.run("publishAgent", { agentId: id, expected: null }), {
    code: "conflict",
  });
});

Deno.test("an edit of what somebody else has changed since is refused", async () => {
  await using test = await setUp();
  const { id: agentId } = await test.run("createAgent", { name: "Front desk", graph: GRAPH });
  const changed = await test.run("changeAgent", { agentId, name: "Reception", expected: 1 });
  assert.deepEqual([changed.name, changed.revision, changed.draft], ["Reception", 2, GRAPH]);
  const late = { agentId, expected: 1 };
  for (
    const edit of [
      () => test.run("changeAgent", { ...late, draft: null }),
      () => test.run("publishAgent", late),
      () => test.run("restoreAgentVersion", { ...late, number: 1 }),
      () => test.run("archiveAgent", late),
    ]
  ) await assert.rejects(edit(), { code: "edit_conflict", field: "If-Match" });
  const both = await Promise.allSettled([
    test.run("changeAgent", { agentId, name: "One", expected: 2 }),
    test.run("changeAgent", { agentId, name: "Two", expected: 2 }),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

Deno.test("an earlier version becomes the draft, and the next version when it is published", async () => {
  await using test = await setUp();
  const { id: agentId } = await test.run("createAgent", { name: "Front desk", graph: GRAPH });
  await test.run("publishAgent", { agentId, expected: null });
  const second = { ...GRAPH, persona: "You are Tom." };
  await test.run("changeAgent", { agentId, draft: second, expected: null });
  await test.run("publishAgent", { agentId, expected: null });
  const restored = await test.run("restoreAgentVersion", { agentId, number: 1, expected: null });
  assert.deepEqual(restored.draft, parseGraph(GRAPH));
  assert.equal(restored.publishedVersion, 2);
  await test.run("publishAgent", { agentId, expected: null });
  const list = await test.run("agentVersions", { agentId, limit: 2 });
  assert.deepEqual(list.items.map(({ number, isPublished }) => [number, isPublished]), [
    [3, true],
    [2, false],
  ]);
  assert.equal(list.next, "2");
  const rest = await test.run("agentVersions", { agentId, limit: 2, cursor: "2" });
  assert.deepEqual([rest.items.map(({ number }) => number), rest.next], [[1], null]);
  const second2 = await test.run("agentVersion", { agentId, number: 2 });
  assert.deepEqual(second2.graph, parseGraph(second));
  await assert.rejects(test.run("agentVersion", { agentId, number: 4 }), { code: "not_found" });
});

Deno.test("a duplicate begins with the draft, or with what is published where there is none", async () => {
  await using test = await setUp();
  const { id: agentId } = await test.run("createAgent", { name: "Front desk", graph: GRAPH });
  const drawn = await test.run("duplicateAgent", { agentId });
  assert.deepEqual([drawn.name, drawn.draft], ["Front desk (copy)", GRAPH]);
  await test.run("publishAgent", { agentId, expected: null });
  const published = await test.run("duplicateAgent", { agentId, name: "Other" });
  assert.deepEqual([published.name, published.draft], ["Other", parseGraph(GRAPH)]);
  assert.equal(published.publishedVersion, null);
});

Deno.test("an archived agent takes no calls and no edits, and its calls keep their history", async () => {
  await using test = await setUp();
  const { run, tenantId } = test;
  const { id: agentId } = await run("createAgent", { name: "Front desk", graph: GRAPH });
  await run("publishAgent", { agentId, expected: null });
  const call = newCall(agentId);
  await test.database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertCall(sql, tenantId, call),
  );
  const number = await run("claimPhoneNumber", { number: "+15550100777", agentId });
  const archive = () => run("archiveAgent", { agentId, expected: null });
  await assert.rejects(archive(), { code: "conflict" });
  await run("assignPhoneNumber", { numberId: number.id, agentId: null });
  await archive();
  await archive();
  assert.notEqual((await run("agent", agentId)).archivedAt, null);
  assert.equal((await run("agentVersion", { agentId, number: 1 })).number, 1);
  assert.equal((await run("call", call.id)).agentId, agentId);
  assert.deepEqual((await run("agents", { limit: 10, archived: false })).items, []);
  assert.equal((await run("agents", { limit: 10, archived: true })).items.length, 1);
  const edit = { agentId, expected: null };
  await assert.rejects(run("changeAgent", { ...edit, name: "x" }), { code: "conflict" });
  await assert.rejects(run("publishAgent", edit), { code: "conflict" });
  await assert.rejects(run("assignPhoneNumber", { numberId: number.id, agentId }), {
    code: "conflict",
    field: "agentId",
  });
  const { actions } = await written(test.database, tenantId);
  assert.equal(actions.filter((action) => action === "agent.archived").length, 1);
});

Deno.test("agents are listed newest first, page by page", async () => {
  await using test = await setUp();
  const ids: string[] = [];
  for (const name of ["a", "b", "c"]) ids.unshift((await test.run("createAgent", { name })).id);
  const first = await test.run("agents", { limit: 2, archived: false });
  assert.deepEqual(first.items.map(({ id }) => id), ids.slice(0, 2));
  const page = { limit: 2, archived: false, cursor: first.next ?? "" };
  const second = await test.run("agents", page);
  assert.deepEqual([second.items.map(({ id }) => id), second.next], [ids.slice(2), null]);
});

Deno.test("another tenant's agent is not there, in any errand", async () => {
  await using test = await setUp();
  const other = errandRunner(test.database, await newTenant(test.database));
  const { id: agentId } = await test.run("createAgent", { name: "Front desk", graph: GRAPH });
  const number = await other.run("claimPhoneNumber", { number: "+15550100778" });
  const edit = { agentId, expected: null };
  for (
    const asked of [
      () => other.run("agent", agentId),
      () => other.run("agent", "agent_1"),
      () => other.run("changeAgent", { ...edit, name: "x" }),
      () => other.run("validateAgent", agentId),
      () => other.run("publishAgent", edit),
      () => other.run("agentVersions", { agentId, limit: 1 }),
      () => other.run("agentVersion", { agentId, number: 1 }),
      () => other.run("restoreAgentVersion", { ...edit, number: 1 }),
      () => other.run("duplicateAgent", { agentId }),
      () => other.run("archiveAgent", edit),
      () => other.run("claimPhoneNumber", { number: "+15550100779", agentId }),
      () => other.run("assignPhoneNumber", { numberId: number.id, agentId }),
    ]
  ) await assert.rejects(asked(), { code: "not_found" });
});

Deno.test("one model for an agent's speech needs an account as well, and hears nothing over a relay", async () => {
  await using test = await setUp();
  const speech = { provider: "openai_realtime", voice: "cedar" };
  const { id } = await test.run("createAgent", { name: "Front desk", graph: { ...GRAPH, speech } });
  const publish = () => test.run("publishAgent", { agentId: id, expected: null });
  await assert.rejects(publish(), { code: "invalid", field: "speech.provider" });
  const simulated = { ...GRAPH, speech: { provider: "simulated" } };
  const { id: other } = await test.run("createAgent", { name: "Other", graph: simulated });
  assert.equal((await test.run("validateAgent", other)).isValid, true);
  const relayed = { ...simulated, relay: {} };
  const { id: third } = await test.run("createAgent", { name: "Third", graph: relayed });
  const { faults } = await test.run("validateAgent", third);
  assert.deepEqual(faults.map(({ path }) => path), ["speech"]);
});

Deno.test("an agent that names a provider nobody has an account of is refused, until one is brought", async () => {
  await using test = await setUp();
  const graph = { ...GRAPH, providers: { llm: "anthropic", tts: "simulated" } };
  const { id } = await test.run("createAgent", { name: "Front desk", graph });
  const checked = await test.run("validateAgent", id);
  assert.deepEqual(checked.faults.map(({ path }) => path), ["providers.llm"]);
  const publish = () => test.run("publishAgent", { agentId: id, expected: null });
  await assert.rejects(publish(), { code: "invalid", field: "providers.llm" });
  const { run } = errandRunner(test.database, test.tenantId, { services: { vault: openVault } });
  const values = { apiKey: "sk-ant-0123456789" };
  await run("createCredential", { provider: "anthropic", values, check: false });
  assert.equal((await test.run("validateAgent", id)).isValid, true);
  assert.equal((await publish()).number, 1);
});
