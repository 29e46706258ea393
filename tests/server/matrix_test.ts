/** The cross-tenant matrix: every route × every way to name what is another tenant's × every credential. */

import assert from "node:assert/strict";
import { ROLES, SCOPES_OF } from "@/lib/access.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import {
  type Answer,
  type Citizen,
  type MatrixKit,
  matrixKit,
} from "@/tests/support/matrix_kit.ts";
import { MATRIX, type MatrixRow } from "@/tests/support/matrix_rows.ts";
import type { WorldIds } from "@/tests/support/world.ts";

const { open } = await testDatabase();

/** Ids of the right shape that nobody has; made once, so that their answers can be compared. */
const MISSING = Object.fromEntries(
  ([
    ...["tenant", "person", "member", "session", "invitation", "key", "agent", "version"],
    ...["number", "call", "event", "credential", "audit", "receipt", "job", "endpoint", "delivery"],
    ...["egress", "recording"],
  ] as const).map((prefix) => [prefix, newId(prefix)]),
) as WorldIds; // made of the very prefixes

/** What is no id at all, as it stands in a path. */
function malformed(id: string): string[] {
  const uuid = id.slice(id.indexOf("_") + 1);
  return [
    ...["x", "0", "null", uuid, `${id}0`, id.slice(0, -1), id.toUpperCase(), `request_${uuid}`],
    ...["%00", "%2e%2e%2f", "'%20or%20'1'='1", "%F0%9F%98%80"],
  ];
}

type IdSlots = Readonly<Record<string, string>>;

/** The row's request with these ids in its path and its body. */
function request(
  route: string,
  row: MatrixRow,
  { path = {}, body = {}, of }: { path?: IdSlots; body?: IdSlots; of: Citizen },
): { method: string; path: string; body?: unknown } {
  const [method = "", pattern = ""] = route.split(" ");
  const filled = pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => path[name] ?? "");
  const fields = row.body?.(of);
  const hasBody = fields !== undefined || row.bodyIds !== undefined;
  return {
    method,
    path: `${filled}${row.query ?? ""}`,
    ...(hasBody ? { body: { ...fields, ...body } } : {}),
  };
}

function slots(row: MatrixRow, ids: WorldIds): { path: IdSlots; body: IdSlots } {
  const of = (named: MatrixRow["ids"]): IdSlots =>
    Object.fromEntries(Object.entries(named ?? {}).map(([name, id]) => [name, id(ids)]));
  return { path: of(row.ids), body: of(row.bodyIds) };
}

function tells(answer: Answer, { ids, canary, number, caller }: Citizen): boolean {
  const text = JSON.stringify(answer);
  const uuids = Object.values(ids).map((id) => id.slice(id.indexOf("_") + 1));
  return [canary, number, caller, ...uuids].some((secret) => text.includes(secret));
}

async function routesOf(kit: MatrixKit): Promise<string[]> {
  const { body } = await kit.send({ method: "GET", path: "/openapi.json" });
  const document: { paths: Record<string, Record<string, unknown>> } = JSON.parse(body);
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).filter((method) => method !== "parameters")
      .map((method) => `${method.toUpperCase()} ${path}`)
  );
}

Deno.test("cross-tenant matrix: every route has its row, and every row its route", async () => {
  await using database = await open();
  await using kit = await matrixKit(database);
  assert.deepEqual((await routesOf(kit)).sort(), Object.keys(MATRIX).sort());
});

for (const [route, row] of Object.entries(MATRIX)) {
  if (row.needs === "anyone") continue;
  Deno.test(`cross-tenant matrix: ${route}`, async () => {
    await using database = await open();
    await using kit = await matrixKit(database);
    const mine = await kit.newCitizen();
    const other = await kit.newCitizen();
    const before = await kit.snapshot(other);
    const own = slots(row, mine.ids);
    const credentials = row.needs === "person"
      ? [mine.tokens.owner]
      : [mine.tokens.owner, mine.key];

    await namesNothing(kit, { route, row, mine, other, credentials });
    await takesItsScope(kit, { route, row, mine });
    await staysInItsTenant(kit, { route, row, mine, other, credentials });

    const { prepare } = row;
    if (prepare !== undefined) await kit.asOwner((sql) => prepare(sql, mine.ids));
    const token = row.isOwners ? mine.tokens.owner : credentials.at(-1) ?? null;
    const answer = await kit.send({ ...request(route, row, { ...own, of: mine }), token });
    assert.equal(answer.status, row.ok, answer.body);
    assert.ok(!tells(answer, other), "its own answer tells of another tenant");
    if (row.shows !== undefined) assert.ok(answer.body.includes(row.shows(mine)), answer.body);
    assert.equal(await kit.snapshot(other), before, "it reached another tenant's rows");
  });
}

interface Case {
  readonly route: string;
  readonly row: MatrixRow;
  readonly mine: Citizen;
}

/** Another tenant's id, one that nobody has and what is no id: three answers that are one. */
async function namesNothing(
  kit: MatrixKit,
  { route, row, mine, other, credentials }: Case & {
    readonly other: Citizen;
    readonly credentials: readonly string[];
  },
): Promise<void> {
  const own = slots(row, mine.ids);
  const theirs = slots(row, other.ids);
  const missing = slots(row, MISSING);
  const ask = (path: IdSlots, body: IdSlots, token: string | null): Promise<Answer> =>
    kit.send({ ...request(route, row, { path, body, of: mine }), token });

  for (const token of credentials) {
    for (const slot of Object.keys(own.path)) {
      if (own.path[slot] === theirs.path[slot]) continue; // no id, as a version's number
      const at = (id: string | undefined): IdSlots => ({ ...own.path, [slot]: id ?? "" });
      const nobodys = await ask(at(missing.path[slot]), own.body, token);
      assert.equal(nobodys.status, 404, `${slot} missing: ${nobodys.body}`);
      assert.deepEqual(await ask(at(theirs.path[slot]), own.body, token), nobodys, slot);
      // A child of another tenant's under a parent of one's own, and the other way round.
      assert.deepEqual(await ask(theirs.path, own.body, token), nobodys, "all of another tenant's");
      for (const text of malformed(own.path[slot] ?? "")) {
        assert.deepEqual(await ask(at(text), own.body, token), nobodys, `${slot} ${text}`);
      }
    }
    for (const field of Object.keys(own.body)) {
      const at = (id: string | undefined): IdSlots => ({ ...own.body, [field]: id ?? "" });
      const nobodys = await ask(own.path, at(missing.body[field]), token);
      assert.ok([403, 404, 409].includes(nobodys.status), `${field} missing: ${nobodys.body}`);
      assert.deepEqual(await ask(own.path, at(theirs.body[field]), token), nobodys, field);
    }
  }
  for (const token of [null, "x", `${mine.key}x`, mine.tokens.owner.slice(0, -2)]) {
    const shut = await ask(own.path, own.body, token);
    assert.equal(shut.status, 401, shut.body);
    assert.deepEqual(await ask(theirs.path, theirs.body, token), shut);
    assert.deepEqual(await ask(missing.path, missing.body, token), shut);
  }
}

/** A role or a key without the scope is refused before anything is looked for. */
async function takesItsScope(kit: MatrixKit, { route, row, mine }: Case): Promise<void> {
  const { needs } = row;
  if (needs === "person" || needs === "tenant" || needs === "anyone") return;
  const own = slots(row, mine.ids);
  const lacking = ROLES.filter((role) => !(SCOPES_OF[role] as readonly string[]).includes(needs));
  for (const token of [mine.emptyKey, ...lacking.map((role) => mine.tokens[role])]) {
    const { status, body } = await kit.send({
      ...request(route, row, { ...own, of: mine }),
      token,
    });
    assert.equal(status, 403, body);
    assert.equal(JSON.parse(body).code, "forbidden");
  }
}

/** Neither a header nor a suspended tenant's credential opens another tenant. */
async function staysInItsTenant(
  kit: MatrixKit,
  { route, row, mine, other, credentials }: Case & {
    readonly other: Citizen;
    readonly credentials: readonly string[];
  },
): Promise<void> {
  const own = slots(row, mine.ids);
  const theirs = slots(row, other.ids);
  for (const token of row.needs === "person" ? [] : credentials) {
    const foreign = (ids: typeof own, tenantId: string): Promise<Answer> =>
      kit.send({ ...request(route, row, { ...ids, of: mine }), token, tenantId });
    const refused = await foreign(own, MISSING.tenant);
    assert.equal(refused.status, 403, refused.body);
    assert.deepEqual(await foreign(own, other.ids.tenant), refused);
    assert.deepEqual(await foreign(theirs, other.ids.tenant), refused);
  }
  if (row.needs === "person") return;
  const suspended = await kit.newCitizen({ status: "suspended" });
  for (const token of [suspended.key, suspended.tokens.owner]) {
    const ids = slots(row, suspended.ids);
    const { status, body } = await kit.send({
      ...request(route, row, { ...ids, of: mine }),
      token,
    });
    assert.deepEqual([status, JSON.parse(body).code], [403, "tenant_suspended"]);
  }
}
