/** The typed client against a real server: it has the routes' types, and an Idempotency-Key does its work. */

import assert from "node:assert/strict";
import { type Client, newClient } from "@/routes/client.ts";
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
}

Deno.test("the typed client signs up, and makes and reads an agent", async () => {
  await using database = await open();
  const kit = await serverKit({ database });
  const url = `http://127.0.0.1:${kit.server.port}`;
  const signup = await newClient(url, "none").auth.signup.$post({
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
