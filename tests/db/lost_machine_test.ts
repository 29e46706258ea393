/** Calls whose machine is lost, on a real database: what was acknowledged is there once, and so is the end. */

import assert from "node:assert/strict";
import { getCall } from "@/db/calls.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type CallDisk, callDisk, type WriteFate } from "@/tests/support/lost_machine_disk.ts";
import { loseMachines, type Loss } from "@/tests/support/lost_machines.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const RUNS = Number(Deno.env.get("LOST_DB_RUNS") ?? 4);
const SEED = Number(Deno.env.get("LOST_SEED") ?? 1);

/** A call of this seed: machines are lost at events, and writes are lost before or behind the commit. */
async function run(seed: number): Promise<void> {
  await using database = await open();
  const random = prng(seed);
  const fates: WriteFate[] = ["lost", "replyLost"];
  let lostInARow = 0; // a history that cannot be read three times ends a call
  const fateOf = (): WriteFate => {
    const isLost = random() < 0.15 && lostInARow < 2;
    lostInARow = isLost ? lostInARow + 1 : 0;
    return isLost ? fates[Math.floor(random() * 2)] ?? "lost" : "stored";
  };
  let atEvent = 0;
  const losses = Array.from({ length: 1 + Math.floor(random() * 2) }, (): Loss => {
    atEvent += 2 + Math.floor(random() * 25);
    return { atEvent, lagMs: 0, ...(random() < 0.5 ? { goesOn: true } : {}) };
  });
  const disks: CallDisk[] = [];
  const call = await loseMachines({
    ...{ lines: demoCaller, losses, seed },
    async disk(clock) {
      const disk = await callDisk(database, clock, fateOf);
      disks.push(disk);
      return disk;
    },
  });
  const [{ tenantId, callId, acked, refused, close } = assert.fail()] = disks;

  for (const { seq, type, payload } of acked) {
    const { type: stored, ...rest } = call.events[seq - 1] ?? { type: "nothing" };
    assert.deepEqual([stored, rest], [type, payload], `${seq} was acknowledged, and is another`);
  }
  assert.ok(acked.length > 10);
  const wroteOn = losses.some(({ goesOn }, nth) => goesOn === true && nth < call.kept.length);
  assert.equal(refused.count > 0, wroteOn, "who has lost the call writes nothing of it");
  assert.equal(call.events.filter(({ type }) => type === "call_ended").length, 1);
  assert.equal(call.events.at(-1)?.type, "call_ended");
  const outputs = call.events.flatMap((it) => it.type === "tool_called" ? [it.call.id] : []);
  assert.equal(new Set(outputs).size, outputs.length, "one output of every function");
  const [row, news] = await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => [
    await getCall(sql, tenantId, callId),
    await sql<{ type: string }[]>`select type from outbox order by id limit 100`,
  ]);
  assert.deepEqual([row?.status, row?.reason], ["ended", "agent_hung_up"]);
  assert.equal(row?.variables.time, "half past nine");
  assert.deepEqual(news.map(({ type }) => type).sort(), ["call.answered", "call.ended"]);
  await close();
}

for (let seed = SEED; seed < SEED + RUNS; seed++) {
  Deno.test(`a call of seed ${seed} whose machines are lost is on record once, to its end`, () =>
    run(seed));
}
