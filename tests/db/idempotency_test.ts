/** `Idempotency-Key`: whatever is repeated, at once or after a crash, is done once and answered the same. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { once } from "@/actors/desk/idempotency.ts";
import { type Office, office, type Services } from "@/actors/desk/office.ts";
import type { Database } from "@/db/client.ts";
import { getTenant, updateTenant } from "@/db/tenants.ts";
import { newVault } from "@/db/vault.ts";
import { type Principal, SCOPES } from "@/lib/access.ts";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const kit = await testDatabase();
const KEYS = [{ name: "test", key: new Secret(btoa("k".repeat(32))) }];

interface Desk {
  readonly tenantId: string;
  readonly database: Database;
  /** Adds one to the tenant's count under the key, and answers with what is in no row. */
  add(options?: Partial<Addition>): Promise<unknown>;
  count(): Promise<number>;
  /** Sets the only key's row back: as if its time had passed. */
  age(column: "lease_until" | "created_at", hours: number): Promise<void>;
  rows(): Promise<{ stage: string; answerSealed: Uint8Array | null }[]>;
}

interface Addition {
  readonly key: string;
  readonly input: unknown;
  readonly by: string;
  /** What happens before and after the act; the office is the one that the errand was given. */
  before(office: Office): Promise<void>;
  after(office: Office): Promise<void>;
}

const PERSON = newId("person");
const nothing = () => Promise.resolve();

async function setUp(database: Database): Promise<Desk> {
  const tenantId = await newTenant(database);
  // The limiter and the rest are not used here.
  const services = {
    database,
    clock: systemClock,
    log: silentLog,
    vault: newVault(database, KEYS),
    pepper: new Secret("p".repeat(32)),
  } as Partial<Services> as Services;

  function inTenant<T>(work: Parameters<typeof database.asTenant<T>>[3]): Promise<T> {
    return database.asTenant("rest", tenantId, DEADLINE_MS, work);
  }
  const counted = async (): Promise<number> => {
    const tenant = await inTenant((sql) => getTenant(sql, tenantId));
    return Number(tenant?.settings.count ?? 0);
  };

  return {
    tenantId,
    database,
    add(options = {}) {
      const { key = "k", input = {}, by = PERSON, before = nothing, after = nothing } = options;
      const principal: Principal = {
        kind: "user",
        id: by,
        tenantId,
        role: "owner",
        scopes: new Set(SCOPES),
        sessionId: null,
        configVersion: 1,
      };
      const request = { requestId: "r1", address: null, idempotencyKey: key };
      const asked = { reply: { callId: "call_1" } };
      const desk = { ask: () => Promise.resolve(asked.reply as never) };
      const visit = { tenantId, by: principal, request, signal: new AbortController().signal };
      // A desk is asked, and never sent to, by an errand.
      const room = office(services, { ...visit, desk: desk as never });
      return once(room, { errand: "add", key, input }, async (inside) => {
        await before(inside);
        await inside.act(async ({ sql }) => {
          await sql`select 1 from tenant where id = ${uuidOf("tenant", tenantId)} for update`;
          const tenant = await getTenant(sql, tenantId) ?? assert.fail();
          const settings = { count: Number(tenant.settings.count ?? 0) + 1 };
          await updateTenant(sql, tenantId, { name: tenant.name, settings }, null);
        });
        await after(inside);
        return { token: crypto.randomUUID() };
      });
    },
    count: counted,
    async age(column, hours) {
      await inTenant((sql) =>
        sql`update idempotency_key
          set ${sql(column)} = now() - make_interval(hours => ${hours})`
      );
    },
    rows: () => inTenant((sql) => sql`select stage, answer_sealed from idempotency_key limit 100`),
  };
}

const refused = (code: string) => (error: unknown): boolean =>
  error instanceof AppError && error.code === code;

Deno.test("the same request under the same key is done once and answered the same", async () => {
  await using database = await kit.open();
  const { add, count, rows } = await setUp(database);
  const first = await add({ input: { a: 1, b: [{ c: 2, d: 3 }] } });
  assert.deepEqual(await add({ input: { b: [{ d: 3, c: 2 }], a: 1 } }), first);
  assert.equal(await count(), 1);
  const [row] = await rows();
  const { token } = Object(first);
  assert.equal(row?.stage, "answered");
  assert.ok(!new TextDecoder().decode(row.answerSealed ?? new Uint8Array()).includes(token));
});

Deno.test("another request under the key is refused and not done", async () => {
  await using database = await kit.open();
  const { add, count } = await setUp(database);
  await add({ input: { a: 1 } });
  for (const input of [{ a: 2 }, { a: "1" }, { a: 1, b: null }, [], null]) {
    await assert.rejects(add({ input }), refused("key_reused"));
  }
  assert.equal(await count(), 1);
});

Deno.test("keys of one principal, or of one tenant, are not another's", async () => {
  await using database = await kit.open();
  const [one, other] = [await setUp(database), await setUp(database)];
  const answers = [await one.add(), await one.add({ by: newId("key") }), await other.add()];
  assert.equal(new Set(answers.map((answer) => Object(answer).token)).size, 3);
  assert.deepEqual([await one.count(), await other.count()], [2, 1]);
});

Deno.test("while the first request runs, a second is told when to ask again", async () => {
  await using database = await kit.open();
  const { add, count } = await setUp(database);
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const first = add({
    before() {
      begun.resolve();
      return gate.promise;
    },
  });
  await begun.promise;
  await assert.rejects(
    add(),
    (error) => refused("conflict")(error) && Object(error).retryAfterS === 1,
  );
  gate.resolve();
  assert.deepEqual(await add().catch(() => first), await first);
  assert.equal(await count(), 1);
});

Deno.test("an errand that failed leaves nothing, and may be asked again", async () => {
  await using database = await kit.open();
  const { add, count, rows } = await setUp(database);
  for (const error of [new AppError("conflict", "Not now"), new Error("A bug")]) {
    await assert.rejects(add({ before: () => Promise.reject(error) }), error);
    assert.equal((await rows()).length, 0);
  }
  await add();
  assert.equal(await count(), 1);
});

Deno.test("what had not been committed when its process died is done by the next, and once", async () => {
  await using database = await kit.open();
  const { add, age, count } = await setUp(database);
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const late = add({
    before() {
      begun.resolve();
      return gate.promise;
    },
  });
  await begun.promise;
  await age("lease_until", 1);
  const answer = await add();
  gate.resolve(); // it was not dead after all: its transaction rolls back
  await assert.rejects(late, refused("conflict"));
  assert.deepEqual(await add(), answer);
  assert.equal(await count(), 1);
});

Deno.test("what was done, and whose answer was lost, is not done again and says so", async () => {
  await using database = await kit.open();
  const { add, age, count, rows } = await setUp(database);
  const died = new Error("As if the process had ended here");
  await assert.rejects(add({ after: () => Promise.reject(died) }), died);
  assert.deepEqual((await rows()).map(({ stage }) => stage), ["acted"]);
  await assert.rejects(add(), refused("conflict"));
  await age("lease_until", 1);
  await assert.rejects(
    add(),
    (error) => refused("conflict")(error) && /was done/.test(Object(error).message),
  );
  assert.equal(await count(), 1);
});

Deno.test("what an actor was asked to do is not asked again unless it surely failed", async () => {
  await using database = await kit.open();
  for (const code of ["provider_failed", "unknown_outcome", "busy", "not_found"] as const) {
    const { add, age, rows } = await setUp(database);
    const ask = async ({ desk }: Office): Promise<void> => {
      await desk.ask(() => ({ type: "done", job: 0, deliver: () => {} }));
      throw new AppError(code, "It came out so");
    };
    await assert.rejects(add({ before: ask }), refused(code));
    const isUncertain = code === "provider_failed" || code === "unknown_outcome";
    assert.deepEqual((await rows()).map(({ stage }) => stage), isUncertain ? ["asked"] : []);
    if (!isUncertain) continue;
    await age("lease_until", 1);
    await assert.rejects(add(), (error) => /may have been done/.test(Object(error).message));
  }
});

Deno.test("after a day a key is forgotten", async () => {
  await using database = await kit.open();
  const { add, age, count, rows } = await setUp(database);
  await add({ key: "old" });
  await add();
  await age("created_at", 25);
  await add({ input: { another: true } });
  assert.equal(await count(), 3);
  assert.equal((await rows()).length, 1); // the old one was swept along
});

Deno.test("however often requests are repeated at once, each act happens once", async () => {
  await using database = await kit.open();
  const request = fc.record({
    key: fc.constantFrom("a", "b", "c"),
    input: fc.nat(1),
    fails: fc.boolean(),
  });
  const histories = fc.array(request, { minLength: 2, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(histories, async (requests) => {
      const { add, count } = await setUp(database);
      const fail = () => Promise.reject(new AppError("invalid", "No"));
      const outcomes = await Promise.all(requests.map(async ({ key, input, fails }) => {
        const before = fails ? fail : nothing;
        const answer = await add({ key, input, before }).catch((error) => {
          if (error instanceof AppError) return error.code;
          throw error;
        });
        return { key, input, answer };
      }));
      const done = outcomes.filter(({ answer }) => typeof answer === "object");
      const tokens = new Map(done.map(({ key, answer }) => [key, Object(answer).token]));
      assert.equal(await count(), tokens.size);
      for (const { key, answer } of done) assert.equal(Object(answer).token, tokens.get(key));
      assert.equal(new Set(done.map(({ key, input }) => `${key} ${input}`)).size, tokens.size);
      const codes = outcomes.map(({ answer }) => answer).filter((it) => typeof it === "string");
      for (const code of codes) assert.match(code, /^(conflict|key_reused|invalid)$/);
    }),
    { numRuns: 25 },
  );
});
