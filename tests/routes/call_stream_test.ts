/** A call's stream: every event once, at once, to readers who are fast, slow, late, or no longer welcome. */

import assert from "node:assert/strict";
import type { EventView } from "@/actors/desk/calls.ts";
import { newFeed, WATCHES_MAX } from "@/actors/recorder/feed.ts";
import { AppError } from "@/lib/errors.ts";
import {
  callStream,
  CHECK_MS,
  END_LOOK_MS,
  HEARTBEAT_MS,
  LOOK_MS,
  type News,
  STALL_MS,
} from "@/routes/call_stream.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const OF = { tenantId: "tenant_1", conversationId: "call_1" };

function eventOf(seq: number, type: string): EventView {
  return { seq, type, at: "2026-01-05T09:00:00.000Z", payload: {} };
}

/** A call whose events are what the test says, and one reader. */
async function setUp(options: { after?: number; check?: () => Promise<unknown> } = {}) {
  const clock = manualClock();
  const feed = newFeed();
  const events: EventView[] = [eventOf(1, "call_started")];
  const call = { hasEnded: false, reads: 0, failure: null as AppError | null };
  const stream = await callStream({
    clock,
    after: options.after ?? 0,
    watch: (told) => feed.watch(OF, told),
    read(after): Promise<News> {
      call.reads++;
      if (call.failure !== null) return Promise.reject(call.failure);
      const news = events.filter(({ seq }) => seq > after);
      return Promise.resolve({ events: news, hasEnded: call.hasEnded });
    },
    check: options.check ?? (() => Promise.resolve()),
  });
  const reader = stream.getReader();
  let text = "";
  let isDone = false;
  let error: unknown = null;

  /** Reads on by itself, as a fast reader does. */
  async function drain(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
      }
    } catch (cause) {
      error = cause;
    }
    isDone = true;
  }

  return {
    clock,
    feed,
    call,
    reader,
    drain: () => void drain(),
    /** Commits an event; another machine's is not told. */
    commit(type: string, isTold = true) {
      const seq = events.length + 1;
      events.push(eventOf(seq, type));
      const event = { ...OF, seq, type, payload: {}, at: clock.date() };
      if (isTold) feed.committed([event]);
    },
    ids: () => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)),
    text: () => text,
    isDone: () => isDone,
    error: () => error,
  };
}

Deno.test("an event is told as soon as it is committed, and the call's end ends the stream", async () => {
  const test = await setUp();
  test.drain();
  await test.clock.settle();
  assert.deepEqual(test.ids(), [1]);
  test.commit("caller_said");
  await test.clock.settle(); // no time has passed
  assert.deepEqual(test.ids(), [1, 2]);
  test.commit("call_ended");
  await test.clock.settle();
  assert.deepEqual(test.ids(), [1, 2, 3]);
  assert.ok(!test.isDone(), "who asks for the call now would not find how it came out");
  test.call.hasEnded = true;
  await test.clock.advance(END_LOOK_MS);
  assert.ok(test.isDone());
  assert.match(test.text(), /^retry: 1000\n\nid: 1\nevent: call_started\ndata: \{"seq":1,/);
  assert.ok(test.text().endsWith("event: end\ndata: {}\n\n"));
  assert.equal(test.clock.armed, 0);
});

Deno.test("what another machine commits is told within a second", async () => {
  const test = await setUp();
  test.drain();
  await test.clock.settle();
  test.commit("caller_said", false);
  await test.clock.advance(LOOK_MS);
  assert.deepEqual(test.ids(), [1, 2]);
  await test.reader.cancel();
});

Deno.test("a reader that comes again gets what follows, and only that", async () => {
  const test = await setUp({ after: 1 });
  test.drain();
  test.commit("caller_said");
  test.commit("call_ended");
  await test.clock.settle();
  assert.deepEqual(test.ids(), [2, 3]);
  const late = await setUp({ after: 9 });
  late.call.hasEnded = true;
  late.drain();
  await late.clock.advance(3 * LOOK_MS);
  assert.deepEqual([late.ids(), late.isDone()], [[], true]);
});

Deno.test("silence is broken by a comment every 15 seconds", async () => {
  const test = await setUp();
  test.drain();
  await test.clock.advance(HEARTBEAT_MS - 1);
  assert.ok(!test.text().includes("\n:\n"));
  await test.clock.advance(2);
  assert.ok(test.text().endsWith("\n\n:\n\n"));
  await test.clock.advance(HEARTBEAT_MS);
  assert.equal(test.text().match(/^:$/gm)?.length, 2);
  await test.reader.cancel();
});

Deno.test("nothing is read ahead of a slow reader, and one that takes nothing is let go", async () => {
  const test = await setUp();
  for (let i = 0; i < 5; i++) test.commit("caller_said");
  await test.clock.settle();
  const { reads } = test.call;
  for (let i = 0; i < 5; i++) test.commit("caller_said");
  await test.clock.advance(STALL_MS - 1);
  assert.ok(test.call.reads <= reads + 1, `${test.call.reads} reads`);
  await test.clock.advance(2);
  await assert.rejects(async () => {
    for (;;) if ((await test.reader.read()).done) return;
  }, { code: "unknown_outcome" });
  assert.equal(test.clock.armed, 0);
});

Deno.test("a reader who may no longer read is gone at the next check", async () => {
  let mayRead = true;
  const check = () =>
    mayRead ? Promise.resolve() : Promise.reject(new AppError("tenant_suspended", "Off"));
  const test = await setUp({ check });
  test.drain();
  await test.clock.advance(2 * CHECK_MS);
  assert.ok(!test.isDone());
  mayRead = false;
  await test.clock.advance(CHECK_MS + LOOK_MS);
  assert.ok(test.isDone());
  test.commit("caller_said");
  assert.deepEqual(test.ids(), [1]);
});

Deno.test("a gate that cannot be asked for a minute lets nobody read on", async () => {
  const busy = new AppError("busy", "Later", { retryable: true });
  const test = await setUp({ check: () => Promise.reject(busy) });
  test.drain();
  await test.clock.advance(50_000);
  assert.ok(!test.isDone());
  await test.clock.advance(30_000);
  assert.ok(test.isDone());
});

Deno.test("a database that is away for a while costs no event", async () => {
  const test = await setUp();
  test.drain();
  await test.clock.settle();
  test.call.failure = new AppError("database_unavailable", "Away", { retryable: true });
  test.commit("caller_said");
  await test.clock.advance(5 * LOOK_MS);
  test.call.failure = null;
  test.commit("call_ended");
  await test.clock.advance(LOOK_MS);
  assert.deepEqual(test.ids(), [1, 2, 3]);
});

Deno.test("a tenant has so many streams at once, and a drain ends them all", async () => {
  const feed = newFeed();
  const watches = Array.from({ length: WATCHES_MAX }, () => feed.watch(OF, () => {}));
  assert.throws(() => feed.watch(OF, () => {}), { code: "rate_limited" });
  feed.watch({ ...OF, tenantId: "tenant_2" }, () => {}).close();
  watches[0]?.close();
  watches[0]?.close();
  feed.watch(OF, () => {});
  assert.throws(() => feed.watch(OF, () => {}), { code: "rate_limited" });

  const test = await setUp();
  test.drain();
  await test.clock.settle();
  test.feed.close();
  await test.clock.settle();
  assert.ok(test.isDone());
  assert.throws(() => test.feed.watch(OF, () => {}), { code: "draining" });
});

Deno.test("a call that is not there is answered before the stream begins, and holds no place", async () => {
  const feed = newFeed();
  const missing = () =>
    callStream({
      clock: manualClock(),
      after: 0,
      watch: (told) => feed.watch(OF, told),
      read: () => Promise.reject(new AppError("not_found", "No such call")),
      check: () => Promise.resolve(),
    });
  for (let i = 0; i <= WATCHES_MAX; i++) await assert.rejects(missing(), { code: "not_found" });
});
