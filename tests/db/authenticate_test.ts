/** Who a credential stands for, in two houses on one database: no change is overlooked for a second. */

import assert from "node:assert/strict";
import { type House, openHouse } from "@/actors/house.ts";
import type { RequestFacts } from "@/actors/desk/office.ts";
import { insertApiKey } from "@/db/api_keys.ts";
import type { Database, Sql } from "@/db/client.ts";
import { insertMember } from "@/db/members.ts";
import { insertPerson } from "@/db/people.ts";
import { insertSession, revokeSession } from "@/db/sessions.ts";
import { signingKeyStore } from "@/db/signing_keys.ts";
import { newVault } from "@/db/vault.ts";
import { OPERATE, type Principal, type Role, SCOPES } from "@/lib/access.ts";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { keyHash, newKey, readKey } from "@/lib/api_keys.ts";
import { readConfig } from "@/lib/config.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { noLiveKit as newLiveKit } from "@/tests/support/livekit.ts";
import { silentLog } from "@/lib/log.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const PUBLIC_URL = "https://voice.example.com";
const KEYS = {
  keyEncryptionKeys: [{ name: "test", key: new Secret(new Uint8Array(32).toBase64()) }],
  pepper: new Secret("pepper".repeat(8)),
};
const REQUEST: RequestFacts = { requestId: "r1", address: null, idempotencyKey: null };
const MINUTES_MS = 60_000;

interface Test {
  readonly clock: ManualClock;
  readonly database: Database;
  /** Two machines. */
  readonly one: House;
  readonly two: House;
  readonly tenantId: string;
  /** Transactions that the houses have begun. */
  begun(): number;
}

async function withHouses(test: (given: Test) => Promise<void>): Promise<void> {
  const clock = manualClock();
  await using database = await open();
  let begun = 0;
  const counted: Database = {
    ...database,
    lookup: (...args) => (begun++, database.lookup(...args)),
    asTenant: (...args) => (begun++, database.asTenant(...args)),
    asPerson: (...args) => (begun++, database.asPerson(...args)),
  };
  const newHouse = (): House =>
    openHouse({
      config: readConfig({}),
      database: counted,
      carrier: inboundOnly(),
      newCarrier: inboundOnly,
      newLiveKit,
      publicUrl: PUBLIC_URL,
      keys: KEYS,
      notifier: { provider: "none", send: () => Promise.resolve() },
      stores: storesOf(memoryStore()),
      clock,
      log: silentLog,
    });
  const [one, two] = [newHouse(), newHouse()];
  try {
    const tenantId = await newTenant(database);
    await test({ clock, database, one, two, tenantId, begun: () => begun });
  } finally {
    await Promise.all([one.close(), two.close()]);
  }
}

function whoIs(house: House, token: string, tenantId: string | null = null): Promise<Principal> {
  return house.gate.ask(
    (reply) => ({ type: "authenticate", shown: { token, tenantId }, reply }),
    { timeoutMs: 10_000 },
  );
}

/** What a request under this credential is let through as, or the code that it is refused with. */
async function outcome(house: House, token: string): Promise<string> {
  return await whoIs(house, token).then(
    ({ kind, role }) => role ?? kind,
    (error) => String(error.code),
  );
}

interface Shown {
  readonly token: string;
  /** `key_…`, `member_…` or `visit_…` */
  readonly id: string;
  readonly personId: string;
  readonly sessionId: string;
}

async function shownKey(
  { database, tenantId, clock }: Test,
  more: { readonly expiresAt?: Date } = {},
): Promise<Shown> {
  const token = newKey("live");
  const id = newId("key");
  await inTenant(database, tenantId, (sql) =>
    insertApiKey(sql, tenantId, {
      id,
      name: "CI",
      publicId: readKey(token)?.publicId ?? "",
      hash: keyHash(KEYS.pepper, token),
      scopes: ["calls:read"],
      createdBy: newId("person"),
      createdAt: clock.date(),
      expiresAt: more.expiresAt ?? null,
    }));
  return { token, id, personId: "", sessionId: "" };
}

async function shownPerson(
  { database, tenantId, clock }: Test,
  role: Role = "builder",
): Promise<Shown> {
  const [personId, sessionId, id] = [newId("person"), newId("session"), newId("member")];
  const now = clock.date();
  const who = { personId, tenantIds: [tenantId] };
  await database.asPerson("rest", who, DEADLINE_MS, async (sql) => {
    const email = `${uuidOf("person", personId)}@example.com`;
    await insertPerson(sql, { id: personId, email, name: "Ada", primaryTenantId: tenantId });
    await insertMember(sql, tenantId, { id, personId, role });
    await insertSession(sql, personId, {
      ...{ id: sessionId, userAgent: "test", address: "", createdAt: now, lastUsedAt: now },
      expiresAt: new Date(now.getTime() + 60 * MINUTES_MS),
    });
  });
  const vault = newVault(database, KEYS.keyEncryptionKeys);
  const store = signingKeyStore({ database, vault, log: silentLog });
  const tokens = newAccessTokens({ store, issuer: PUBLIC_URL, clock, log: silentLog });
  const { token } = await tokens.issue({ personId, sessionId });
  return { token, id, personId, sessionId };
}

async function shownVisit({ one, tenantId }: Test): Promise<Shown> {
  const input = { reason: "ticket 12", role: "admin" };
  const visit = await errand<{ id: string; credential: string }>(
    one,
    tenantId,
    "visitTenant",
    input,
  );
  return { token: visit.credential, id: visit.id, personId: "", sessionId: "" };
}

async function inTenant(
  database: Database,
  tenantId: string,
  work: (sql: Sql) => Promise<unknown>,
): Promise<void> {
  await database.asTenant("rest", tenantId, DEADLINE_MS, work);
}

/** As one who may do everything. */
async function errand<T>(
  house: House,
  tenantId: string,
  name: string,
  input: unknown,
): Promise<T> {
  const by: Principal = {
    kind: "operator",
    id: "root",
    tenantId,
    role: "owner",
    scopes: new Set([...SCOPES, OPERATE]),
    sessionId: null,
    configVersion: 1,
  };
  const answer = await house.desk(tenantId).ask<unknown>(
    (reply) => ({ type: "errand", name, input, by, request: REQUEST, reply }),
    { timeoutMs: 10_000 },
  );
  return answer as T; // as the errand of this name answers
}

interface Change {
  readonly what: string;
  shown(test: Test): Promise<Shown>;
  /** What the credential is let through as before, and what comes of it after. */
  readonly before: string;
  readonly after: string;
  act(test: Test, shown: Shown): Promise<unknown>;
}

const suspend = ({ one, tenantId }: Test) =>
  errand(one, tenantId, "suspendTenant", { reason: "unpaid" });

const CHANGES: readonly Change[] = [
  {
    what: "a key is revoked",
    shown: (test) => shownKey(test),
    before: "key",
    after: "unauthenticated",
    act: ({ one, tenantId }, { id }) => errand(one, tenantId, "revokeApiKey", id),
  },
  {
    what: "a key is rotated without overlap",
    shown: (test) => shownKey(test),
    before: "key",
    after: "unauthenticated",
    act: ({ one, tenantId }, { id }) =>
      errand(one, tenantId, "rotateApiKey", { keyId: id, overlapS: 0 }),
  },
  {
    what: "the tenant of a key is suspended",
    shown: (test) => shownKey(test),
    before: "key",
    after: "tenant_suspended",
    act: suspend,
  },
  {
    what: "the tenant of a person is suspended",
    shown: (test) => shownPerson(test),
    before: "builder",
    after: "tenant_suspended",
    act: suspend,
  },
  {
    what: "a member gets another role",
    shown: (test) => shownPerson(test),
    before: "builder",
    after: "viewer",
    act: ({ one, tenantId }, { id }) =>
      errand(one, tenantId, "changeMember", { memberId: id, role: "viewer" }),
  },
  {
    what: "a member is removed",
    shown: (test) => shownPerson(test),
    before: "builder",
    after: "forbidden",
    act: ({ one, tenantId }, { id }) => errand(one, tenantId, "removeMember", id),
  },
  {
    what: "a session is revoked",
    shown: (test) => shownPerson(test),
    before: "builder",
    after: "unauthenticated",
    async act({ one, database, clock }, { personId, sessionId }) {
      const who = { personId, tenantIds: [] };
      const end = { at: clock.date(), reason: "revoked" } as const;
      await database.asPerson("rest", who, DEADLINE_MS, async (sql) => {
        await revokeSession(sql, personId, sessionId, end);
      });
      one.gate.send({ type: "personChanged", personId });
    },
  },
  {
    what: "a person is disabled",
    shown: (test) => shownPerson(test),
    before: "builder",
    after: "unauthenticated",
    async act({ one, database, clock }, { personId }) {
      const who = { personId, tenantIds: [] };
      await database.asPerson("rest", who, DEADLINE_MS, (sql) =>
        sql`
        update person set disabled_at = ${clock.date()} where id = ${uuidOf("person", personId)}`);
      one.gate.send({ type: "personChanged", personId });
    },
  },
  {
    what: "an operator's visit is ended",
    shown: shownVisit,
    before: "admin",
    after: "unauthenticated",
    act: ({ one, tenantId }, { id }) => errand(one, tenantId, "endVisit", id),
  },
];

for (const { what, shown, before, after, act } of CHANGES) {
  Deno.test(`when ${what}, its house knows at once, and another within a second`, async () => {
    await withHouses(async (test) => {
      const { one, two, clock } = test;
      const credential = await shown(test);
      const { token } = credential;
      assert.deepEqual([await outcome(one, token), await outcome(two, token)], [before, before]);
      await act(test, credential);
      assert.equal(await outcome(one, token), after);
      await clock.advance(999);
      assert.equal(await outcome(two, token), before); // what it holds is not a second old
      await clock.advance(1);
      assert.equal(await outcome(two, token), after);
      assert.equal(await outcome(one, token), after);
    });
  });
}

Deno.test("a key and a visit end to the millisecond, in whichever house", async () => {
  await withHouses(async (test) => {
    const { one, two, clock } = test;
    const key = await shownKey(test, { expiresAt: new Date(clock.date().getTime() + 900_500) });
    const visit = await shownVisit(test); // of 15 minutes
    await clock.advance(899_999);
    assert.equal(await outcome(one, visit.token), "admin");
    await clock.advance(1);
    assert.equal(await outcome(one, visit.token), "unauthenticated");
    await clock.advance(499);
    assert.deepEqual([await outcome(one, key.token), await outcome(two, key.token)], [
      ...["key", "key"],
    ]);
    await clock.advance(1);
    assert.deepEqual([await outcome(one, key.token), await outcome(two, key.token)], [
      ...["unauthenticated", "unauthenticated"],
    ]);
  });
});

Deno.test("a person acts in the tenant they choose, in the primary one else, and in no foreign one", async () => {
  await withHouses(async (test) => {
    const { one, database, tenantId } = test;
    const second = await newTenant(database);
    const foreign = await newTenant(database);
    const { token, personId } = await shownPerson(test, "admin");
    await inTenant(
      database,
      second,
      (sql) => insertMember(sql, second, { id: newId("member"), personId, role: "viewer" }),
    );
    const primary = await whoIs(one, token);
    assert.deepEqual([primary.tenantId, primary.role], [tenantId, "admin"]);
    const chosen = await whoIs(one, token, second);
    assert.deepEqual([chosen.tenantId, chosen.role], [second, "viewer"]);
    const refusals: unknown[] = [];
    for (const wanted of [foreign, newId("tenant"), "tenant_x", "", "' or true --"]) {
      await whoIs(one, token, wanted).catch(({ code, message, field }) =>
        refusals.push({ code, message, field })
      );
    }
    assert.equal(refusals.length, 5);
    for (const refusal of refusals) assert.deepEqual(refusal, refusals[0]);
    assert.equal(Object(refusals[0]).code, "forbidden");
  });
});

Deno.test("a person in a suspended tenant is still known as a person; a key is no person", async () => {
  await withHouses(async (test) => {
    const { one } = test;
    const { token, personId, sessionId } = await shownPerson(test);
    const key = await shownKey(test);
    await suspend(test);
    const ask = (token: string) =>
      one.gate.ask<unknown>((reply) => ({ type: "signedIn", token, reply }), { timeoutMs: 10_000 });
    assert.equal(await outcome(one, token), "tenant_suspended");
    assert.deepEqual(await ask(token), { personId, sessionId });
    await assert.rejects(ask(key.token), { code: "unauthenticated" });
  });
});

Deno.test("many requests under one credential are one look-up, and for a second no other", async () => {
  await withHouses(async (test) => {
    const { one, begun, clock } = test;
    const { token } = await shownKey(test);
    const before = begun();
    const all = await Promise.all(Array.from({ length: 500 }, () => whoIs(one, token)));
    assert.equal(new Set(all.map(({ id }) => id)).size, 1);
    const after = begun();
    assert.ok(after - before <= 3, `${after - before}`); // find it, read it, note its use
    await clock.advance(999);
    const settled = begun();
    await whoIs(one, token);
    assert.equal(begun(), settled);
  });
});

Deno.test("an unknown key and a wrong one ask as much of the database, and are told the same", async () => {
  await withHouses(async (test) => {
    const { one, begun } = test;
    const right = new Uint8Array(40).fill(7);
    const token = newKey("live", (count) => right.subarray(0, count));
    const wrong = newKey(
      "live",
      (count) => count === 8 ? right.subarray(0, 8) : new Uint8Array(32),
    );
    const { database, tenantId, clock } = test;
    await inTenant(database, tenantId, (sql) =>
      insertApiKey(sql, tenantId, {
        ...{ id: newId("key"), name: "CI", scopes: ["calls:read"] as const },
        ...{ publicId: readKey(token)?.publicId ?? "", hash: keyHash(KEYS.pepper, token) },
        ...{ createdBy: newId("person"), createdAt: clock.date(), expiresAt: null },
      }));
    assert.equal(readKey(wrong)?.publicId, readKey(token)?.publicId);
    const told: unknown[] = [];
    for (
      const [shown, cost] of [[wrong, 2], [newKey("live"), 2], ["rm_live_mistyped", 0]] as const
    ) {
      const before = begun();
      await whoIs(one, shown).catch(({ code, message, field }) =>
        told.push({ code, message, field })
      );
      assert.equal(begun() - before, cost);
    }
    assert.equal(told.length, 3);
    for (const one of told) assert.deepEqual(one, told[0]);
    assert.equal(await outcome(one, token), "key");
  });
});
