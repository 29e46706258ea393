/** Two machines on one database: each sees the other, and whose a call is, from any of them. */

import assert from "node:assert/strict";
import { storeAnswered } from "@/db/call_news.ts";
import { getCall, insertCall } from "@/db/calls.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { claimActor, getOwner, holdsActor, insertNode } from "@/db/cluster.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newCall } from "@/tests/support/rows.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import { network, newWebhooks } from "@/tests/support/twilio_webhooks.ts";

const { open } = await testDatabase();

interface View {
  readonly self: { readonly nodeId: string; readonly incarnation: number };
  readonly nodes: readonly {
    readonly nodeId: string;
    readonly isSelf: boolean;
    readonly state: string;
    readonly weight: number;
    readonly actors: Readonly<Record<string, number>>;
  }[];
}

async function view(kit: ServerKit): Promise<View> {
  return await (await kit.operator("/cluster")).json();
}

const states = async (kit: ServerKit): Promise<string[]> =>
  (await view(kit)).nodes.map(({ nodeId, state, isSelf }) => `${nodeId} ${state} ${isSelf}`);

Deno.test("a call's owner is known on every machine, its writes are fenced, and its row goes with it", async () => {
  await using database = await open();
  const one = await serverKit({ database, env: { FLY_MACHINE_ID: "one" } });
  const two = await serverKit({ database, env: { FLY_MACHINE_ID: "two", MAX_CALLS: "7" } });
  assert.deepEqual(await states(one), ["one active true", "two active false"]);
  assert.deepEqual(await states(two), ["one active false", "two active true"]);
  assert.deepEqual((await view(one)).nodes.map(({ weight }) => weight), [300, 7]);

  const phoned = await placeInbound({
    webhookUrl: `${one.url}/twilio/voice`,
    publicUrl: one.url,
    authToken: one.carrierToken,
    from: "+15550199000",
    to: DEMO_NUMBER,
    clock: systemClock,
    ...(one.twilio === null ? {} : { twilio: one.twilio }),
  });
  const { actors } = await (await one.operator("/actors?kind=call")).json();
  const { id } = actors.find(({ kind }: { kind: string }) => kind === "call");
  const { self } = await view(one);
  const fence = { kind: "call", id, epoch: 1, ...self };
  const ask = <T>(work: Parameters<typeof database.lookup<T>>[2]): Promise<T> =>
    database.lookup("rest", DEADLINE_MS, work);
  assert.equal(await ask((sql) => holdsActor(sql, fence)), true);
  const elsewhere = await (await two.operator(`/actors/call/${id}`)).json();
  assert.deepEqual(elsewhere.owner, { ...self, isSelf: false, isDead: false });
  const here = await (await one.operator(`/actors/call/${id}/owner`)).json();
  assert.equal(here.owner.isSelf, true);
  assert.deepEqual((await view(two)).nodes.map((node) => node.actors), [{ call: 1 }, {}]);

  phoned.hangUp();
  await phoned.ended;
  await one.close(); // takes its leave: nobody has to bury it
  assert.deepEqual(await states(two), ["two active true"]);
  const owner = await ask((sql) => getOwner(sql, { kind: "call", id }));
  assert.equal(owner?.owner ?? null, null);
  const rows = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ status: string }[]>`
    select status from call where 'call_' || id = ${id}`);
  assert.equal(rows[0]?.status, "ended", "and what it wrote under its fence is there");
  await two.close();
});

Deno.test("a call that is over, of a machine that answers no more, ends at its carrier's word, long before its burial", async () => {
  await using database = await open();
  const kit = await serverKit({ database, env: { FLY_MACHINE_ID: "one" } });
  const lookup = <T>(work: Parameters<typeof database.lookup<T>>[2]): Promise<T> =>
    database.lookup("rest", DEADLINE_MS, work);
  const at = { address: "127.0.0.1:1", region: "local", version: "1", weight: 10 };
  const boot = await lookup(async (sql) => ({
    nodeId: "killed",
    incarnation: await insertNode(sql, { nodeId: "killed", ...at }),
  }));
  const carrierCallId = `CA${"5".repeat(32)}`;
  const call = newCall(DEMO_AGENT_ID, { carrierCallId });
  await database.asTenant("rest", DEMO_TENANT_ID, DEADLINE_MS, async (sql) => {
    await insertCall(sql, DEMO_TENANT_ID, call);
    await storeAnswered(sql, DEMO_TENANT_ID, call.id, systemClock.date());
  });
  await lookup((sql) => claimActor(sql, { kind: "call", id: call.id }, boot));

  const carrier = newWebhooks(network(kit.url, kit.url), kit.carrierToken);
  await carrier.post(`${kit.url}/twilio/calls/${call.id}/status`, {
    ...{ CallSid: carrierCallId, CallStatus: "completed", Direction: "inbound" },
    ...{ AccountSid: `AC${"0".repeat(32)}`, From: call.fromNumber, To: DEMO_NUMBER },
  });
  const read = () =>
    database.asTenant(
      "rest",
      DEMO_TENANT_ID,
      DEADLINE_MS,
      (sql) => getCall(sql, DEMO_TENANT_ID, call.id),
    );
  while ((await read())?.status !== "ended") await sleep(systemClock, 20); // it is not waited for
  const ended = await read();
  assert.deepEqual([ended?.outcome, ended?.reason], ["failed", "crashed"]);
  const nodes = (await view(kit)).nodes.map(({ nodeId, state }) => `${nodeId} ${state}`);
  assert.deepEqual(nodes, ["killed active", "one active"]);
  await kit.close();
});
