/** Two machines, one of which is told to drain through the other: it gets nothing new, and its calls leave it. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { getOwner } from "@/db/cluster.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { listEvents } from "@/db/events.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { startMachines } from "@/tests/support/machines.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import type { ServerKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

async function statusOf(asked: Promise<Response>): Promise<number> {
  const { status, body } = await asked;
  await body?.cancel();
  return status;
}

/** Asks until it is so: its row is looked at once a second. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await sleep(systemClock, 50);
}

const order = (calls: string, deadlineMs: number): RequestInit => ({
  method: "POST",
  body: JSON.stringify({ calls, deadlineMs }),
  headers: { "Content-Type": "application/json" },
});

/** A call that comes to the first of these machines, and of which the carrier asks that one first. */
async function calling(database: Database, names: readonly string[]) {
  const machines = await startMachines({
    ...{ database, names, isFly: false },
    pick: (_asked, all) => all.at(0),
  });
  const { kits: [one, two], proxy } = machines;
  assert.ok(one);
  const phoned = await placeInbound({
    webhookUrl: `${proxy.url}/twilio/voice`,
    publicUrl: proxy.url,
    authToken: one.carrierToken,
    from: "+15550199000",
    to: DEMO_NUMBER,
    clock: systemClock,
    twilio: one.twilio,
  });
  return { machines, proxy, phoned, one, two: two ?? one };
}

Deno.test("a machine that is told to drain through another takes nothing new, hands its call over, and ends", async () => {
  await using database = await open();
  const { machines, proxy, phoned, one, two } = await calling(database, ["one", "two"]);
  const { self } = await (await one.operator("/cluster")).json();
  assert.match(self.nodeId, /^127\.0\.0\.1-\d+$/);
  const opened = phoned.log.find(({ type }) => type === "streamOpened");
  const callId = opened?.type === "streamOpened" ? opened.url.split("/")[5] ?? "" : "";
  assert.equal(await statusOf(two.operator("/nodes/nobody/drain", order("wait", 0))), 404);
  await until(async () => (await countOf(one)) === 1);

  assert.equal(
    await statusOf(two.operator(`/nodes/${self.nodeId}/drain`, order("wait", 60_000))),
    202,
  );
  const ready = `http://127.0.0.1:${one.server.port}/ready`;
  await until(async () => await statusOf(fetch(ready)) === 503);
  proxy.cordon("one"); // as a balancer does that looks there
  const place = { agentId: DEMO_AGENT_ID, to: "+15550100001", from: DEMO_NUMBER };
  const refused = await one.rest("/api/v1/calls", {
    method: "POST",
    body: JSON.stringify(place),
    headers: { "Content-Type": "application/json" },
  });
  assert.deepEqual([refused.status, (await refused.json()).code], [503, "draining"]);
  assert.equal(await statusOf(one.rest("/api/v1/calls")), 200, "the rest is answered");
  assert.equal(await countOf(one), 1, "calls are waited for");
  assert.ok(phoned.stream !== null);

  await statusOf(two.operator(`/nodes/${self.nodeId}/drain`, order("handOver", 0)));
  await until(async () => await countOf(one) === 0);
  const owner = await database.lookup(
    "rest",
    DEADLINE_MS,
    (sql) => getOwner(sql, { kind: "call", id: callId }),
  );
  assert.notEqual(owner?.owner?.incarnation, self.incarnation);
  const events = await database.asTenant(
    "rest",
    DEMO_TENANT_ID,
    DEADLINE_MS,
    (sql) => listEvents(sql, DEMO_TENANT_ID, callId, { after: 0, limit: 100 }),
  );
  assert.ok(events.some(({ type }) => type === "leg_lost"), "all of it is on record");
  await until(() => Promise.resolve(phoned.log.filter(({ type }) => type === "asked").length > 1));
  await one.server.drain(); // with no calls it ends at once
  const { nodes } = await (await two.operator("/cluster")).json();
  assert.equal(nodes.length, 1, "it has left");
  phoned.hangUp();
  await phoned.ended;
  await machines.close();
});

async function countOf(kit: ServerKit): Promise<number> {
  const { actors } = await (await kit.operator("/actors?kind=call")).json();
  return actors.length;
}

Deno.test("a machine alone waits for its calls when it is told to end, whatever it would do among others", async () => {
  await using database = await open();
  const { machines, proxy, phoned, one } = await calling(database, ["one"]);
  const drained = one.server.drain();
  await until(async () => await statusOf(fetch(`${proxy.url}/ready`)) === 503);
  await sleep(systemClock, 1_000);
  assert.equal(await countOf(one), 1);
  assert.ok(phoned.stream !== null, "its stream is left alone");
  phoned.hangUp();
  await drained;
  await machines.close();
});

Deno.test("a carrier that asks a draining machine goes on by another one, with its call and with a new one", async () => {
  await using database = await open();
  const { machines, proxy, phoned, one, two } = await calling(database, ["one", "two"]);
  await until(async () => (await countOf(one)) === 1);
  const { self } = await (await one.operator("/cluster")).json();
  // The balancer sees nothing of it, and goes on asking the first one.
  await statusOf(two.operator(`/nodes/${self.nodeId}/drain`, order("handOver", 0)));
  await until(async () => await countOf(two) === 1);
  assert.equal(await countOf(one), 0);
  const second = await placeInbound({
    webhookUrl: `${proxy.url}/twilio/voice`,
    publicUrl: proxy.url,
    authToken: one.carrierToken,
    from: "+15550199001",
    to: DEMO_NUMBER,
    clock: systemClock,
    twilio: one.twilio,
  });
  assert.equal(await countOf(two), 2);
  for (const each of [phoned, second]) {
    await until(() => Promise.resolve(each.stream !== null));
    each.hangUp();
    await each.ended;
  }
  await machines.close();
});
