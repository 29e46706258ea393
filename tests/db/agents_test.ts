/** Agents, their versions, and the demo. */

import assert from "node:assert/strict";
import {
  getAgent,
  getAgentVersion,
  getPublishedVersion,
  insertAgent,
  publishAgentVersion,
} from "@/db/agents.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID, seedDemo } from "@/db/demo.ts";
import { numberOwner } from "@/db/lookups.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const graph = {
  nodes: [{ id: "start", text: "Grüß Gott – ☎" }],
  edges: [],
  limit: 1.5,
  none: null,
};

Deno.test("an agent has no version until one is published", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const agentId = newId("agent");
  const [agent, version] = await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    return [
      await getAgent(sql, tenantId, agentId),
      await getPublishedVersion(sql, tenantId, agentId, (json) => json),
    ] as const;
  });
  const { id, name, publishedVersion, revision, hasDraft, archivedAt } = agent ?? {};
  assert.deepEqual([id, name, publishedVersion], [agentId, "Front desk", null]);
  assert.deepEqual([revision, hasDraft, archivedAt], [1, false, null]);
  assert.equal(version, null);
});

Deno.test("a published graph comes back as it went in, after it was checked", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const agentId = newId("agent");
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    await publishAgentVersion(sql, tenantId, { id: newId("version"), agentId, graph });
    const version = await getPublishedVersion(sql, tenantId, agentId, (json) => ({ json }));
    const { createdAt, ...rest } = version ?? {};
    assert.deepEqual(rest, { agentId, number: 1, graph: { json: graph } });
    assert.ok(createdAt instanceof Date);
    const refuse = (): never => {
      throw new Error("Not a graph");
    };
    await assert.rejects(getPublishedVersion(sql, tenantId, agentId, refuse), /Not a graph/);
  });
});

Deno.test("versions are numbered from 1, and publishing one twice makes one", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const agentId = newId("agent");
  const [one, two] = [newId("version"), newId("version")];
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    const publish = (id: string) =>
      publishAgentVersion(sql, tenantId, { id, agentId, graph: { id } });
    assert.deepEqual([await publish(one), await publish(two), await publish(one)], [1, 2, 1]);
    assert.equal((await getAgent(sql, tenantId, agentId))?.publishedVersion, 2);
    const first = await getAgentVersion(sql, tenantId, agentId, 1, (json) => json);
    assert.deepEqual(first?.graph, { id: one });
    assert.equal(await getAgentVersion(sql, tenantId, agentId, 3, (json) => json), null);
  });
});

Deno.test("two publishers at once take two numbers", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const agentId = newId("agent");
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertAgent(sql, tenantId, { id: agentId, name: "Front desk" }),
  );
  const numbers = await Promise.all(
    Array.from(
      { length: 6 },
      () =>
        database.asTenant(
          "rest",
          tenantId,
          DEADLINE_MS,
          (sql) => publishAgentVersion(sql, tenantId, { id: newId("version"), agentId, graph }),
        ),
    ),
  );
  assert.deepEqual(numbers.sort(), [1, 2, 3, 4, 5, 6]);
});

Deno.test("an agent of another tenant, a missing one and a malformed id are all null", async () => {
  await using database = await open();
  const [tenantId, other] = [await newTenant(database), await newTenant(database)];
  const agentId = newId("agent");
  await database.asTenant(
    "rest",
    other,
    DEADLINE_MS,
    (sql) => insertAgent(sql, other, { id: agentId, name: "Theirs" }),
  );
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    for (const id of [agentId, newId("agent"), "agent_1", "call_1", ""]) {
      assert.equal(await getAgent(sql, tenantId, id), null);
      const version = { id: newId("version"), agentId: id, graph };
      assert.equal(await publishAgentVersion(sql, tenantId, version), null);
    }
    assert.equal(await getAgent(sql, other, agentId), null);
  });
});

Deno.test("the demo is seeded once, and its number rings its agent", async () => {
  await using database = await open();
  const demo = { agentName: "Front desk", graph };
  assert.deepEqual([await seedDemo(database, demo), await seedDemo(database, demo)], [true, false]);
  const owner = await database.lookup("calls", DEADLINE_MS, (sql) => numberOwner(sql, DEMO_NUMBER));
  assert.deepEqual([owner?.tenantId, owner?.agentId], [DEMO_TENANT_ID, DEMO_AGENT_ID]);
  const version = await database.asTenant(
    "rest",
    DEMO_TENANT_ID,
    DEADLINE_MS,
    (sql) => getPublishedVersion(sql, DEMO_TENANT_ID, DEMO_AGENT_ID, (json) => json),
  );
  const { createdAt: _, ...rest } = version ?? {};
  assert.deepEqual(rest, { agentId: DEMO_AGENT_ID, number: 1, graph });
});
