/** People over real HTTP: from signing up to a reset password, and what thieves of tokens get. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { fileOutbox } from "@/lib/providers/notify/file.ts";
import type { Notifier } from "@/lib/providers/notify/notify.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

const PASSWORD = "correct horse battery";
const OTHER_PASSWORD = "another horse battery";

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly tenantId: string;
}

/** A server over sockets whose mails are files. */
async function setUp() {
  let aheadMs = 0;
  const clock: Clock = {
    ...systemClock,
    date: () => new Date(systemClock.date().getTime() + aheadMs),
  };
  const database = await open();
  const dir = await Deno.makeTempDir({ prefix: "ringmaster_mail_" });
  const outbox = fileOutbox({ dir, from: "Ringmaster <no-reply@localhost>", clock });
  let mailed = Promise.withResolvers<void>();
  const notifier: Notifier = {
    provider: "file",
    async send(mail, signal) {
      await outbox.send(mail, signal);
      mailed.resolve();
    },
  };
  const kit = await serverKit({ database, notifier, clock });

  async function ask(method: string, path: string, options: {
    readonly body?: unknown;
    readonly token?: string;
  } = {}) {
    const response = await fetch(`${kit.url}/api/v1/auth/${path}`, {
      method,
      headers: {
        "X-Request-Id": "same",
        ...(options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` }),
        ...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    return { status: response.status, text, body: text === "" ? null : JSON.parse(text) };
  }

  /** Signs somebody up with a tenant of their own. */
  async function signUp(): Promise<Tokens & { readonly email: string }> {
    const email = `ada-${crypto.randomUUID().slice(0, 8)}@example.com`;
    const body = { email, password: PASSWORD, name: "Ada", tenantName: "Ada's clinic" };
    const { status, body: tokens } = await ask("POST", "signup", { body });
    assert.equal(status, 201);
    return { ...tokens, email };
  }

  /** Asks for a code, waits for a mail, and returns all codes that were mailed there, the latest last. */
  async function codesTo(email: string): Promise<string[]> {
    mailed = Promise.withResolvers<void>();
    const asked = await ask("POST", "password/reset", { body: { email } });
    assert.deepEqual([asked.status, asked.text], [202, ""]);
    await mailed.promise;
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name)
      .filter((name) => !name.startsWith("."));
    const mails = await Promise.all(
      names.sort().map((name) => Deno.readTextFile(`${dir}/${name}`)),
    );
    return mails.filter((mail) => mail.includes(`To: ${email}`))
      .flatMap((mail) => /^[\w-]{43}(?=\r?$)/m.exec(mail) ?? []);
  }

  return {
    kit,
    ask,
    /** Moves the date on which the server believes to be. */
    pass(ms: number): void {
      aheadMs += ms;
    },
    signUp,
    codesTo,
    logIn: (email: string, password: string) => ask("POST", "login", { body: { email, password } }),
    refresh: (refreshToken: string) => ask("POST", "refresh", { body: { refreshToken } }),
    async [Symbol.asyncDispose]() {
      await kit.close();
      await database.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

Deno.test("a person signs up, refreshes, loses a stolen family, logs in again and resets the password", async () => {
  await using house = await setUp();
  const { ask, refresh, logIn } = house;
  const first = await house.signUp();

  const me = await ask("GET", "me", { token: first.accessToken });
  assert.equal(me.status, 200);
  const { id: _, ...who } = me.body;
  assert.deepEqual(who, {
    email: first.email,
    name: "Ada",
    isOperator: false,
    tenantId: first.tenantId,
    primaryTenantId: first.tenantId,
    preferences: {},
    memberships: [{
      tenantId: first.tenantId,
      tenantName: "Ada's clinic",
      tenantStatus: "active",
      role: "owner",
    }],
  });

  const second = await refresh(first.refreshToken);
  assert.equal(second.status, 200);
  const again = await refresh(first.refreshToken);
  assert.equal(again.body.refreshToken, second.body.refreshToken, "within the grace");
  const third = await refresh(second.body.refreshToken);
  assert.equal(third.status, 200);
  assert.equal((await ask("GET", "me", { token: third.body.accessToken })).status, 200);

  const second2 = await logIn(first.email.toUpperCase(), PASSWORD);
  assert.equal(second2.status, 200);
  const [token = assert.fail("no mail")] = await house.codesTo(first.email);
  const body = { token, newPassword: OTHER_PASSWORD };
  assert.equal((await ask("POST", "password/reset/confirm", { body })).status, 204);
  assert.equal((await refresh(third.body.refreshToken)).status, 401, "all sessions have ended");
  assert.equal((await refresh(second2.body.refreshToken)).status, 401);
  assert.equal((await ask("GET", "me", { token: third.body.accessToken })).status, 401);
  assert.equal((await logIn(first.email, PASSWORD)).status, 401);
  assert.equal((await logIn(first.email, OTHER_PASSWORD)).status, 200);
  const replayed = await ask("POST", "password/reset/confirm", { body });
  assert.deepEqual([replayed.status, replayed.body.field], [410, "token"]);
});

Deno.test("a refresh token used by two clients ends the session of both, access tokens included", async () => {
  await using house = await setUp();
  const { ask, refresh } = house;
  const owner = await house.signUp();
  const thief = await refresh(owner.refreshToken);
  assert.equal(thief.status, 200);
  house.pass(10_001);
  const [late, stolen] = [
    await refresh(owner.refreshToken),
    await refresh(thief.body.refreshToken),
  ];
  assert.deepEqual([late.status, late.text], [401, stolen.text]);
  for (const token of [owner.accessToken, thief.body.accessToken]) {
    assert.equal((await ask("GET", "me", { token })).status, 401);
  }
});

Deno.test("what a stranger is told of an account that is there, and of one that is not, is the same", async () => {
  await using house = await setUp();
  const { email } = await house.signUp();
  const nobody = "nobody@example.com";
  const wrong = [await house.logIn(email, OTHER_PASSWORD), await house.logIn(nobody, PASSWORD)];
  assert.deepEqual(wrong[0], wrong[1]);
  assert.equal(wrong[0]?.status, 401);
  const resets = await Promise.all(
    [email, nobody].map((address) =>
      house.ask("POST", "password/reset", { body: { email: address } })
    ),
  );
  assert.deepEqual(resets[0], resets[1]);
  for (let i = 0; i < 9; i++) {
    await Promise.all([house.logIn(email, OTHER_PASSWORD), house.logIn(nobody, PASSWORD)]);
  }
  const throttled = [await house.logIn(email, PASSWORD), await house.logIn(nobody, PASSWORD)];
  assert.equal(throttled[0]?.status, 429);
  assert.deepEqual(throttled[0], throttled[1]);
});

Deno.test("what is wrong with a signup is named", async () => {
  await using house = await setUp();
  const { email } = await house.signUp();
  const good = { email: "bo@example.com", password: PASSWORD, name: "Bo", tenantName: "B" };
  const rows: readonly [change: Record<string, unknown>, status: number, field: string][] = [
    [{ email }, 409, "email"],
    [{ email: email.toUpperCase() }, 409, "email"],
    [{ email: "bo" }, 400, "email"],
    [{ password: "too short" }, 400, "password"],
    [{ password: "BO@example.com" }, 400, "password"],
    [{ password: "Password123" }, 400, "password"],
    [{ name: " " }, 400, "name"],
    [{ tenantName: undefined }, 400, "tenantName"],
    [{ invitationToken: "a" }, 400, "tenantName"],
    [{ role: "owner" }, 400, "role"],
    [{ tenantName: undefined, invitationToken: "never one" }, 410, "invitationToken"],
  ];
  for (const [change, status, field] of rows) {
    const answer = await house.ask("POST", "signup", { body: { ...good, ...change } });
    assert.deepEqual([answer.status, answer.body.field], [status, field], JSON.stringify(change));
  }
});

Deno.test("a session is listed, and one that is ended is refused at once", async () => {
  await using house = await setUp();
  const { ask } = house;
  const first = await house.signUp();
  const { body: second } = await house.logIn(first.email, PASSWORD);
  const token = first.accessToken;
  assert.equal((await ask("GET", "me", { token: second.accessToken })).status, 200);
  const { body: { items } } = await ask("GET", "sessions", { token });
  const { id } = items.find(({ isCurrent }: { isCurrent: boolean }) => !isCurrent);
  assert.equal((await ask("DELETE", `sessions/${id}`, { token })).status, 204);
  assert.equal((await ask("GET", "me", { token: second.accessToken })).status, 401);
  assert.equal((await ask("DELETE", `sessions/${id}`, { token })).status, 404);
  const body = { refreshToken: first.refreshToken };
  assert.equal((await ask("POST", "logout", { body })).status, 204);
  assert.equal((await ask("GET", "me", { token })).status, 401);
  assert.equal((await ask("GET", "me")).status, 401);
});

Deno.test("anybody may fetch the keys that tokens are verified with, and keep them for five minutes", async () => {
  await using house = await setUp();
  await house.signUp();
  const response = await fetch(`${house.kit.url}/.well-known/jwks.json`);
  assert.equal(response.headers.get("cache-control"), "public, max-age=300");
  const { keys } = await response.json();
  assert.equal(keys.length >= 1, true);
  for (const key of keys) {
    assert.deepEqual(Object.keys(key).sort(), ["alg", "crv", "kid", "kty", "use", "x"]);
  }
});
