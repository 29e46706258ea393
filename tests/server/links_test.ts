/** Two machines with a link, over real sockets: a call is led through the one that does not hold it, and shown there. */

import assert from "node:assert/strict";
import { DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { systemClock } from "@/lib/clock.ts";
import { openSocket } from "@/lib/socket.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";

const { open } = await testDatabase();

/** They are given their database; by this they know that others may be on it. */
const SHARED = { DATABASE_URL: "postgres://shared.invalid/ringmaster" };
const LOOKS_MAX = 2_000;

interface NodeView {
  readonly nodeId: string;
  readonly isSelf: boolean;
  readonly oldestUndeliveredMs: number | null;
  readonly link: { readonly isOpen: boolean } | null;
  readonly actors: Readonly<Record<string, number>>;
}

async function json<T>(kit: ServerKit, path: string): Promise<T> {
  return await (await kit.operator(path)).json();
}

/** Asks until the machines have a link. */
async function linked(kit: ServerKit): Promise<readonly NodeView[]> {
  for (let nth = 0; nth < LOOKS_MAX; nth++) {
    const { nodes } = await json<{ nodes: NodeView[] }>(kit, "/cluster");
    if (nodes.some(({ link }) => link?.isOpen === true)) return nodes;
  }
  throw new Error("No link came");
}

async function phone(kit: ServerKit): Promise<FakeCall> {
  return await placeInbound({
    webhookUrl: `${kit.url}/twilio/voice`,
    publicUrl: kit.url,
    authToken: kit.carrierToken,
    from: "+15550199000",
    to: DEMO_NUMBER,
    clock: systemClock,
    ...(kit.twilio === null ? {} : { twilio: kit.twilio }),
  });
}

/** Once there is one, and one alone. */
async function onlyCall(kit: ServerKit): Promise<string> {
  for (let nth = 0; nth < LOOKS_MAX; nth++) {
    const { actors } = await json<{ actors: { id: string }[] }>(kit, "/actors?kind=call");
    const [call] = actors;
    if (call !== undefined && actors.length === 1) return call.id;
  }
  throw new Error("There is not one call alone");
}

Deno.test("a call is led, listened to and looked at through a machine that does not hold it", async () => {
  await using database = await open();
  const one = await serverKit({ database, env: { ...SHARED, FLY_MACHINE_ID: "one" } });
  const two = await serverKit({ database, env: { ...SHARED, FLY_MACHINE_ID: "two" } });
  const nodes = await linked(two);
  assert.deepEqual(nodes.map(({ nodeId, isSelf }) => [nodeId, isSelf]), [
    ["one", false],
    ["two", true],
  ]);
  for (const { oldestUndeliveredMs } of nodes) assert.ok(oldestUndeliveredMs !== null);
  assert.match(await (await two.operator("/metrics")).text(), /^link_open\{node="one"\} 1$/m);

  const phoned = await phone(one);
  const id = await onlyCall(one);
  const post = async (path: string, body?: unknown): Promise<number> => {
    const response = await two.rest(`/api/v1/calls/${id}/${path}`, {
      method: "POST",
      ...(body === undefined ? {} : {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await post("context", { text: "They want a dentist." }), 204);

  const shown = await json<{ owner: unknown; report: { view: unknown }; shownBy: unknown }>(
    two,
    `/actors/call/${id}`,
  );
  const here = await json<{ view: unknown }>(one, `/actors/call/${id}`);
  assert.equal(typeof shown.report.view, typeof here.view);
  assert.equal((shown.shownBy as { nodeId: string }).nodeId, "one");
  const desk = await json<{ report: unknown }>(one, `/actors/desk/${DEMO_TENANT_ID}`);
  assert.ok(desk !== null);
  const listed = await json<{ actors: { kind: string }[] }>(two, "/actors?node=one&kind=call");
  assert.deepEqual(listed.actors.map(({ kind }) => kind), ["call"]);
  const nobody = await two.operator("/actors/call/call_nobody");
  await nobody.body?.cancel();
  assert.equal(nobody.status, 404);

  const counting = (await linked(two)).map(({ actors }) => actors["tenant"] ?? 0);
  assert.equal(
    counting.reduce((sum, count) => sum + count),
    1,
    "one machine counts for the tenant",
  );

  assert.equal(await post("hang-up"), 204);
  await phoned.ended;

  const second = await phone(one);
  const stop = `/actors/call/${await onlyCall(one)}/stop`;
  const stopped = await two.operator(stop, { method: "POST" });
  assert.equal(stopped.status, 204, "an operator's stop finds it");
  await second.ended;
  await one.close();
  await two.close();
});

Deno.test("a stranger opens no link, whatever it shows", async () => {
  await using database = await open();
  const kit = await serverKit({ database, env: { ...SHARED, FLY_MACHINE_ID: "one" } });
  const url = `${kit.url.replace("http", "ws")}/cluster/link`;
  const boot = { nodeId: "one", incarnation: 1 };
  const secret = "x".repeat(43);
  const forged = {
    from: { nodeId: "two", incarnation: 2 },
    to: boot,
    nonce: secret,
    proof: secret,
  };
  const heads = [{}, { "x-ringmaster-link": "junk" }, {
    "x-ringmaster-link": btoa(JSON.stringify(forged)),
  }];
  for (const headers of heads) {
    await assert.rejects(openSocket(url, { headers }), ({ status }) => [404, 421].includes(status));
  }
  await kit.close();
});
