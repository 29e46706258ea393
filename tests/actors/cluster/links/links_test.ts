/** Messages between machines, over sockets that lose, repeat, reorder and end, and machines that come and go. */

import assert from "node:assert/strict";
import type { AppError } from "@/lib/errors.ts";
import { machinesKit, pinnedKind, type SumMessage } from "@/tests/support/linked_machines.ts";
import type { Reply } from "@/actors/runtime/actor.ts";

/** Two machines with a link, and `one`, which lives on b. */
async function setUp() {
  const kit = machinesKit();
  const [a, b] = [kit.machine("a"), kit.machine("b")];
  b.pin("one");
  await kit.look();
  await kit.clock.advance(200);
  return { kit, a, b, one: a.neighbours.router.ref(pinnedKind, "one") };
}

const total = (reply: Reply<number>): SumMessage => ({ type: "sum", reply });

/** What it settled with, once time has passed; null: it has not. */
async function outcome(
  kit: { clock: { advance(ms: number): Promise<void> } },
  ask: Promise<unknown>,
  ms = 0,
) {
  let settled: string | null = null;
  ask.then((value) => settled = `${value}`, (error: AppError) => settled = error.code);
  await kit.clock.advance(ms);
  return settled;
}

Deno.test("what is sent and asked through another machine is done where the actor is", async () => {
  const { kit, b, one } = await setUp();
  assert.equal(kit.sockets.length, 1, "one socket for the two, by the older");
  assert.equal(kit.sockets[0]?.from, "a");
  one.send({ type: "add", amount: 2 });
  one.send({ type: "add", amount: 3 });
  assert.equal(await outcome(kit, one.ask(total)), "5");
  assert.deepEqual(b.handled, ["one add 2", "one add 3", "one sum"]);
});

Deno.test("an error crosses with its code, its field and when to come again", async () => {
  const { kit, one } = await setUp();
  const failed = one.ask<null>((reply) => ({ type: "fail", reply })).catch((error) => error);
  await kit.clock.settle();
  const { code, message, field, retryAfterS } = await failed;
  assert.deepEqual([code, message, field, retryAfterS], ["conflict", "Not now", "sum", 7]);
});
