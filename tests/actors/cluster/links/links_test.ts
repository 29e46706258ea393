/** Messages between machines, over sockets that lose, repeat, reorder and end, and machines that come and go. */

import assert from "node:assert/strict";
import { BEAT_MS, SILENT_MS } from "@/actors/cluster/links/link.ts";
import { ASKS_MAX, HELD_MS, QUEUE_MAX } from "@/actors/cluster/links/wire.ts";
import type { Reply } from "@/actors/runtime/actor.ts";
import type { AppError } from "@/lib/errors.ts";
import {
  type Machine,
  type MachinesKit,
  machinesKit,
  pinnedKind,
  type SumMessage,
} from "@/tests/support/linked_machines.ts";

/** Two machines with a link, and `one`, which lives on b and is known there to a. */
async function setUp() {
  const kit = machinesKit();
  const [a, b] = [kit.machine("a"), kit.machine("b")];
  b.pin("one");
  await kit.look();
  await kit.clock.advance(200);
  const one = a.neighbours.router.ref(pinnedKind, "one");
  assert.equal(await outcome(kit, one.ask(total)), "0");
  b.handled.length = 0;
  return { kit, a, b, one };
}

const total = (reply: Reply<number>): SumMessage => ({ type: "sum", reply });
const wait = (reply: Reply<number>): SumMessage => ({ type: "wait", reply });

/** What it settled with once so much time has passed; null: it has not. */
async function outcome({ clock }: MachinesKit, ask: Promise<unknown>, ms = 0) {
  let settled: string | null = null;
  ask.then((value) => settled = `${value}`, (error: AppError) => settled = error.code);
  await clock.advance(ms);
  return settled as string | null;
}

function hasLogged({ logged }: Machine, text: string): boolean {
  return logged.some((line) => line.includes(text));
}

Deno.test("what is sent and asked through another machine is done where the actor is", async () => {
  const { kit, b, one } = await setUp();
  assert.equal(kit.sockets.length, 1, "one socket for the two");
  assert.equal(kit.sockets[0]?.from, "a", "which the older has opened");
  one.send({ type: "add", amount: 2 });
  one.send({ type: "add", amount: 3 });
  assert.equal(await outcome(kit, one.ask(total)), "5");
  assert.deepEqual(b.handled, ["one add 2", "one add 3", "one sum"]);
});

Deno.test("what is sent within one turn of the loop shares a frame", async () => {
  const { kit, one } = await setUp();
  const frames: string[] = [];
  kit.fault = (frame) => (frames.push(frame), [frame]);
  const asks = Array.from({ length: 50 }, () => one.ask<number>(total));
  await kit.clock.settle();
  await Promise.all(asks);
  assert.equal(frames.length, 2, "one there and one back");
});

Deno.test("an error crosses with its code, its field and when to come again", async () => {
  const { kit, one } = await setUp();
  const failed = one.ask<null>((reply) => ({ type: "fail", reply })).catch((error) => error);
  await kit.clock.settle();
  const { code, message, field, retryAfterS } = await failed;
  assert.deepEqual([code, message, field, retryAfterS], ["conflict", "Not now", "sum", 7]);
});

Deno.test("what remains of a deadline crosses, and an answer that comes later is dropped", async () => {
  const { kit, b, one } = await setUp();
  const frames: string[] = [];
  kit.fault = (frame) => (frames.push(frame), [frame]);
  const ask = one.ask<number>(wait, { timeoutMs: 300 });
  assert.equal(await outcome(kit, ask, 400), "unknown_outcome");
  assert.match(frames[0] ?? "", /^\[\d+,\["a",\d+,300,/);
  const again = one.ask<number>(wait); // which answers the first
  assert.equal(await outcome(kit, again), null);
  assert.equal(b.handled.length, 2);
  assert.ok(b.neighbours.links !== null && !hasLogged(b, "link lost"));
});

Deno.test("an ask that is aborted is taken back: it is not done if it had not begun", async () => {
  const { kit, one } = await setUp();
  const frames: string[] = [];
  kit.fault = (frame) => (frames.push(frame), [frame]);
  const controller = new AbortController();
  const ask = one.ask<number>(wait, { signal: controller.signal });
  ask.catch(() => {});
  await kit.clock.settle();
  controller.abort(new Error("enough"));
  await assert.rejects(ask, /enough/);
  await kit.clock.settle();
  assert.match(frames.at(-1) ?? "", /\["c",\d+\]/);
});

Deno.test("when a link is lost, who has asked is told at once, and the next one comes by itself", async () => {
  const { kit, a, one } = await setUp();
  const ask = one.ask<number>(wait);
  assert.equal(await outcome(kit, ask), null);
  kit.sockets.at(-1)?.drop();
  await kit.clock.settle();
  assert.equal(await outcome(kit, ask), "unknown_outcome");
  assert.equal(await outcome(kit, one.ask(total), 500), "0", "what was sent meanwhile has waited");
  assert.equal(kit.sockets.length, 2);
  assert.ok(hasLogged(a, "link lost"));
});

Deno.test("an ask that never left says that nothing was done, and is not sent later", async () => {
  const { kit, b, one } = await setUp();
  kit.redirect = "nowhere";
  kit.sockets.at(-1)?.drop();
  await kit.clock.settle();
  const at = one.ask<number>(total, { timeoutMs: 300 });
  assert.equal(await outcome(kit, at, 400), "actor_stopped");
  kit.redirect = null;
  await kit.clock.advance(10_000);
  assert.deepEqual(b.handled, []);
});

Deno.test("a frame that comes twice is taken once", async () => {
  const { kit, b, one } = await setUp();
  kit.fault = (frame) => [frame, frame];
  one.send({ type: "add", amount: 1 });
  assert.equal(await outcome(kit, one.ask(total)), "1");
  assert.deepEqual(b.handled, ["one add 1", "one sum"]);
});

for (
  const [what, fault] of Object.entries({
    "is lost": (first: string) => (first.length > 0 ? [] : []),
    "is overtaken": (first: string, second: string) => [second, first],
  })
) {
  Deno.test(`after a frame that ${what} the link ends: nobody knows what was in it`, async () => {
    const { kit, a, b, one } = await setUp();
    let held: string | null = null;
    kit.fault = (frame, from) => {
      if (from !== "a" || held === "") return [frame];
      if (held === null) return (held = frame, []);
      const both = fault(held, frame);
      held = "";
      return both.length === 0 ? [frame] : both;
    };
    one.send({ type: "add", amount: 1 });
    await kit.clock.settle();
    assert.equal(await outcome(kit, one.ask(total)), "unknown_outcome");
    assert.ok(hasLogged(b, "frames lost") && hasLogged(a, "frames lost"));
    assert.equal(await outcome(kit, one.ask(total), 500), "0");
  });
}

Deno.test("a machine that stands still is noticed by its beat, and what was asked of it is told", async () => {
  const { kit, a, one } = await setUp();
  const ask = one.ask<number>(wait, { timeoutMs: 60_000 });
  await kit.clock.advance(3 * SILENT_MS);
  assert.equal(await outcome(kit, ask), null, "its beats are answered");
  kit.fault = (frame, from) => from === "b" ? [] : [frame];
  assert.equal(await outcome(kit, ask, SILENT_MS + 2 * BEAT_MS), "unknown_outcome");
  assert.ok(hasLogged(a, '"silent"'));
});

Deno.test("a hello that was said before is refused, and so is one with another's proof", async () => {
  const { kit } = await setUp();
  const said = kit.hellos[0] ?? assert.fail();
  await assert.rejects(kit.knock("b", said.hello), { code: "forbidden" });
  const forged = { ...said.hello, nonce: "x".repeat(43) };
  await assert.rejects(kit.knock("b", forged), { code: "forbidden" });
  const unknown = { ...said.hello, from: { nodeId: "z", incarnation: 9 } };
  await assert.rejects(kit.knock("b", unknown), { code: "not_found" });
});

Deno.test("a hello that was overheard opens a socket to nobody: the answer takes a key", async () => {
  const kit = machinesKit();
  const [a, b] = [kit.machine("a"), kit.machine("b")];
  const { knock } = kit;
  let stolen: Awaited<ReturnType<typeof knock>> | null = null;
  kit.knock = async (address, hello) => { // somebody between the two
    kit.knock = knock;
    stolen = await knock(address, hello);
    return await new Promise(() => {});
  };
  await kit.look();
  await kit.clock.advance(200);
  const closed: string[] = [];
  assert.ok(stolen !== null);
  const thief: Awaited<ReturnType<typeof knock>> = stolen;
  thief.listen({
    message: () => thief.send(JSON.stringify({ proof: "x".repeat(43) })),
    closed: (_code, reason) => closed.push(reason),
  });
  await kit.clock.settle();
  assert.deepEqual(closed, ["wrong proof"]);
  assert.equal(a.neighbours.peers.wire(b.boot)?.isOpen, false);
});

Deno.test("an address at which another boot answers is refused by name, and asked again", async () => {
  const kit = machinesKit();
  const [a, b, c] = [kit.machine("a"), kit.machine("b"), kit.machine("c")];
  kit.redirect = "c"; // as after a stale mapping of addresses
  await kit.look();
  await kit.clock.advance(300);
  assert.ok(hasLogged(a, "Another boot is here"));
  assert.equal(a.neighbours.peers.wire(b.boot)?.isOpen, false);
  assert.equal(a.neighbours.peers.wire(c.boot)?.isOpen, true);
  kit.redirect = null;
  await kit.clock.advance(10_000);
  assert.equal(a.neighbours.peers.wire(b.boot)?.isOpen, true);
});

Deno.test("a machine that is out of reach takes so many messages and refuses the rest; those that wait too long are dead letters", async () => {
  const { kit, a, one } = await setUp();
  kit.redirect = "nowhere";
  kit.sockets.at(-1)?.drop();
  await kit.clock.settle();
  for (let nth = 0; nth < QUEUE_MAX; nth++) {
    if (
      !a.neighbours.router.at({ nodeId: "b", incarnation: 2 }, pinnedKind, "one")
        .send({ type: "add", amount: 1 })
    ) assert.fail("refused");
  }
  const b = a.neighbours.router.at({ nodeId: "b", incarnation: 2 }, pinnedKind, "one");
  assert.equal(b.send({ type: "add", amount: 1 }), false);
  assert.equal(await outcome(kit, b.ask(total)), "mailbox_full");
  assert.ok(ASKS_MAX > 0 && one !== null);
  await kit.clock.advance(HELD_MS + 1_000);
  assert.equal(a.system.metrics().deadLetters.lost, QUEUE_MAX + 1);
});

Deno.test("what is for a machine that is gone becomes dead letters, and asks say that it was not done", async () => {
  const { kit, a, b, one } = await setUp();
  kit.redirect = "nowhere";
  kit.sockets.at(-1)?.drop();
  await kit.clock.settle();
  const at = a.neighbours.router.at(b.boot, pinnedKind, "one");
  at.send({ type: "add", amount: 1 });
  const ask = at.ask<number>(total);
  assert.equal(await outcome(kit, ask), null);
  kit.tables.leave(b.boot);
  await kit.look();
  assert.equal(await outcome(kit, ask), "actor_stopped");
  assert.equal(a.system.deadLetters()[0]?.reason, "lost");
  assert.equal(await outcome(kit, one.ask(total)), "actor_stopped", "nobody has it any more");
});

Deno.test("who has asked the wrong machine is told the right one, twice at most", async () => {
  const { kit, a, b, one } = await setUp();
  const c = kit.machine("c");
  await kit.look();
  await kit.clock.advance(300);
  one.send({ type: "add", amount: 5 });
  await kit.clock.settle();
  move(kit, b, c);
  one.send({ type: "add", amount: 1 });
  assert.equal(await outcome(kit, one.ask(total)), "1", "and what was sent goes after it");
  assert.deepEqual(c.handled, ["one add 1", "one sum"]);

  /** Each says that the other has it. */
  kit.fault = (frame, from) => {
    const place = from === "c" ? ["b", b.boot.incarnation] : ["c", c.boot.incarnation];
    return [frame.replace(/\["r",(\d+),.*?\]/, `["m",$1,${JSON.stringify([...place, 9])}]`)];
  };
  c.handled.length = 0;
  assert.equal(await outcome(kit, one.ask(total)), "actor_stopped");
  assert.ok(a.logged.length > 0 && c.handled.length + b.handled.length < 6);
});

/** The actor ends on one machine and lives on the other. */
function move(kit: MachinesKit, from: Machine, to: Machine): void {
  const actor = { kind: pinnedKind.name, id: "one" };
  const fence = from.holdings.giveUp(actor) ?? assert.fail();
  from.system.stop(actor.kind, actor.id, "moved");
  kit.tables.release(fence);
  to.pin("one");
}

Deno.test("only messages of the table cross, and none that JSON cannot say", async () => {
  const { kit, a, b, one } = await setUp();
  assert.throws(
    () => one.send({ type: "secret", reply: Object.assign(() => {}, { fail: () => {} }) }),
    /may not cross/,
  );
  await assert.rejects(one.ask<number>((reply) => ({ type: "secret", reply })), /may not cross/);
  assert.throws(() => one.send({ type: "add", amount: NaN }), /cannot cross: it holds the number/);
  assert.throws(
    () => one.send({ type: "add", amount: 1, by: new Date(0) } as SumMessage),
    /cannot cross: it holds a Date/,
  );
  // What another version of us might send.
  const forge = (from: string, to: string): void => {
    kit.fault = (frame) => [frame.replace(from, to)];
  };
  forge('"type":"sum"', '"type":"secret"');
  assert.equal(await outcome(kit, one.ask(total)), "invalid");
  forge('"amount":1', '"amount":"1"');
  one.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  forge('"type":"add"', '"type":"sum"'); // without a reply it would crash the actor
  one.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  assert.equal(b.logged.filter((line) => line.includes("not taken")).length, 2);
  kit.fault = (frame) => [frame];
  assert.equal(await outcome(kit, one.ask(total)), "0");
  assert.ok(!hasLogged(a, "link lost"));
});

Deno.test("an answer that is not of its shape is a bug, told to who asked", async () => {
  const { kit, a, one } = await setUp();
  kit.fault = (frame) => [frame.replace(/\["r",(\d+),0\]/, '["r",$1,"0"]')];
  assert.equal(await outcome(kit, one.ask(total)), "internal");
  assert.ok(hasLogged(a, "not of its shape"));
});

Deno.test("what is no frame ends the link", async () => {
  const { kit, b, one } = await setUp();
  for (const junk of ["[", "[1,7]", '[1,["z",1]]', '["x"]', '[99,["p",1]]']) {
    kit.fault = () => [junk];
    one.send({ type: "add", amount: 1 });
    await kit.clock.settle();
    kit.fault = (frame) => [frame];
    await kit.clock.advance(500);
    assert.equal(await outcome(kit, one.ask(total)), "0", junk);
  }
  assert.ok(hasLogged(b, "malformed"));
});
