/** Access tokens: what is in them, how long they live, and how the keys that sign them change. */

import assert from "node:assert/strict";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { keyShelf } from "@/tests/support/signing_keys.ts";

const ISSUER = "https://voice.example.com";
const HOLDER = { personId: newId("person"), sessionId: newId("session") };
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const REFUSED = { code: "unauthenticated" };

function setUp() {
  const clock = manualClock();
  const store = keyShelf();
  const machine = () => newAccessTokens({ store, issuer: ISSUER, clock, log: silentLog });
  return { clock, store, machine, tokens: machine() };
}

Deno.test("a token names its person, session, issuer and audience, for ten minutes", async () => {
  const { tokens, clock } = setUp();
  const { token, expiresInS } = await tokens.issue(HOLDER);
  const { alg, typ, kid, ...more } = decodeProtectedHeader(token);
  assert.deepEqual([alg, typ, more], ["Ed25519", "at+jwt", {}]);
  const { jti, ...claims } = decodeJwt(token);
  const iat = clock.date().getTime() / 1_000;
  assert.deepEqual(claims, {
    iss: ISSUER,
    aud: "ringmaster",
    sub: HOLDER.personId,
    sid: HOLDER.sessionId,
    iat,
    exp: iat + 600,
  });
  assert.equal(expiresInS, 600);
  const [key] = (await tokens.jwks()).keys;
  assert.equal(kid, key?.kid);
  const expiresAt = new Date((iat + 600) * 1_000);
  assert.deepEqual(await tokens.verify(token), { ...HOLDER, expiresAt });
  assert.notEqual(jti, decodeJwt((await tokens.issue(HOLDER)).token).jti);
});

Deno.test("a token verifies for ten minutes and the 30 s that clocks may differ, and no longer", async () => {
  const { tokens, clock } = setUp();
  const { token } = await tokens.issue(HOLDER);
  await clock.advance(10 * MINUTE_MS + 29_000);
  assert.equal((await tokens.verify(token)).personId, HOLDER.personId);
  await clock.advance(2_000);
  await assert.rejects(tokens.verify(token), REFUSED);
});

Deno.test("a token for operators is none for the API, and the other way round", async () => {
  const { tokens } = setUp();
  const operator = await tokens.issue(HOLDER, "ringmaster-operator");
  const user = await tokens.issue(HOLDER);
  assert.equal(
    (await tokens.verify(operator.token, "ringmaster-operator")).sessionId,
    HOLDER.sessionId,
  );
  await assert.rejects(tokens.verify(operator.token), REFUSED);
  await assert.rejects(tokens.verify(user.token, "ringmaster-operator"), REFUSED);
});

Deno.test("the published keys have no private half", async () => {
  const { tokens } = setUp();
  await tokens.issue(HOLDER);
  const { keys } = await tokens.jwks();
  assert.deepEqual(keys.map((key) => Object.keys(key).sort()), [
    ["alg", "crv", "kid", "kty", "use", "x"],
  ]);
});

Deno.test("of many first tokens at once one key is made", async () => {
  const { tokens, store } = setUp();
  await Promise.all(Array.from({ length: 20 }, () => tokens.issue(HOLDER)));
  assert.equal(store.keys.length, 1);
});

Deno.test("a new key is published before the old one stops, and signs ten minutes later", async () => {
  const { tokens, clock } = setUp();
  const kid = async () => decodeProtectedHeader((await tokens.issue(HOLDER)).token).kid;
  const old = await kid();
  await clock.advance(30 * DAY_MS - 20 * MINUTE_MS);
  assert.equal(await kid(), old);
  await clock.advance(1);
  assert.equal(await kid(), old, "not yet known to everybody");
  assert.equal((await tokens.jwks()).keys.length, 2);
  await clock.advance(10 * MINUTE_MS);
  const next = await kid();
  assert.notEqual(next, old);
  await clock.advance(10 * MINUTE_MS + 5_000);
  assert.equal(await kid(), next, "the old one has stopped");
});

Deno.test("a key verifies until its last token is dead, and is then unpublished", async () => {
  const { tokens, clock } = setUp();
  await tokens.issue(HOLDER);
  await clock.advance(30 * DAY_MS - 21 * MINUTE_MS);
  const { token } = await tokens.issue(HOLDER); // by the first key, whose next is not made yet
  await clock.advance(9 * MINUTE_MS);
  assert.equal((await tokens.verify(token)).personId, HOLDER.personId);
  await clock.advance(23 * MINUTE_MS);
  await tokens.issue(HOLDER);
  assert.equal((await tokens.jwks()).keys.length, 1);
  await assert.rejects(tokens.verify(token), REFUSED);
});

Deno.test("machines that make a key at once end with one in use by all, and verify both before", async () => {
  const { machine, clock, store } = setUp();
  const machines = Array.from({ length: 4 }, machine);
  const issued = await Promise.all(machines.map((tokens) => tokens.issue(HOLDER)));
  assert(store.keys.length > 1, "they did make them at once");
  await clock.advance(1_000);
  for (const tokens of machines) {
    for (const { token } of issued) await tokens.verify(token);
  }
  await clock.advance(11 * MINUTE_MS);
  const later = await Promise.all(machines.map((tokens) => tokens.issue(HOLDER)));
  assert.equal(new Set(later.map(({ token }) => decodeProtectedHeader(token).kid)).size, 1);
});

Deno.test("keys are held for a minute, and unknown ones cost one look a second at most", async () => {
  const { tokens, clock, store } = setUp();
  const { token } = await tokens.issue(HOLDER);
  const before = store.listed;
  for (let i = 0; i < 50; i++) await tokens.verify(token);
  assert.equal(store.listed, before);
  const unknown = token.replace(/^[^.]+/, (part) => part.toLowerCase());
  for (let ms = 0; ms < 10_000; ms += 100) {
    await clock.advance(100);
    await Promise.all([1, 2, 3].map(() => assert.rejects(tokens.verify(unknown), REFUSED)));
  }
  const looks = store.listed - before;
  assert(looks >= 9 && looks <= 11, `${looks} looks in ten seconds`);
  await clock.advance(60_001);
  await tokens.verify(token);
  assert.equal(store.listed - before, looks + 1);
});

Deno.test("a machine takes a token of a key that it has not seen yet", async () => {
  const { machine, clock } = setUp();
  const [one, two] = [machine(), machine()];
  await assert.rejects(two.verify("a.b.c"), REFUSED);
  const { token } = await one.issue(HOLDER);
  await clock.advance(1_000);
  assert.equal((await two.verify(token)).personId, HOLDER.personId);
});

Deno.test("a key that does not open here verifies, and another one signs", async () => {
  const { tokens, machine, store } = setUp();
  const { token } = await tokens.issue(HOLDER);
  store.keys.splice(0, 1, ...store.keys.map((key) => ({ ...key, privateJwk: null })));
  const other = machine();
  const next = await other.issue(HOLDER);
  assert.equal(store.keys.length, 2);
  await other.verify(token);
  await other.verify(next.token);
});

Deno.test("while the keys cannot be read, that is said, and no token is refused for it", async () => {
  const { clock } = setUp();
  const away = new Error("no database");
  const store = { list: () => Promise.reject(away), add: () => Promise.reject(away) };
  const tokens = newAccessTokens({ store, issuer: ISSUER, clock, log: silentLog });
  await assert.rejects(tokens.verify("a.b.c"), away);
  await assert.rejects(tokens.issue(HOLDER), away);
});
