/** Refresh tokens on a real database: one live token a family, and none once two have used it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { TokensView } from "@/actors/gate/sign_in.ts";
import type { Database } from "@/db/client.ts";
import { uuidOf } from "@/lib/ids.ts";
import { decodeJwt } from "jose";
import { testDatabase } from "@/tests/support/database.ts";
import { type Entrance, entrance } from "@/tests/support/entrance.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const RUNS = Number(Deno.env.get("REFRESH_RUNS") ?? 25);
const GRACE_MS = 10_000;
const DAY_MS = 86_400_000;
const REFUSED = { code: "unauthenticated" };
const PASSWORD = "correct horse battery";

async function signUp(house: Entrance): Promise<TokensView & { readonly email: string }> {
  const email = `${crypto.randomUUID()}@example.com`;
  const signup = { email, password: PASSWORD, name: "Ada", tenantName: "Clinic" };
  const address = crypto.randomUUID(); // each from elsewhere: trying is not what is tested
  const request = { requestId: "r1", address, idempotencyKey: null };
  return { ...await house.run("signUp", signup, { request }), email };
}

async function refresh(house: Entrance, refreshToken: string): Promise<string | null> {
  return await house.run("refresh", { refreshToken }).then(
    (tokens) => tokens.refreshToken,
    (error) => {
      assert.equal(error.code, "unauthenticated");
      return null;
    },
  );
}

/** How many tokens of the session could still be exchanged. */
async function liveTokens(database: Database, accessToken: string): Promise<number> {
  const { sub = "", sid } = decodeJwt(accessToken);
  const who = { personId: sub, tenantIds: [] };
  return await database.asPerson("rest", who, DEADLINE_MS, async (sql) => {
    const [row] = await sql<{ count: number }[]>`
      select count(*)::int as count from refresh_token t
      join session s on s.person_id = t.person_id and s.id = t.session_id
      where s.id = ${
      uuidOf("session", String(sid))
    } and s.revoked_at is null and t.spent_at is null`;
    return row?.count ?? -1;
  });
}

Deno.test("a repeat within ten seconds gives the same successor, and a later one ends the family", async () => {
  await using database = await open();
  const house = entrance(database);
  const first = await signUp(house);
  const second = await refresh(house, first.refreshToken);
  assert(second !== null && second !== first.refreshToken);
  await house.clock.advance(GRACE_MS);
  assert.equal(await refresh(house, first.refreshToken), second);
  await house.clock.advance(1);
  assert.equal(await refresh(house, first.refreshToken), null);
  assert.equal(await refresh(house, second), null, "the family is over");
  assert.equal(await liveTokens(database, first.accessToken), 0);
  assert(house.changed.length > 0, "the gate is told");
});

Deno.test("a reused token is written in the audit log of the person's tenant", async () => {
  await using database = await open();
  const house = entrance(database);
  const { refreshToken, tenantId } = await signUp(house);
  await refresh(house, refreshToken);
  await house.clock.advance(GRACE_MS + 1);
  await refresh(house, refreshToken);
  assert(tenantId !== null);
  const actions = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => sql<{ action: string }[]>`select action from audit_entry order by id`,
  );
  assert.deepEqual(actions.map(({ action }) => action), ["tenant.created", "refresh.reused"]);
});

Deno.test("of many simultaneous refreshes each gives the one successor", async () => {
  await using database = await open();
  const house = entrance(database);
  const { refreshToken, accessToken } = await signUp(house);
  const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(house, refreshToken)));
  assert.equal(new Set(answers).size, 1);
  assert.notEqual(answers[0], null);
  assert.equal(await liveTokens(database, accessToken), 1);
});

Deno.test("a session lives 30 days from its last use, and 90 in all", async () => {
  await using database = await open();
  const house = entrance(database);
  const idle = await signUp(house);
  assert.equal(idle.refreshExpiresIn, 30 * 86_400);
  await house.clock.advance(30 * DAY_MS);
  assert.equal(await refresh(house, idle.refreshToken), null);
  let { refreshToken } = await signUp(house);
  for (let day = 25; day < 90; day += 25) {
    await house.clock.advance(25 * DAY_MS);
    const next = await house.run("refresh", { refreshToken });
    assert(next.refreshExpiresIn <= (90 - day) * 86_400);
    refreshToken = next.refreshToken;
  }
  await house.clock.advance(15 * DAY_MS);
  assert.equal(await refresh(house, refreshToken), null);
});

Deno.test("a token that is none, and one of a session that was logged out, are refused alike", async () => {
  await using database = await open();
  const house = entrance(database);
  const { refreshToken } = await signUp(house);
  await house.run("logOut", { refreshToken });
  await house.run("logOut", { refreshToken: "never one" });
  const refusals = [refreshToken, "never one"].map((token) =>
    assert.rejects(house.run("refresh", { refreshToken: token }), {
      ...REFUSED,
      message: "The credentials are not valid",
    })
  );
  await Promise.all(refusals);
});

/** One refresh of a random history: by the owner or by a thief, of the `back`th last token that they know. */
interface Step {
  readonly isThief: boolean;
  readonly steals: boolean;
  readonly back: number;
  readonly waitMs: number;
  readonly isTwice: boolean;
}

const steps = fc.array(
  fc.record({
    isThief: fc.boolean(),
    steals: fc.boolean(),
    back: fc.constantFrom(0, 0, 0, 1, 2),
    waitMs: fc.constantFrom(0, 1, 5_000, GRACE_MS, GRACE_MS + 1, 600_000),
    isTwice: fc.boolean(),
  }),
  { minLength: 1, maxLength: 14 },
);

/** What must hold, from the outside: tokens in the order in which they were given, and when each was spent. */
async function follow(database: Database, history: readonly Step[]): Promise<void> {
  const house = entrance(database);
  const first = await signUp(house);
  const chain = [first.refreshToken];
  const spentAt: number[] = [];
  const known = { owner: [0], thief: [] as number[] };
  let isOver = false;
  for (const step of history) {
    await house.clock.advance(step.waitMs);
    if (step.steals) known.thief.push(known.owner.at(-1) ?? 0);
    const own = step.isThief ? known.thief : known.owner;
    const index = own.at(-1 - step.back);
    if (index === undefined) continue;
    const token = chain[index] ?? assert.fail("a token that was never given");
    const asked = step.isTwice ? [token, token] : [token];
    const [answer = null, ...same] = await Promise.all(asked.map((one) => refresh(house, one)));
    assert(same.every((other) => other === answer), "two at once get one answer");
    const now = house.clock.now();
    const spent = spentAt[index];
    if (!isOver && spent === undefined) {
      spentAt[index] = now;
      chain.push(answer ?? assert.fail("a fresh token was refused"));
    } else if (!isOver && spent !== undefined && now - spent <= GRACE_MS) {
      assert.equal(answer, chain[index + 1], "a repeat gives the same successor");
    } else {
      assert.equal(answer, null, "a late repeat, or anything after one, is refused");
      isOver = true;
    }
    if (answer !== null) own.push(chain.indexOf(answer));
    assert.equal(await liveTokens(database, first.accessToken), isOver ? 0 : 1);
  }
}

Deno.test("whatever an owner and a thief refresh, one token lives at most, and a late reuse ends all", async () => {
  await using database = await open();
  await fc.assert(fc.asyncProperty(steps, (history) => follow(database, history)), {
    numRuns: RUNS,
  });
});
