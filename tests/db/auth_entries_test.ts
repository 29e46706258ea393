/** Signing up, logging in and passwords on a real database: who gets in, and what strangers learn. */

import assert from "node:assert/strict";
import { insertInvitation, updateInvitationRevoked } from "@/db/invitations.ts";
import type { Database } from "@/db/client.ts";
import { newId, newToken } from "@/lib/ids.ts";
import { peppered } from "@/lib/pepper.ts";
import { Secret } from "@/lib/secret.ts";
import { decodeJwt } from "jose";
import { testDatabase } from "@/tests/support/database.ts";
import { type Entrance, entrance } from "@/tests/support/entrance.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const PASSWORD = "correct horse battery";
const OTHER_PASSWORD = "another horse battery";
const PEPPER = new Secret("a pepper of tests, 32 characters");
const MINUTE_MS = 60_000;
const REFUSED = { code: "unauthenticated", message: "The credentials are not valid" };

const newEmail = (): string => `${crypto.randomUUID()}@example.com`;

async function signUp(house: Entrance, email = newEmail()) {
  const signup = { email, password: PASSWORD, name: "Ada", tenantName: "Clinic" };
  const tokens = await house.run("signUp", signup, from(email));
  const { sub = "", sid } = decodeJwt(tokens.accessToken);
  return { email, tokens, person: { personId: sub, sessionId: String(sid) } };
}

/** An address of the network of its own, so that tries are counted apart. */
function from(address: string) {
  return { request: { requestId: "r1", address, idempotencyKey: null } };
}

async function invite(database: Database, tenantId: string, options: {
  readonly email: string;
  readonly createdAt: Date;
}): Promise<{ readonly id: string; readonly token: string }> {
  const [id, token] = [newId("invitation"), newToken()];
  const { email, createdAt } = options;
  const expiresAt = new Date(createdAt.getTime() + 7 * 24 * 60 * MINUTE_MS);
  const tokenHash = peppered(PEPPER, "invitation", token);
  const invitation = {
    id,
    email,
    role: "viewer",
    tokenHash,
    invitedBy: "key_1",
    createdAt,
    expiresAt,
  } as const;
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertInvitation(sql, tenantId, invitation),
  );
  return { id, token };
}

Deno.test("an address signs up once, and the second time changes nothing", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email } = await signUp(house);
  await assert.rejects(signUp(house, email), { code: "conflict", field: "email" });
  const { person } = await signUp(house);
  assert.equal((await house.run("me", undefined, { person })).memberships.length, 1);
});

Deno.test("of many who sign up with one address at once, one does", async () => {
  await using database = await open();
  const house = entrance(database);
  const email = newEmail();
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => signUp(house, email)));
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
});

Deno.test("where signing up takes an invitation, no new tenant is made", async () => {
  await using database = await open();
  const house = entrance(database, { auth: { signup: "invited", missing: null } });
  await assert.rejects(signUp(house), { code: "forbidden" });
});

Deno.test("without keys or a pepper every entry says which setting is missing", async () => {
  await using database = await open();
  for (const missing of ["KEY_ENCRYPTION_KEYS", "TOKEN_PEPPER"] as const) {
    const house = entrance(database, { pepper: null, auth: { signup: "open", missing } });
    const asked = [
      signUp(house),
      house.run("logIn", { email: newEmail(), password: PASSWORD }),
      house.run("refresh", { refreshToken: "a" }),
      house.run("logOut", { refreshToken: "a" }),
      house.run("resetPassword", { email: newEmail() }),
      house.run("confirmReset", { token: "a", newPassword: PASSWORD }),
      house.run("jwks", undefined),
    ];
    for (const answer of asked) {
      await assert.rejects(answer, { code: "not_configured", field: missing });
    }
  }
});

Deno.test("an unknown address and a wrong password get the same refusal, after the same work", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email } = await signUp(house);
  for (const address of [email, newEmail()]) {
    const before = { ...house.work };
    await assert.rejects(house.run("logIn", { email: address, password: OTHER_PASSWORD }), REFUSED);
    assert.deepEqual(house.work, { ...before, verified: before.verified + 1 });
  }
});

Deno.test("an unknown address and a wrong password are throttled alike, by account", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email } = await signUp(house);
  const told: unknown[] = [];
  for (const address of [email, newEmail()]) {
    const outcomes: string[] = [];
    for (let i = 0; i < 12; i++) {
      const tried = house.run("logIn", { email: address, password: OTHER_PASSWORD }, from(`a${i}`));
      outcomes.push(await tried.then(() => "in", (error) => `${error.code} ${error.retryAfterS}`));
    }
    told.push(outcomes);
  }
  assert.deepEqual(told[0], told[1]);
  assert.deepEqual(told[0], [
    ...Array.from({ length: 10 }, () => "unauthenticated undefined"),
    ...["rate_limited 30", "rate_limited 30"],
  ]);
  const right = { email, password: PASSWORD };
  await assert.rejects(house.run("logIn", right), { code: "rate_limited" });
  await house.clock.advance(30_000);
  assert.ok(await house.run("logIn", right));
});

Deno.test("one network address tries 60 accounts and then one in two seconds", async () => {
  await using database = await open();
  const house = entrance(database);
  const attempt = (): Promise<string> =>
    house.run("logIn", { email: newEmail(), password: PASSWORD }, from("192.0.2.9"))
      .then(() => "in", (error) => error.code);
  const codes: string[] = [];
  for (let i = 0; i < 61; i++) codes.push(await attempt());
  assert.equal(codes.filter((code) => code === "unauthenticated").length, 60);
  assert.equal(codes.at(-1), "rate_limited");
  await house.clock.advance(2_000);
  assert.equal(await attempt(), "unauthenticated");
});

Deno.test("a password that was hashed at another cost is hashed again at the next login", async () => {
  await using database = await open();
  const hashes: string[] = [];
  let cost = 1;
  const house = entrance(database, {
    passwords: {
      hash: (password) => Promise.resolve(`${cost}:${password}`),
      hashNew: ({ password }) => Promise.resolve(`${cost}:${password}`),
      verify(password, hash) {
        hashes.push(hash ?? "");
        const isRight = hash?.slice(2) === password;
        return Promise.resolve({ isRight, isStale: isRight && !hash?.startsWith(`${cost}:`) });
      },
      close() {},
    },
  });
  const { email } = await signUp(house);
  cost = 2;
  const credentials = { email, password: PASSWORD };
  await house.run("logIn", credentials);
  await house.run("logIn", credentials);
  assert.deepEqual(hashes, [`1:${PASSWORD}`, `2:${PASSWORD}`]);
});

Deno.test("an invitation makes a new person a member, once", async () => {
  await using database = await open();
  const house = entrance(database, { auth: { signup: "invited", missing: null } });
  const tenantId = await newTenant(database);
  const email = newEmail();
  const { token } = await invite(database, tenantId, { email, createdAt: house.clock.date() });
  const signup = { email, password: PASSWORD, name: "Bo", invitationToken: token };
  const other = { ...signup, email: newEmail() };
  await assert.rejects(house.run("signUp", other), { code: "forbidden", field: "email" });
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => house.run("signUp", signup)));
  const [tokens, ...more] = outcomes.flatMap((one) =>
    one.status === "fulfilled" ? [one.value] : []
  );
  assert.equal(more.length, 0);
  assert.equal(tokens?.tenantId, tenantId);
  await assert.rejects(house.run("signUp", signup), { code: "gone", field: "invitationToken" });
});

Deno.test("who has an account accepts with its password, and keeps their primary tenant", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email, tokens, person } = await signUp(house);
  const tenantId = await newTenant(database);
  const { token } = await invite(database, tenantId, { email, createdAt: house.clock.date() });
  const signup = { email, password: OTHER_PASSWORD, name: "Ada", invitationToken: token };
  await assert.rejects(house.run("signUp", signup), REFUSED);
  const joined = await house.run("signUp", { ...signup, password: PASSWORD });
  assert.equal(joined.tenantId, tenantId);
  const me = await house.run("me", undefined, { person });
  assert.equal(me.tenantId, tokens.tenantId);
  assert.deepEqual(me.memberships.map(({ role }) => role), ["owner", "viewer"]);
  const changed = await house.run("changeMe", { primaryTenantId: tenantId }, { person });
  assert.equal(changed.tenantId, tenantId);
  const foreign = { primaryTenantId: newId("tenant") };
  await assert.rejects(house.run("changeMe", foreign, { person }), { code: "forbidden" });
});

Deno.test("an invitation that has expired, was revoked or never was is gone", async () => {
  await using database = await open();
  const house = entrance(database);
  const tenantId = await newTenant(database);
  const createdAt = house.clock.date();
  const one = { email: newEmail(), createdAt };
  const two = { email: newEmail(), createdAt };
  const revoked = await invite(database, tenantId, one);
  const expired = await invite(database, tenantId, two);
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => updateInvitationRevoked(sql, tenantId, revoked.id, createdAt),
  );
  await house.clock.advance(7 * 24 * 60 * MINUTE_MS);
  const rows = [[one.email, revoked.token], [two.email, expired.token], [newEmail(), newToken()]];
  for (const [email = "", invitationToken = ""] of rows) {
    const signup = { email, password: PASSWORD, name: "Bo", invitationToken };
    await assert.rejects(house.run("signUp", signup), { code: "gone", field: "invitationToken" });
  }
});

/** Asks for a code and waits for the mail. */
async function askReset(house: Entrance, email: string): Promise<string> {
  const before = house.mails.length;
  await house.run("resetPassword", { email });
  while (house.mails.length === before) await house.clock.settle();
  return /^[\w-]{43}$/m.exec(house.mails.at(-1)?.text ?? "")?.[0] ?? assert.fail("no code");
}

Deno.test("a code of a mail sets a password once, within 30 minutes, and ends all sessions", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email, tokens } = await signUp(house);
  const late = await askReset(house, email);
  await house.clock.advance(30 * MINUTE_MS);
  const gone = { code: "gone", field: "token" };
  await assert.rejects(
    house.run("confirmReset", { token: late, newPassword: OTHER_PASSWORD }),
    gone,
  );
  const [one, two] = [await askReset(house, email), await askReset(house, email)];
  const weak = { token: one, newPassword: email.toUpperCase() };
  await assert.rejects(house.run("confirmReset", weak), { code: "invalid", field: "newPassword" });
  const confirm = { token: one, newPassword: OTHER_PASSWORD };
  const outcomes = await Promise.allSettled(
    [1, 2, 3].map(() => house.run("confirmReset", confirm)),
  );
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1, "once");
  await assert.rejects(house.run("confirmReset", { ...confirm, token: two }), gone);
  await assert.rejects(house.run("refresh", tokens), REFUSED);
  await assert.rejects(house.run("logIn", { email, password: PASSWORD }), REFUSED);
  assert.ok(await house.run("logIn", { email, password: OTHER_PASSWORD }));
});

Deno.test("nobody is mailed about an address that has no account, and nothing else is different", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email } = await signUp(house);
  assert.equal(await house.run("resetPassword", { email: newEmail() }), undefined);
  await askReset(house, email);
  assert.deepEqual(house.mails.map(({ to }) => to), [email]);
  for (const address of [email, newEmail()]) {
    const codes: string[] = [];
    for (let i = 0; i < 4; i++) {
      const asked = house.run("resetPassword", { email: address }, from(`b${i}`));
      codes.push(await asked.then(() => "202", (error) => error.code));
    }
    const before = address === email ? 2 : 3; // one was asked for above
    assert.deepEqual(codes.filter((code) => code === "202").length, before);
    assert.equal(codes.at(-1), "rate_limited");
  }
});

Deno.test("changing the password takes the current one, and ends all other sessions", async () => {
  await using database = await open();
  const house = entrance(database);
  const { email, tokens, person } = await signUp(house);
  const other = await house.run("logIn", { email, password: PASSWORD });
  const change = { currentPassword: OTHER_PASSWORD, newPassword: OTHER_PASSWORD };
  const wrong = { code: "forbidden", field: "currentPassword" };
  await assert.rejects(house.run("changePassword", change, { person }), wrong);
  const right = { ...change, currentPassword: PASSWORD };
  await house.run("changePassword", right, { person });
  await assert.rejects(house.run("refresh", other), REFUSED);
  assert.ok(await house.run("refresh", tokens));
  assert.ok(await house.run("logIn", { email, password: OTHER_PASSWORD }));
});

Deno.test("a person sees their live sessions and ends one, or all but theirs; never another's", async () => {
  await using database = await open();
  const house = entrance(database);
  const ada = await signUp(house);
  const bo = await signUp(house);
  const credentials = { email: ada.email, password: PASSWORD };
  for (let i = 0; i < 3; i++) await house.run("logIn", credentials);
  const list = async () => (await house.run("sessions", undefined, ada)).items;
  const before = await list();
  assert.equal(before.length, 4);
  assert.deepEqual(before.filter(({ isCurrent }) => isCurrent).map(({ id }) => id), [
    ada.person.sessionId,
  ]);
  const missing = { code: "not_found" };
  for (const id of [bo.person.sessionId, newId("session"), "session_1"]) {
    await assert.rejects(house.run("revokeSession", { id }, ada), missing);
  }
  const { id = "" } = before.find(({ isCurrent }) => !isCurrent) ?? {};
  await house.run("revokeSession", { id }, ada);
  await assert.rejects(house.run("revokeSession", { id }, ada), missing);
  assert.deepEqual(await house.run("revokeOtherSessions", undefined, ada), { revoked: 2 });
  assert.deepEqual((await list()).map((session) => session.id), [ada.person.sessionId]);
  assert.equal((await house.run("sessions", undefined, bo)).items.length, 1);
});
