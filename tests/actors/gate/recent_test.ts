/** Answers of the last second: never older, looked up once, and dropped when told. */

import assert from "node:assert/strict";
import { type Answer, newRecent } from "@/actors/gate/recent.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

function setUp(max = 10) {
  const clock = manualClock();
  const recent = newRecent<string>({ clock, maxAgeMs: 1_000, max });
  const finds: PromiseWithResolvers<Answer<string>>[] = [];
  function find(): Promise<Answer<string>> {
    const one = Promise.withResolvers<Answer<string>>();
    finds.push(one);
    return one.promise;
  }
  async function hold(name: string, value: string, untilMs: number | null = null): Promise<void> {
    await recent.ask(name, () => Promise.resolve({ value, untilMs }));
  }
  return { clock, recent, finds, find, hold };
}

Deno.test("an answer is held for a second from the begin of its look-up, not from its end", async () => {
  const { clock, recent, finds, find } = setUp();
  const asked = recent.ask("a", find);
  await clock.advance(600);
  finds[0]?.resolve({ value: "A", untilMs: null });
  assert.equal(await asked, "A");
  await clock.advance(399);
  assert.equal(recent.get("a"), "A");
  await clock.advance(1);
  assert.equal(recent.get("a"), null);
});

Deno.test("who asks while a look-up is on its way waits for it, but joins none that is a second old", async () => {
  const { clock, recent, finds, find } = setUp();
  const all = Array.from({ length: 50 }, () => recent.ask("a", find));
  assert.equal(finds.length, 1);
  await clock.advance(1_000);
  const late = recent.ask("a", find);
  assert.equal(finds.length, 2);
  finds[0]?.resolve({ value: "old", untilMs: null });
  finds[1]?.resolve({ value: "new", untilMs: null });
  assert.deepEqual(new Set(await Promise.all(all)), new Set(["old"]));
  assert.equal(await late, "new");
  assert.equal(recent.get("a"), "new");
});

Deno.test("what is stale is dropped, and what is on its way is not held either", async () => {
  const { recent, finds, find, hold } = setUp();
  await hold("mine", "mine");
  await hold("other", "other");
  const asked = recent.ask("on its way", find);
  recent.drop((value) => value === "mine");
  finds[0]?.resolve({ value: "read before", untilMs: null });
  assert.equal(await asked, "read before"); // it was asked before the change was told
  assert.deepEqual([recent.get("mine"), recent.get("other"), recent.get("on its way")], [
    ...[null, "other", null],
  ]);
});

Deno.test("an answer that is known to end within the second ends then", async () => {
  const { clock, recent, hold } = setUp();
  await hold("a", "A", clock.date().getTime() + 300);
  await clock.advance(299);
  assert.equal(recent.get("a"), "A");
  await clock.advance(1);
  assert.equal(recent.get("a"), null);
});

Deno.test("a failure is told to all who wait, and not held", async () => {
  const { recent, finds, find } = setUp();
  const all = [recent.ask("a", find), recent.ask("a", find)];
  finds[0]?.reject(new Error("away"));
  const outcomes = await Promise.allSettled(all);
  assert.ok(outcomes.every(({ status }) => status === "rejected"));
  assert.equal(recent.get("a"), null);
});

Deno.test("of more answers than may be held the oldest goes", async () => {
  const { recent, hold } = setUp(3);
  for (const name of ["a", "b", "c", "d"]) await hold(name, name);
  assert.deepEqual(["a", "b", "c", "d"].map(recent.get), [null, "b", "c", "d"]);
});
