/** People over real HTTP: from signing up to a reset password, and what thieves of tokens get. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
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
async function setUp(env: Readonly<Record<string, string>> = {}) {
  const database = await open();
  const dir = await Deno.makeTempDir({ prefix: "ringmaster_mail_" });
  const outbox = fileOutbox({ dir, from: "Ringmaster <no-reply@localhost>", clock: systemClock });
  let mailed = Promise.withResolvers<void>();
  const notifier: Notifier = {
    provider: "file",
    async send(mail, signal) {
      await outbox.send(mail, signal);
      mailed.resolve();
    },
  };
  const kit = await serverKit({ database, env, notifier });

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
