/** The typed client against a real server: it has the routes' types, and an Idempotency-Key does its work. */

import assert from "node:assert/strict";
import { type Client, newClient } from "@/routes/client.ts";
import { PASSWORD } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

/** Never run: what does not fit the routes' types does not compile. */
export function misused(client: Client): void {
  // @ts-expect-error a name is text
  void client.agents.$post({ json: { name: 1 } });
  // @ts-expect-error there is no such field
  void client.tenant.$patch({ json: { title: "A" }, header: {} });
  // @ts-expect-error there is no such route
  void client.nothing;
  // @ts-expect-error there is no such path parameter
  void client.calls[":id"].$get({ param: { call: "call_1" } });
  // @ts-expect-error a login takes a password
  void client.auth.login.$post({ json: { email: "ada@example.com" } });
  // @ts-expect-error one's address is not changed there
  void client.auth.me.$patch({ json: { email: "ada@example.com" } });
}

Deno.test("the typed client signs up, and makes and reads an agent", async () => {
  await using database = await open();
  const kit = await serverKit({ database });
  const url = `http://127.0.0.1:${kit.server.port}`;
  const signup = await newClient(url, null).auth.signup.$post({
    json: {
      email: `ada-${crypto.randomUUID()}@example.com`,
      password: "correct horse battery",
      name: "Ada",
      tenantName: "Clinic",
    },
  });
  assert.equal(signup.status, 201);
  const { accessToken } = await signup.json();
  const client = newClient(url, accessToken);

  const once = { headers: { "Idempotency-Key": "first agent" } };
  const made = await client.agents.$post({ json: { name: "Front desk" } }, once);
  const again = await client.agents.$post({ json: { name: "Front desk" } }, once);
  assert.deepEqual([made.status, again.status], [201, 201]);
  const agent = await made.json();
  assert.deepEqual(await again.json(), agent);
  const other = await client.agents.$post({ json: { name: "Back desk" } }, once);
  assert.equal(Number(other.status), 422);
  await other.body?.cancel();

  const list = await (await client.agents.$get({ query: {} })).json();
  const name: string = list.items[0]?.name ?? "none";
  assert.deepEqual([list.items.length, name, list.next], [1, "Front desk", null]);
  await kit.close();
});

Deno.test("the typed client logs in, refreshes, and reads and changes its person's account", async () => {
  await using database = await open();
  const kit = await serverKit({ database });
  const url = `http://127.0.0.1:${kit.server.port}`;
  const stranger = newClient(url, null).auth;
  const email = `ada-${crypto.randomUUID()}@example.com`;
  const json = { email, password: PASSWORD, name: "Ada", tenantName: "Clinic" };
  const { tenantId } = await (await stranger.signup.$post({ json })).json();
  const login = await stranger.login.$post({ json: { email, password: PASSWORD } });
  assert.equal(login.status, 200);
  const { refreshToken } = await login.json();
  const { accessToken } = await (await stranger.refresh.$post({ json: { refreshToken } })).json();

  const own = newClient(url, accessToken).auth;
  const me = await (await own.me.$get()).json();
  const role: "owner" | "admin" | "builder" | "agent" | "viewer" | undefined = me.memberships[0]
    ?.role;
  assert.deepEqual([me.email, me.tenantId, role], [email, tenantId, "owner"]);
  const changed = await (await own.me.$patch({ json: { name: "Ada L." } })).json();
  assert.equal(changed.name, "Ada L.");
  const { items } = await (await own.sessions.$get()).json();
  assert.deepEqual(items.map(({ isCurrent }) => isCurrent).sort(), [false, true]);
  assert.equal((await (await own.sessions.$delete()).json()).revoked, 1);
  const newPassword = "another horse battery";
  const password = await own.password.$post({ json: { currentPassword: PASSWORD, newPassword } });
  assert.equal(password.status, 204);
  assert.equal((await stranger.logout.$post({ json: { refreshToken } })).status, 204);
  const reset = await stranger.password.reset.$post({ json: { email } });
  assert.deepEqual([reset.status, await reset.text()], [202, ""]);
  await kit.close();
});
