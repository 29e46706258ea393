/** Who reaches in, over real HTTP: keys, members and invitations, by role and by scope. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { type Role, ROLES, SCOPES, SCOPES_OF } from "@/lib/access.ts";
import { newKey } from "@/lib/api_keys.ts";
import { newId } from "@/lib/ids.ts";
import { type Client, clientOf, join, PASSWORD, signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

interface Test {
  readonly kit: ServerKit;
  readonly url: string;
  readonly database: Database;
}

async function withServer(test: (given: Test) => Promise<void>): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database });
  try {
    await test({ kit, url: kit.url, database });
  } finally {
    await kit.close();
    await database.close();
  }
}

/** A member of each role in one tenant. */
async function staff(given: Test): Promise<{ tenantId: string; by: Record<Role, Client> }> {
  const owner = await signUp(given.url);
  const asked: [Role, Client][] = [["owner", owner.ask]];
  for (const role of ROLES.slice(1)) {
    asked.push([role, (await join(given, owner.tenantId, role)).ask]);
  }
  return { tenantId: owner.tenantId, by: Object.fromEntries(asked) as Record<Role, Client> };
}

/** What a person of each role is answered: allowed, or forbidden. */
const ROUTES: readonly [method: string, path: string, body: unknown, allowed: readonly Role[]][] = [
  ["GET", "/api/v1/api-keys", undefined, ["owner", "admin"]],
  [
    "POST",
    "/api/v1/api-keys",
    { name: "CI", scopes: ["calls:read"] },
    ["owner", "admin"],
  ],
  ["GET", `/api/v1/api-keys/${newId("key")}`, undefined, ["owner", "admin"]],
  ["PATCH", `/api/v1/api-keys/${newId("key")}`, { name: "CI" }, ["owner", "admin"]],
  ["POST", `/api/v1/api-keys/${newId("key")}/rotate`, {}, ["owner", "admin"]],
  ["DELETE", `/api/v1/api-keys/${newId("key")}`, undefined, ["owner", "admin"]],
  ["GET", "/api/v1/members", undefined, ["owner", "admin", "builder", "agent"]],
  ["GET", `/api/v1/members/${newId("member")}`, undefined, ["owner", "admin", "builder", "agent"]],
  ["PATCH", `/api/v1/members/${newId("member")}`, { role: "viewer" }, ["owner", "admin"]],
  ["DELETE", `/api/v1/members/${newId("member")}`, undefined, ["owner", "admin"]],
  ["GET", "/api/v1/invitations", undefined, ["owner", "admin", "builder", "agent"]],
  ["POST", "/api/v1/invitations", { email: "a@example.com", role: "viewer" }, ["owner", "admin"]],
  ["POST", `/api/v1/invitations/${newId("invitation")}/resend`, undefined, ["owner", "admin"]],
  ["DELETE", `/api/v1/invitations/${newId("invitation")}`, undefined, ["owner", "admin"]],
];

Deno.test("each route is for the roles that have its scope, and for no other", async () => {
  await withServer(async (given) => {
    const { by } = await staff(given);
    for (const [method, path, body, allowed] of ROUTES) {
      for (const role of ROLES) {
        const { status } = await by[role](method, path, body);
        const isAllowed = allowed.includes(role);
        assert.equal(status !== 403, isAllowed, `${method} ${path} as ${role}: ${status}`);
        assert.ok(status < 500, `${method} ${path} as ${role}: ${status}`);
      }
      assert.equal((await clientOf(given.url, null)(method, path, body)).status, 401);
    }
  });
});

Deno.test("a key is shown once, works at once, and is gone at once when it is revoked", async () => {
  await withServer(async ({ url }) => {
    const { ask } = await signUp(url);
    const scopes = ["calls:read", "keys:read"];
    const made = await ask("POST", "/api/v1/api-keys", { name: "CI", scopes });
    assert.equal(made.status, 201);
    const { key, ...view } = made.body;
    assert.ok(key.startsWith(`${view.start}_`));
    assert.deepEqual((await ask("GET", `/api/v1/api-keys/${view.id}`)).body, view);
    const byKey = clientOf(url, key);
    assert.equal((await byKey("GET", "/api/v1/calls")).status, 200);
    assert.equal((await byKey("GET", "/api/v1/tenant")).status, 403); // not its scope
    const listed = await byKey("GET", "/api/v1/api-keys");
    assert.deepEqual([listed.status, listed.body.items.length], [200, 1]);
    assert.ok(!JSON.stringify(listed.body).includes(key));
    assert.equal((await ask("DELETE", `/api/v1/api-keys/${view.id}`)).status, 204);
    assert.equal((await byKey("GET", "/api/v1/calls")).status, 401);
    assert.equal((await ask("DELETE", `/api/v1/api-keys/${view.id}`)).status, 204);
    assert.equal((await ask("GET", `/api/v1/api-keys/${view.id}`)).body.status, "revoked");
    assert.equal((await ask("POST", `/api/v1/api-keys/${view.id}/rotate`, {})).status, 409);
  });
});

Deno.test("a rotated key stays good for the overlap, and its successor is as it was", async () => {
  await withServer(async ({ url }) => {
    const { ask } = await signUp(url);
    const expiresAt = "2099-01-01T00:00:00.000Z";
    const creation = { name: "CI", scopes: ["calls:read"], expiresAt };
    const { key: first, id } = (await ask("POST", "/api/v1/api-keys", creation)).body;
    const rotated = await ask("POST", `/api/v1/api-keys/${id}/rotate`, { overlapSeconds: 3_600 });
    assert.equal(rotated.status, 201);
    const { name, scopes, expiresAt: until } = rotated.body;
    assert.deepEqual({ name, scopes, expiresAt: until }, creation);
    for (const key of [first, rotated.body.key]) {
      assert.equal((await clientOf(url, key)("GET", "/api/v1/calls")).status, 200);
    }
    const old = (await ask("GET", `/api/v1/api-keys/${id}`)).body;
    const leftS = (new Date(old.expiresAt).getTime() - new Date(rotated.body.createdAt).getTime()) /
      1_000;
    assert.equal(leftS, 3_600);
    const second = rotated.body.id;
    await ask("POST", `/api/v1/api-keys/${second}/rotate`, { overlapSeconds: 0 });
    assert.equal((await clientOf(url, rotated.body.key)("GET", "/api/v1/calls")).status, 401);
    const tooLong = await ask("POST", `/api/v1/api-keys/${id}/rotate`, { overlapSeconds: 604_801 });
    assert.deepEqual([tooLong.status, tooLong.body.field], [400, "overlapSeconds"]);
  });
});

Deno.test("a key makes no key with more than it has, nor gets one by rotating", async () => {
  await withServer(async ({ url }) => {
    const { ask } = await signUp(url);
    const strong = (await ask("POST", "/api/v1/api-keys", { name: "all", scopes: SCOPES })).body;
    const scopes = ["keys:read", "keys:write", "members:write", "members:read"];
    const weak = (await ask("POST", "/api/v1/api-keys", { name: "weak", scopes })).body;
    const byWeak = clientOf(url, weak.key);
    const more = await byWeak("POST", "/api/v1/api-keys", { name: "x", scopes: ["calls:read"] });
    assert.deepEqual([more.status, more.body.field], [403, "scopes"]);
    assert.equal((await byWeak("POST", `/api/v1/api-keys/${strong.id}/rotate`, {})).status, 403);
    const less = await byWeak("POST", "/api/v1/api-keys", { name: "x", scopes: ["keys:read"] });
    assert.equal(less.status, 201);
    const invited = { email: "mallory@example.com", role: "viewer" };
    assert.equal((await byWeak("POST", "/api/v1/invitations", invited)).status, 403);
    const owner = { email: "mallory@example.com", role: "owner" };
    const byStrong = clientOf(url, strong.key);
    assert.equal((await byStrong("POST", "/api/v1/invitations", owner)).status, 403);
    assert.equal((await byStrong("POST", "/api/v1/invitations", invited)).status, 201);
  });
});

Deno.test("a key is refused that is mistyped, of another house, unknown, or has expired", async () => {
  await withServer(async ({ kit, url, database }) => {
    const { ask, tenantId } = await signUp(url);
    const creation = { name: "CI", scopes: ["calls:read"] };
    const { key, id } = (await ask("POST", "/api/v1/api-keys", creation)).body;
    const past = new Date("2020-01-01T00:00:00Z");
    const late = { ...creation, expiresAt: past.toISOString() };
    const refused = await ask("POST", "/api/v1/api-keys", late);
    assert.deepEqual([refused.status, refused.body.field], [400, "expiresAt"]);
    const answers = [];
    for (const wrong of [`${key}x`, key.slice(0, -1), newKey("live"), newKey("oper"), "rm_", "x"]) {
      answers.push(await clientOf(url, wrong)("GET", "/api/v1/calls"));
    }
    const stranger = clientOf(url, key, { "X-Tenant-ID": newId("tenant") });
    assert.equal((await stranger("GET", "/api/v1/calls")).status, 403);
    await database.asTenant("rest", tenantId, DEADLINE_MS, (sql) =>
      sql`
      update api_key set expires_at = ${past} where id = ${id.slice("key_".length)}`);
    answers.push(await clientOf(url, key)("GET", "/api/v1/calls"));
    for (const { status, body } of answers) {
      assert.deepEqual([status, body.code], [401, "unauthenticated"]);
    }
    assert.ok(!kit.logged.join("\n").includes(key));
  });
});

Deno.test("a key's last use is written beside the request, to the minute", async () => {
  await withServer(async ({ url }) => {
    const { ask } = await signUp(url);
    const creation = { name: "CI", scopes: ["calls:read"] };
    const { key, id, lastUsedAt } = (await ask("POST", "/api/v1/api-keys", creation)).body;
    assert.equal(lastUsedAt, null);
    const byKey = clientOf(url, key);
    assert.equal((await byKey("GET", "/api/v1/calls")).status, 200);
    let used: string | null = null;
    for (let tries = 0; used === null && tries < 200; tries++) { // it is on its way
      used = (await ask("GET", `/api/v1/api-keys/${id}`)).body.lastUsedAt;
    }
    assert.notEqual(used, null);
    assert.equal((await byKey("GET", "/api/v1/calls")).status, 200);
    assert.equal((await ask("GET", `/api/v1/api-keys/${id}`)).body.lastUsedAt, used);
  });
});

Deno.test("only owners make and unmake owners, and an admin changes the rest", async () => {
  await withServer(async (given) => {
    const owner = await signUp(given.url);
    const { tenantId } = owner;
    const admin = await join(given, tenantId, "admin");
    const viewer = await join(given, tenantId, "viewer");
    const path = (id: string): string => `/api/v1/members/${id}`;
    const members = (await owner.ask("GET", "/api/v1/members")).body.items;
    const ownerId = members.find((one: { role: Role }) => one.role === "owner").id;
    assert.equal((await admin.ask("PATCH", path(viewer.memberId), { role: "owner" })).status, 403);
    assert.equal((await admin.ask("PATCH", path(ownerId), { role: "viewer" })).status, 403);
    assert.equal((await admin.ask("DELETE", path(ownerId))).status, 403);
    const promoted = await admin.ask("PATCH", path(viewer.memberId), { role: "builder" });
    assert.deepEqual([promoted.status, promoted.body.role], [200, "builder"]);
    assert.equal((await viewer.ask("GET", "/api/v1/invitations")).status, 200); // at once
    assert.equal((await owner.ask("PATCH", path(ownerId), { role: "admin" })).status, 409);
    assert.equal((await owner.ask("DELETE", path(ownerId))).status, 409);
    assert.equal((await owner.ask("PATCH", path(admin.memberId), { role: "owner" })).status, 200);
    assert.equal((await owner.ask("DELETE", path(ownerId))).status, 204); // leaves
    assert.equal((await owner.ask("GET", "/api/v1/tenant")).status, 403); // member of none
  });
});

Deno.test("every member may leave, and removes nobody else without the scope", async () => {
  await withServer(async (given) => {
    const { tenantId } = await signUp(given.url);
    const viewer = await join(given, tenantId, "viewer");
    const other = await join(given, tenantId, "viewer");
    const path = (id: string): string => `/api/v1/members/${id}`;
    const refused = await viewer.ask("DELETE", path(other.memberId));
    const missing = await viewer.ask("DELETE", path(newId("member")));
    assert.deepEqual([refused.status, missing.status], [403, 403]); // no telling who there is
    assert.equal((await viewer.ask("DELETE", path(viewer.memberId))).status, 204);
    assert.equal((await viewer.ask("GET", "/api/v1/tenant")).status, 403);
    assert.equal((await other.ask("GET", "/api/v1/tenant")).status, 200);
  });
});

Deno.test("of twenty who unmake the owners at once, one owner is left", async () => {
  await withServer(async (given) => {
    const first = await signUp(given.url);
    const { tenantId } = first;
    const owners = await Promise.all(
      Array.from({ length: 19 }, () => join(given, tenantId, "owner")),
    );
    const members = (await first.ask("GET", "/api/v1/members")).body.items;
    const firstId = members.find((one: { personId: string }) => one.personId === first.personId).id;
    const all = [{ ask: first.ask, memberId: firstId }, ...owners];
    const answers = await Promise.all(
      all.map(({ ask, memberId }, at) =>
        at % 2 === 0
          ? ask("DELETE", `/api/v1/members/${memberId}`)
          : ask("PATCH", `/api/v1/members/${memberId}`, { role: "viewer" })
      ),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    assert.equal(statuses.filter((status) => status === 409).length, 1, `${statuses}`);
    assert.ok(statuses.every((status) => [200, 204, 409].includes(status)), `${statuses}`);
    const [row] = await given.database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) =>
        sql<{ count: number }[]>`
      select count(*)::int as count from member where role = 'owner'`,
    );
    assert.equal(row?.count, 1);
  });
});

Deno.test("an invitation is mailed, validated, resent with another token, and taken back", async () => {
  await withServer(async ({ kit, url }) => {
    const { ask, email: own } = await signUp(url);
    const anyone = clientOf(url, null);
    const validate = (token: string) =>
      anyone("GET", `/api/v1/invitations/validate/${encodeURIComponent(token)}`);
    const invited = { email: "Grace@Example.com", role: "builder" };
    const made = await ask("POST", "/api/v1/invitations", invited);
    assert.equal(made.status, 201);
    assert.deepEqual([made.body.email, made.body.status], ["grace@example.com", "pending"]);
    const again = await ask("POST", "/api/v1/invitations", invited);
    assert.deepEqual([again.status, again.body.code, again.body.field], [409, "conflict", "email"]);
    const member = await ask("POST", "/api/v1/invitations", { email: own, role: "viewer" });
    assert.deepEqual([member.status, member.body.field], [409, "email"]);

    const first = await mailedToken(kit, 1);
    assert.equal(Uint8Array.fromBase64(first, { alphabet: "base64url" }).length, 32);
    const valid = await validate(first);
    const { tenantName, email, role, expiresAt } = valid.body;
    assert.deepEqual([valid.status, tenantName, email, role], [
      ...[200, "Clinic", "grace@example.com", "builder"],
    ]);
    const days = (Date.parse(expiresAt) - Date.parse(made.body.createdAt)) / 86_400_000;
    assert.equal(days, 7);

    const { id } = made.body;
    assert.equal((await ask("POST", `/api/v1/invitations/${id}/resend`)).status, 200);
    const second = await mailedToken(kit, 2);
    assert.equal((await validate(first)).status, 404);
    assert.equal((await validate(second)).status, 200);
    assert.equal((await ask("DELETE", `/api/v1/invitations/${id}`)).status, 204);
    assert.equal((await ask("DELETE", `/api/v1/invitations/${id}`)).status, 204);
    const gone = await validate(second);
    assert.deepEqual([gone.status, gone.body.code], [410, "gone"]);
    assert.equal((await ask("POST", `/api/v1/invitations/${id}/resend`)).status, 409);
    assert.equal((await ask("POST", "/api/v1/invitations", invited)).status, 201);
    assert.equal((await validate("x")).status, 404);
    const page = (await ask("GET", "/api/v1/invitations")).body.items;
    assert.deepEqual(page.map((one: { status: string }) => one.status), ["pending", "revoked"]);
  });
});

Deno.test("who is invited signs up with the mailed token, once, and is a member at once", async () => {
  await withServer(async ({ kit, url }) => {
    const { ask, tenantId } = await signUp(url);
    const email = `${crypto.randomUUID()}@example.com`;
    await ask("POST", "/api/v1/invitations", { email, role: "agent" });
    const invitationToken = await mailedToken(kit, 1);
    const anyone = clientOf(url, null);
    const signup = { email, password: PASSWORD, name: "Grace", invitationToken };
    const joined = await anyone("POST", "/api/v1/auth/signup", signup);
    assert.deepEqual([joined.status, joined.body.tenantId], [201, tenantId]);
    const members = (await ask("GET", "/api/v1/members")).body.items;
    const roles = members.map((one: { email: string; role: Role }) => `${one.email} ${one.role}`);
    assert.ok(roles.includes(`${email} agent`));
    const byMember = clientOf(url, joined.body.accessToken);
    assert.equal((await byMember("GET", "/api/v1/tenant")).body.id, tenantId);
    const path = `/api/v1/invitations/validate/${invitationToken}`;
    assert.equal((await anyone("GET", path)).status, 410);
    const again = await anyone("POST", "/api/v1/auth/signup", {
      ...signup,
      email: `${crypto.randomUUID()}@example.com`,
    });
    assert.ok([403, 409, 410].includes(again.status), `${again.status}`);
    assert.equal((await ask("GET", "/api/v1/invitations")).body.items[0].status, "accepted");
  });
});

Deno.test("an invitation that has expired is gone, and makes room for another", async () => {
  await withServer(async ({ kit, url, database }) => {
    const { ask, tenantId } = await signUp(url);
    const invited = { email: "grace@example.com", role: "viewer" };
    await ask("POST", "/api/v1/invitations", invited);
    const token = await mailedToken(kit, 1);
    await database.asTenant("rest", tenantId, DEADLINE_MS, (sql) =>
      sql`
      update invitation set expires_at = now() - interval '1 second'`);
    const path = `/api/v1/invitations/validate/${token}`;
    assert.equal((await clientOf(url, null)("GET", path)).status, 410);
    assert.equal((await ask("GET", "/api/v1/invitations")).body.items[0].status, "expired");
    assert.equal((await ask("POST", "/api/v1/invitations", invited)).status, 201);
  });
});

Deno.test("of twenty who invite one address at once, one does", async () => {
  await withServer(async ({ kit, url }) => {
    const { ask } = await signUp(url);
    const invited = { email: "grace@example.com", role: "viewer" };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask("POST", "/api/v1/invitations", invited)),
    );
    const made = answers.filter(({ status }) => status === 201).length;
    assert.equal(made, 1);
    assert.ok(answers.every(({ status }) => status === 201 || status === 409));
    await mailedToken(kit, 1);
    assert.equal(kit.mails.length, 1);
  });
});

Deno.test("keys, roles and invitations are in the audit log, and no secret is", async () => {
  await withServer(async (given) => {
    const { ask, tenantId } = await signUp(given.url);
    const viewer = await join(given, tenantId, "viewer");
    const made = await ask("POST", "/api/v1/api-keys", { name: "CI", scopes: ["calls:read"] });
    const { key, id } = made.body;
    const invited = { email: "grace@example.com", role: "viewer" };
    const invitation = (await ask("POST", "/api/v1/invitations", invited)).body.id;
    await ask("PATCH", `/api/v1/api-keys/${id}`, { name: "CD" });
    await ask("POST", `/api/v1/api-keys/${id}/rotate`, {});
    await ask("DELETE", `/api/v1/api-keys/${id}`);
    await ask("PATCH", `/api/v1/members/${viewer.memberId}`, { role: "agent" });
    await ask("DELETE", `/api/v1/members/${viewer.memberId}`);
    await ask("POST", `/api/v1/invitations/${invitation}/resend`);
    await ask("DELETE", `/api/v1/invitations/${invitation}`);
    const rows = await given.database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) =>
        sql<{ action: string; details: unknown }[]>`
      select action, details from audit_entry order by at, id`,
    );
    assert.deepEqual(rows.map(({ action }) => action).slice(1), [
      ...["key.created", "member.invited", "key.renamed", "key.rotated", "key.revoked"],
      ...["member.role_changed", "member.removed", "invitation.resent", "invitation.revoked"],
    ]);
    assert.ok(!JSON.stringify(rows).includes(key.split("_")[3]));
    const events = await given.database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => sql<{ type: string; payload: unknown }[]>`select type, payload from outbox`,
    );
    assert.deepEqual(
      events.map(({ type }) => type),
      ["member.invited"],
    );
  });
});

Deno.test("every role's scopes are among those of the roles above it", () => {
  for (const [at, role] of ROLES.entries()) {
    const above = ROLES[at - 1];
    if (above === undefined) continue;
    const wider: ReadonlySet<string> = new Set(SCOPES_OF[above]);
    assert.ok(SCOPES_OF[role].every((scope) => wider.has(scope)), role);
  }
});

/** The token in the nth mail, which may be on its way. */
async function mailedToken({ mails, rest }: ServerKit, nth: number): Promise<string> {
  for (let tries = 0; mails.length < nth && tries < 200; tries++) {
    await (await rest("/api/v1/tenant")).body?.cancel();
  }
  const token = /^[\w-]{43}$/m.exec(mails[nth - 1]?.text ?? "")?.[0];
  assert.ok(token !== undefined, `no token in mail ${nth}`);
  return token;
}
