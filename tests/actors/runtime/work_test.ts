/** What an actor starts beside its mailbox: runs, holds, streams and timers. */

import assert from "node:assert/strict";
import type { Context, Outcome, StreamItem } from "@/actors/runtime/actor.ts";
import { STREAM_AHEAD } from "@/actors/runtime/work.ts";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { newRecord, probeKind, type ProbeMessage, startProbe } from "./probe.ts";

type Ctx = Context<ProbeMessage>;

function setUp() {
  const kit = actorKit();
  return { ...kit, probe: startProbe(kit.system) };
}

const said = (outcome: Outcome<string>): ProbeMessage => {
  return { type: "note", text: outcome.ok ? outcome.value : outcome.error.code };
};

const item = (streamed: StreamItem<number>): ProbeMessage => {
  return { type: "note", text: streamed.type === "item" ? `${streamed.value}` : streamed.type };
};

Deno.test("the outcome of a run comes back as a message, value or AppError", async () => {
  const { probe, settle } = setUp();
  probe.act((ctx) => {
    ctx.run("good", () => Promise.resolve("good"), said);
    ctx.run("bad", () => Promise.reject(new AppError("busy", "no")), said);
  });
  await settle();
  assert.deepEqual(probe.events, ["init", "good", "busy"]);
});

Deno.test("messages are handled while a run is under way", async () => {
  const { probe, clock } = setUp();
  probe.act((ctx) => ctx.run("slow", () => sleep(clock, 100).then(() => "slow"), said));
  await clock.advance(50);
  probe.note("meanwhile");
  await clock.advance(50);
  assert.deepEqual(probe.events, ["init", "meanwhile", "slow"]);
});

for (
  const [what, work] of [
    ["a rejection", () => Promise.reject(new TypeError("bug"))],
    ["a throw before the first await", () => {
      throw new TypeError("bug");
    }],
  ] satisfies [string, () => Promise<string>][]
) {
  Deno.test(`${what} in a run that is no AppError crashes the actor`, async () => {
    const { probe, settle } = setUp();
    probe.act((ctx) => ctx.run("bug", work, said));
    await settle();
    assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
  });
}

Deno.test("a throw in toMessage crashes the actor, of a run and of a stream", async () => {
  const fails = (): ProbeMessage => {
    throw new AppError("busy", "not even an AppError is an outcome here");
  };
  for (
    const start of [
      (ctx: Ctx) => ctx.run("run", () => Promise.resolve("x"), fails),
      (ctx: Ctx) => ctx.stream("stream", () => numbers(1), fails),
    ]
  ) {
    const { probe, settle } = setUp();
    probe.act(start);
    await settle();
    assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
  }
});

Deno.test("a cancelled run is aborted and its outcome never handled, not even when it was waiting already", async () => {
  const { probe, clock, settle } = setUp();
  const aborted: string[] = [];
  const work = (signal: AbortSignal): Promise<string> => {
    signal.addEventListener("abort", () => aborted.push("aborted"));
    return sleep(clock, 10).then(() => "late");
  };
  probe.act((ctx) => ctx.run("r", work, said));
  probe.act((ctx) => probe.events.push(`cancel ${ctx.cancel("r")} ${ctx.cancel("r")}`));
  await clock.advance(20);
  probe.act((ctx) => ctx.run("queued", () => Promise.resolve("queued"), said));
  probe.act((ctx) => ctx.timer("t", 0, { type: "note", text: "timer" }));
  await settle();
  assert.deepEqual(aborted, ["aborted"]);
  assert.deepEqual(probe.events, ["init", "cancel true false", "queued"]);
});

Deno.test("a name used again cancels what had it before", async () => {
  const { probe, clock } = setUp();
  probe.act((ctx) => {
    ctx.timer("x", 10, { type: "note", text: "first" });
    ctx.run("x", () => sleep(clock, 20).then(() => "second"), said);
    ctx.timer("x", 30, { type: "note", text: "third" });
  });
  await clock.advance(100);
  assert.deepEqual(probe.events, ["init", "third"]);
});

Deno.test("what a life has started ends with it: no outcome, timer or item of before reaches the next", async () => {
  const { probe, clock } = setUp();
  const signals: AbortSignal[] = [];
  probe.act((ctx) => {
    ctx.timer("t", 10, { type: "note", text: "timer" });
    ctx.run("r", (signal) => (signals.push(signal), sleep(clock, 10).then(() => "run")), said);
    ctx.stream(
      "s",
      (signal) => (signals.push(signal), numbers(3, { before: () => sleep(clock, 10) })),
      item,
    );
  });
  probe.note("boom");
  await clock.advance(100);
  assert.deepEqual(probe.events, ["init", "boom", "stopped: crashed", "again"]);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
});

Deno.test("a hold shuts control and media until its outcome is handled, and leaves the system lane open", async () => {
  const { probe, clock, system } = setUp();
  probe.act((ctx) => ctx.hold("write", () => sleep(clock, 100).then(() => "written"), said));
  probe.note("a");
  probe.ref.send({ type: "frame", n: 1 });
  await clock.advance(50);
  assert.deepEqual(probe.events, ["init"]);
  const report = system.inspect("probe", "p");
  assert.deepEqual(report?.handling, { type: "hold write", forMs: 50 });
  assert.deepEqual(report?.depth, { system: 0, control: 1, media: 1 });
  await clock.advance(50);
  assert.deepEqual(probe.events, ["init", "written", "a", "frame 1"]);

  probe.act((ctx) => ctx.hold("for ever", () => new Promise<string>(() => {}), said));
  await clock.settle();
  system.stop("probe", "p", "test");
  await clock.settle();
  assert.equal(probe.events.at(-1), "stopped: asked");
});

Deno.test("init may hold the mailbox until the state is loaded", async () => {
  const { system, clock } = actorKit();
  const probe = startProbe(system, {
    init: (ctx) => ctx.hold("load", () => sleep(clock, 10).then(() => "loaded"), said),
  });
  probe.note("a");
  await clock.advance(10);
  assert.deepEqual(probe.events, ["init", "loaded", "a"]);
});

Deno.test("a stream brings each item, then exactly one end", async () => {
  const { probe, settle } = setUp();
  probe.act((ctx) => ctx.stream("n", () => numbers(3), item));
  await settle();
  assert.deepEqual(probe.events, ["init", "0", "1", "2", "ended"]);
});

Deno.test("a stream that fails with an AppError ends with it; any other throw crashes the actor", async () => {
  const failing = (error: Error) => () => numbers(2, { error });
  const one = setUp();
  one.probe.act((ctx) => ctx.stream("n", failing(new AppError("provider_failed", "x")), item));
  await one.settle();
  assert.deepEqual(one.probe.events, ["init", "0", "1", "failed"]);
  const two = setUp();
  two.probe.act((ctx) => ctx.stream("n", failing(new TypeError("bug")), item));
  await two.settle();
  assert.deepEqual(two.probe.events, ["init", "0", "1", "stopped: crashed", "again"]);
});

Deno.test("a stream takes at most STREAM_AHEAD items that are not handled yet from its source", async () => {
  const { probe, clock } = setUp();
  let taken = 0;
  probe.act((ctx) => {
    ctx.stream("n", () => numbers(100, { before: () => Promise.resolve(void taken++) }), item);
    ctx.hold("shut", () => sleep(clock, 10).then(() => "open"), said);
  });
  await clock.settle();
  assert.equal(taken, STREAM_AHEAD);
  await clock.advance(10);
  assert.equal(taken, 100);
  assert.equal(probe.events.length, 103); // init, open, 100 items, ended
});

Deno.test("a cancelled stream closes its source, and nothing of it is handled after", async () => {
  const { probe, clock } = setUp();
  let closed = false;
  async function* source(): AsyncIterable<number> {
    try {
      for (let n = 0;; n++) {
        yield n;
        await sleep(clock, 10);
      }
    } finally {
      closed = true;
    }
  }
  probe.act((ctx) => ctx.stream("n", source, item));
  await clock.advance(15);
  probe.act((ctx) => void ctx.cancel("n"));
  await clock.advance(100);
  assert.deepEqual(probe.events, ["init", "0", "1"]);
  assert.ok(closed);
});

Deno.test("a context used after its life has ended throws, so that the mistake is seen", async () => {
  const { probe, settle } = setUp();
  const kept: Ctx[] = [];
  probe.act((ctx) => void kept.push(ctx));
  probe.note("boom");
  await settle();
  const [ctx] = kept;
  assert.ok(ctx !== undefined);
  const { make } = newRecord();
  assert.throws(() => ctx.timer("t", 1, { type: "note", text: "late" }), /after its end/);
  assert.throws(() => ctx.spawn(probeKind(), "child", make), /after its end/);
  ctx.stop();
  assert.equal(ctx.cancel("t"), false);
});

interface Numbers {
  /** Awaited before each. */
  readonly before?: () => Promise<void>;
  /** Thrown after the last. */
  readonly error?: Error;
}

async function* numbers(count: number, { before, error }: Numbers = {}): AsyncIterable<number> {
  for (let n = 0; n < count; n++) {
    await before?.();
    yield n;
  }
  if (error !== undefined) throw error;
}
