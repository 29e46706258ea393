/** Agents who see their own calls only, over HTTP: 403 for a colleague's, 404 for another tenant's. */

import assert from "node:assert/strict";
import { publishAgentVersion } from "@/db/agents.ts";
import type { Database } from "@/db/client.ts";
import { newId } from "@/lib/ids.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { type Client, clientOf, join, signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, insertedCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

async function publish(ask: Client, database: Database, tenantId: string): Promise<string> {
  const { id: agentId } = (await ask("POST", "/api/v1/agents", { name: "Front desk" })).body;
  const version = { id: newId("version"), agentId, graph: demoAgent };
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => publishAgentVersion(sql, tenantId, version),
  );
  return agentId;
}

Deno.test("an agent is refused a colleague's call by every route, and finds no other tenant's", async () => {
  const database = await open();
  const kit = await serverKit({ database });
  try {
    const { url } = kit;
    const owner = await signUp(url);
    const { tenantId } = owner;
    const ada = await join({ url, database }, tenantId, "agent");
    const bo = await join({ url, database }, tenantId, "agent");
    const agentId = await publish(owner.ask, database, tenantId);
    const call = { agentId, to: "+15550123456", from: "+15550100100" };
    const made = await bo.ask("POST", "/api/v1/calls", call);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const path = `/api/v1/calls/${made.body.id}`;
    assert.equal((await ada.ask("GET", path)).body.placedBy, bo.personId);

    const settings = { agentsSeeOwnCallsOnly: true };
    const changed = await owner.ask("PATCH", "/api/v1/tenant", { settings });
    assert.equal(changed.body.settings.agentsSeeOwnCallsOnly, true);
    const routes: readonly (readonly [method: string, path: string])[] = [
      ["GET", ""],
      ["GET", "/events"],
      ["GET", "/transcript"],
      ["GET", "/transcript?format=text"],
      ["GET", "/analysis"],
      ["GET", "/stream"],
      ["POST", "/hang-up"],
    ];
    const other = await insertedCall(database, await newStaffedTenant(database));
    for (const [method, rest] of routes) {
      const { status, body } = await ada.ask(method, path + rest);
      assert.deepEqual([status, body.code], [403, "forbidden"], rest);
      assert.equal((await ada.ask(method, `/api/v1/calls/${other.id}${rest}`)).status, 404, rest);
    }
    assert.deepEqual((await ada.ask("GET", "/api/v1/calls")).body.items, []);
    assert.equal((await bo.ask("GET", "/api/v1/calls")).body.items.length, 1);
    assert.equal((await owner.ask("GET", path)).status, 200);
    const scopes = ["calls:read"];
    const { key } = (await owner.ask("POST", "/api/v1/api-keys", { name: "CI", scopes })).body;
    assert.equal((await clientOf(url, key)("GET", path)).status, 200);
    assert.equal((await bo.ask("POST", `${path}/hang-up`)).status, 204);
  } finally {
    await kit.close();
    await database.close();
  }
});
