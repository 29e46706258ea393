/** Owners of numbers: looked up at every ring, but once a second while nobody can be taken. */

import assert from "node:assert/strict";
import { newOwners } from "@/actors/gate/owners.ts";
import type { Database } from "@/db/client.ts";
import { DEMO_NUMBER, DEMO_TENANT_ID, seedDemo } from "@/db/demo.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const { open } = await testDatabase();

async function setUp(real: Database) {
  await seedDemo(real, { agentName: demoAgent.name, graph: demoAgent, isTalkPublic: false });
  const clock = manualClock();
  const asked: Promise<unknown>[] = [];
  const machine = {
    isFull: false,
    lookups: 0,
    settled: async () => void await Promise.all(asked),
  };
  const database: Database = {
    ...real,
    lookup(...args: Parameters<Database["lookup"]>) {
      machine.lookups++;
      const found = real.lookup(...args);
      asked.push(found);
      return found;
    },
  } as Database;
  return { clock, machine, owners: newOwners({ database, clock, isFull: () => machine.isFull }) };
}

Deno.test("each ring of a machine with lines asks anew", async () => {
  await using real = await open();
  const { owners, machine } = await setUp(real);
  for (let nth = 0; nth < 3; nth++) {
    assert.equal((await owners.ofNumber(DEMO_NUMBER))?.tenantId, DEMO_TENANT_ID);
  }
  assert.equal(machine.lookups, 3);
});

Deno.test("a hundred rings of a full machine ask once a second, of a number and of a tenant's own account", async () => {
  await using real = await open();
  const { owners, machine, clock } = await setUp(real);
  machine.isFull = true;
  const ask = async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => owners.ofNumber(DEMO_NUMBER)));
    assert.ok(all.every((owner) => owner?.tenantId === DEMO_TENANT_ID));
    assert.equal((await owners.routeOf(DEMO_TENANT_ID, DEMO_NUMBER))?.isOwn, true);
    assert.equal(await owners.ofNumber("+15550177777"), null, "that it is nobody's is an answer");
  };
  await ask();
  await ask();
  assert.equal(machine.lookups, 3);
  await clock.advance(1_000);
  await ask();
  assert.equal(machine.lookups, 6);
});

Deno.test("whose a number was is known for a minute, to refuse by, and looked up for the next who is", async () => {
  await using real = await open();
  const { owners, machine, clock } = await setUp(real);
  assert.equal(owners.lately(DEMO_NUMBER), null, "nobody has asked");
  await owners.ofNumber(DEMO_NUMBER);
  await owners.ofNumber("+15550177777");
  assert.equal(owners.lately(DEMO_NUMBER)?.tenantId, DEMO_TENANT_ID);
  assert.equal(owners.lately("+15550177777"), null);
  assert.equal(machine.lookups, 2);
  await clock.advance(60_000);
  for (let nth = 0; nth < 10; nth++) {
    assert.equal(owners.lately(DEMO_NUMBER)?.tenantId, DEMO_TENANT_ID);
  }
  await machine.settled();
  assert.equal(machine.lookups, 3, "once, beside those who are refused");
  await clock.advance(60_001);
  assert.equal(owners.lately(DEMO_NUMBER), null);
});
