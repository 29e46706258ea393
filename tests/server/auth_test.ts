/** People over real HTTP: from signing up to a reset password. */

import assert from "node:assert/strict";
import { testDatabase } from "@/tests/support/database.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

const PASSWORD = "correct horse battery";
let people = 0;

function newEmail(): string {
  return `person-${++people}-${crypto.randomUUID().slice(0, 8)}@example.com`;
}

Deno.test("a person signs up, logs in, and refreshes", async () => {
  await using database = await open();
  const kit = await serverKit({ database });
  const post = (path: string, body: unknown) =>
    fetch(`${kit.url}/api/v1/auth/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  const email = newEmail();
  const signup = await post("signup", { email, password: PASSWORD, name: "Ada", tenantName: "A" });
  assert.equal(signup.status, 201);
  const first = await signup.json();
  const login = await post("login", { email: email.toUpperCase(), password: PASSWORD });
  assert.equal(login.status, 200);
  assert.equal((await login.json()).tenantId, first.tenantId);
  const refresh = await post("refresh", { refreshToken: first.refreshToken });
  assert.equal(refresh.status, 200);
  const second = await refresh.json();
  assert.notEqual(second.refreshToken, first.refreshToken);
  await kit.close();
});
