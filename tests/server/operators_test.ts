/** Operators over real HTTP: what they see of tenants, and what they do to one. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { newId } from "@/lib/ids.ts";
import { type Client, clientOf, signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

interface Test {
  readonly url: string;
  readonly database: Database;
  readonly operator: Client;
  /** At the operators' listener, under any token. */
  operatorAs(token: string | null): Client;
}

async function withServer(test: (given: Test) => Promise<void>): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database });
  const operators = `http://127.0.0.1:${kit.server.operatorPort}`;
  const operatorAs = (token: string | null): Client => clientOf(operators, token);
  try {
    const operator = operatorAs(kit.server.operatorToken);
    await test({ url: kit.url, database, operator, operatorAs });
  } finally {
    await kit.close();
    await database.close();
  }
}

async function audited(database: Database, tenantId: string) {
  return await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      sql<{ action: string; actorKind: string; actorId: string; details: unknown }[]>`
    select action, actor_kind, actor_id, details from audit_entry
    where actor_kind = 'operator' order by at, id`,
  );
}

Deno.test("operators page through all tenants, by status and by name, with counts", async () => {
  await withServer(async ({ url, database, operator }) => {
    const tenants = [await signUp(url), await signUp(url), await signUp(url)];
    const name = `Zebra ${crypto.randomUUID()}`;
    await database.asTenant("rest", tenants[1]?.tenantId ?? "", DEADLINE_MS, (sql) =>
      sql`
      update tenant set name = ${name}`);
    const seen: string[] = [];
    for (let next: string | null = ""; next !== null;) {
      const cursor: string = next === "" ? "" : `&cursor=${next}`;
      const page = await operator("GET", `/tenants?limit=2${cursor}`);
      assert.equal(page.status, 200);
      seen.push(...page.body.items.map(({ id }: { id: string }) => id));
      next = page.body.next;
    }
    assert.ok(tenants.every(({ tenantId }) => seen.includes(tenantId)));
    assert.equal(new Set(seen).size, seen.length);
    assert.deepEqual(seen, seen.toSorted().toReversed());
    const found = await operator("GET", `/tenants?name=${encodeURIComponent(name.toLowerCase())}`);
    assert.equal(found.body.items.length, 1);
    const { memberCount, agentCount, liveCallCount, status } = found.body.items[0];
    assert.deepEqual({ memberCount, agentCount, liveCallCount, status }, {
      ...{ memberCount: 1, agentCount: 0, liveCallCount: 0, status: "active" },
    });
    assert.equal((await operator("GET", "/tenants?status=none")).status, 400);
    const none = await operator("GET", `/tenants?name=${crypto.randomUUID()}`);
    assert.deepEqual(none.body, { items: [], next: null });
  });
});

Deno.test("a suspended tenant is refused at once for people and keys, who may still log out", async () => {
  await withServer(async ({ url, database, operator }) => {
    const { ask, tenantId, refreshToken } = await signUp(url);
    const made = await ask("POST", "/api/v1/api-keys", { name: "CI", scopes: ["tenant:read"] });
    const byKey = clientOf(url, made.body.key);
    assert.equal((await byKey("GET", "/api/v1/tenant")).status, 200);
    const path = `/tenants/${tenantId}`;
    const reason = "unpaid since March";
    const suspended = await operator("POST", `${path}/suspend`, { reason });
    assert.deepEqual([suspended.status, suspended.body.status], [200, "suspended"]);
    for (const client of [ask, byKey]) {
      const { status, body } = await client("GET", "/api/v1/tenant");
      assert.deepEqual([status, body.code], [403, "tenant_suspended"]);
    }
    assert.equal((await operator("POST", `${path}/suspend`, { reason })).status, 409);
    const resumed = await operator("POST", `${path}/resume`, { reason: "paid" });
    assert.deepEqual([resumed.status, resumed.body.status], [200, "active"]);
    for (const client of [ask, byKey]) {
      assert.equal((await client("GET", "/api/v1/tenant")).status, 200);
    }
    await operator("POST", `${path}/suspend`, { reason });
    const out = await clientOf(url, null)("POST", "/api/v1/auth/logout", { refreshToken });
    assert.equal(out.status, 204);
    assert.deepEqual(
      (await audited(database, tenantId)).map(({ action, actorId, details }) => ({
        ...{ action, actorId, details },
      })),
      [
        { action: "tenant.suspended", actorId: "root", details: { reason } },
        { action: "tenant.resumed", actorId: "root", details: { reason: "paid" } },
        { action: "tenant.suspended", actorId: "root", details: { reason } },
      ],
    );
  });
});

Deno.test("operators set limits and models, which the tenant cannot", async () => {
  await withServer(async ({ url, operator }) => {
    const { ask, tenantId } = await signUp(url);
    const path = `/tenants/${tenantId}/limits`;
    const limits = { concurrentCalls: 3, callsPerDay: null, rates: { dial: rate(2) } };
    const set = await operator("PATCH", path, {
      reason: "pilot",
      limits,
      models: ["gpt-4.1-mini"],
    });
    assert.deepEqual([set.status, set.body.limits, set.body.models], [200, limits, [
      "gpt-4.1-mini",
    ]]);
    const more = await operator("PATCH", path, { reason: "all models", models: null });
    assert.deepEqual([more.body.limits, more.body.models], [limits, null]);
    const wrong = await operator("PATCH", path, { reason: "typo", limits: { concurrent: 1 } });
    assert.deepEqual([wrong.status, wrong.body.code], [400, "invalid"]);
    for (const settings of [{ limits }, { models: [] }]) {
      assert.equal((await ask("PATCH", "/api/v1/tenant", { settings })).status, 400);
    }
  });
});

Deno.test("an operator visits a tenant for a reason, which the tenant reads with all that is done", async () => {
  await withServer(async ({ url, database, operator }) => {
    const { tenantId, ask } = await signUp(url);
    const path = `/tenants/${tenantId}/visits`;
    assert.equal((await operator("POST", path, { role: "admin" })).status, 400);
    const owner = await operator("POST", path, { role: "owner", reason: "ticket 12" });
    assert.equal(owner.status, 400);
    const visit = await operator("POST", path, { role: "admin", reason: "ticket 12" });
    assert.equal(visit.status, 201);
    const { credential, id, expiresAt } = visit.body;
    assert.ok(credential.startsWith("rm_oper_"));
    const byVisit = clientOf(url, credential);
    const changed = await byVisit("PATCH", "/api/v1/tenant", { name: "Clinic of Dr. Who" });
    assert.equal(changed.status, 200);
    const key = { name: "back door", scopes: ["calls:read"] };
    const member = { email: "m@example.com", role: "viewer" };
    assert.equal((await byVisit("POST", "/api/v1/api-keys", key)).status, 403);
    assert.equal((await byVisit("POST", "/api/v1/invitations", member)).status, 403);
    const elsewhere = clientOf(url, credential, { "X-Tenant-ID": newId("tenant") });
    assert.equal((await elsewhere("GET", "/api/v1/tenant")).status, 403);
    await operator("POST", `/tenants/${tenantId}/suspend`, { reason: "ticket 12" });
    assert.equal((await byVisit("GET", "/api/v1/tenant")).status, 200); // to help
    await operator("POST", `/tenants/${tenantId}/resume`, { reason: "ticket 12" });
    assert.equal((await operator("DELETE", `${path}/${id}`)).status, 204);
    assert.equal((await operator("DELETE", `${path}/${id}`)).status, 404);
    assert.equal((await byVisit("GET", "/api/v1/tenant")).status, 401);
    const entries = await audited(database, tenantId);
    assert.deepEqual(entries.map(({ action, actorId }) => `${actorId} ${action}`), [
      ...["root operator.visited", "root tenant.changed", "root tenant.suspended"],
      ...["root tenant.resumed", "root operator.left"],
    ]);
    assert.deepEqual(entries[0]?.details, { reason: "ticket 12", role: "admin", expiresAt });
    const log = await ask("GET", "/api/v1/audit");
    assert.equal(log.status, 200);
    assert.ok(JSON.stringify(log.body).includes("ticket 12"));
  });
});

Deno.test("nobody but operators gets there, and tenants that there are not are not found", async () => {
  await withServer(async ({ url, operator, operatorAs }) => {
    const { token, ask, tenantId } = await signUp(url);
    const made = await ask("POST", "/api/v1/api-keys", { name: "CI", scopes: ["tenant:read"] });
    const routes: [string, string, unknown][] = [
      ["GET", "", undefined],
      ["POST", "/suspend", { reason: "none" }],
      ["POST", "/resume", { reason: "none" }],
      ["PATCH", "/limits", { reason: "none" }],
      ["POST", "/visits", { reason: "none", role: "admin" }],
      ["DELETE", `/visits/${newId("visit")}`, undefined],
    ];
    for (const shown of [null, token, made.body.key, "x"]) {
      const asked = operatorAs(shown);
      assert.equal((await asked("GET", "/tenants")).status, 401);
      for (const [method, path, body] of routes) {
        assert.equal((await asked(method, `/tenants/${tenantId}${path}`, body)).status, 401, path);
      }
    }
    for (const id of [newId("tenant"), "x", newId("agent")]) {
      for (const [method, path, body] of routes) {
        assert.equal((await operator(method, `/tenants/${id}${path}`, body)).status, 404, path);
      }
    }
    assert.equal((await ask("GET", `/tenants/${tenantId}`)).status, 404); // not on the public one
  });
});

function rate(perSecond: number): { capacity: number; perSecond: number } {
  return { capacity: 10, perSecond };
}
