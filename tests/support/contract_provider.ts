/** What every adapter of a streaming provider must do, whatever it streams: fail in one way, and leave nothing open. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import type { ManualClock } from "./manual_clock.ts";
import type { Fault, ProtocolServer } from "./protocol_server.ts";

/** An adapter and what it stands on. A simulated one has no server. */
export interface Streaming<A> {
  readonly adapter: A;
  readonly clock: ManualClock;
  readonly server: Omit<ProtocolServer, "closeOpen"> | null;
}

/** A request that a good provider answers with several messages, and that lasts until it is ended. */
export type Request<A, T> = (
  adapter: A,
  signal: AbortSignal,
  clock: ManualClock,
) => AsyncIterable<T>;

/** The longest that an adapter may wait for a provider that says nothing. */
const PATIENCE_MS = 10_000;

/** Runs `check`; then nothing may be connected and no timer armed. */
export function testStreaming<A>(
  name: string,
  make: () => Promise<Streaming<A>>,
  check: (streaming: Streaming<A>) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const streaming = await make();
    try {
      await check(streaming);
      await streaming.server?.allClosed();
      await streaming.clock.settle();
      assert.equal(streaming.clock.armed, 0, "no timer is left");
    } finally {
      await streaming.server?.close();
    }
  });
}

export function testProvider<A, T>(
  name: string,
  make: () => Promise<Streaming<A>>,
  request: Request<A, T>,
  failing: Request<A, T>,
): void {
  function test(sentence: string, check: (streaming: Streaming<A>) => Promise<void>): void {
    testStreaming(`${name} ${sentence}`, make, check);
  }

  test("connects to nothing when it was aborted before", async ({ adapter, server, clock }) => {
    const reason = new Error("barge-in");
    const { items, error } = await readAll(request(adapter, AbortSignal.abort(reason), clock));
    assert.deepEqual({ items, error }, { items: [], error: reason });
    assert.equal(server?.acceptedCount ?? 0, 0);
  });

  test("ends with the signal's reason when aborted in mid-answer", async ({ adapter, clock }) => {
    const abort = new AbortController();
    const reason = new Error("barge-in");
    let count = 0;
    await assert.rejects(async () => {
      for await (const _ of request(adapter, abort.signal, clock)) {
        assert.equal(++count, 1, "nothing comes after the abort");
        abort.abort(reason);
      }
    }, reason);
  });

  test("ends with the signal's reason when aborted while it waits", async ({ adapter, clock }) => {
    const abort = new AbortController();
    const reason = new Error("barge-in");
    const reading = request(adapter, abort.signal, clock)[Symbol.asyncIterator]();
    await reading.next();
    const rejected = assert.rejects(async () => {
      while (!(await reading.next()).done);
    }, reason);
    await clock.settle();
    abort.abort(reason);
    await rejected;
  });

  test("can be left in mid-answer", async ({ adapter, clock }) => {
    for await (const _ of request(adapter, never(), clock)) break;
  });

  test("throws what its source throws", async ({ adapter, clock }) => {
    const { error } = await readAll(failing(adapter, never(), clock));
    assert.ok(error instanceof Error);
    assert.equal(error.message, "source failed");
  });
}

/** For adapters with a provider behind them: it gives at least four messages before it is done. */
export function testFaults<A, T>(
  name: string,
  make: () => Promise<Streaming<A>>,
  request: Request<A, T>,
): void {
  function test(
    sentence: string,
    fault: Fault,
    check: (streaming: Streaming<A>, items: readonly T[], error: AppError) => void,
  ): void {
    testStreaming(`${name} ${sentence}`, make, async (streaming) => {
      const { adapter, server } = streaming;
      server?.failNext(fault);
      const reading = readAll(request(adapter, never(), streaming.clock));
      if (fault.type === "silentHandshake" || fault.type === "silent") {
        await letPatienceRunOut(streaming, fault.type === "silent" ? 1 : 0);
      }
      const { items, error } = await reading;
      assert.ok(error instanceof AppError, String(error));
      assert.equal(error.code, "provider_failed");
      check(streaming, items, error);
    });
  }

  for (const [status, retryable] of [[401, false], [429, true], [503, true]] as const) {
    const how = retryable ? "retryable" : "final";
    test(`fails on ${status}, which is ${how}`, { type: "refuse", status }, (_, items, error) => {
      assert.equal(error.status, status);
      assert.equal(error.retryable, retryable);
      assert.deepEqual(items, []);
    });
  }

  test(
    "gives what came before a lost connection, then fails",
    { type: "drop", at: 3 },
    (_, items, error) => {
      assert.ok(items.length > 0);
      assert.equal(error.retryable, true);
    },
  );

  test(
    "fails when the provider closes before the end",
    { type: "close", at: 3, code: 1000, reason: "" },
    (_, items, error) => {
      assert.ok(items.length > 0);
      assert.equal(error.retryable, true);
    },
  );

  for (const data of ["}{", "[1]", '"text"']) {
    test(`fails on nonsense: ${data}`, { type: "garbage", at: 3, data }, (_, __, error) => {
      assert.match(error.message, /not of its protocol/);
    });
  }

  test(
    "gives up on a handshake without an answer",
    { type: "silentHandshake" },
    (_, items, error) => {
      assert.deepEqual(items, []);
      assert.equal(error.retryable, true);
    },
  );

  test("gives up on a provider that says nothing", { type: "silent" }, (_, items, error) => {
    assert.deepEqual(items, []);
    assert.equal(error.retryable, true);
    assert.match(error.message, /no message came/);
  });
}

/** Lets time pass, once the adapter has begun to wait and the server got so many messages. */
async function letPatienceRunOut<A>(streaming: Streaming<A>, receivedCount: number): Promise<void> {
  const { clock, server } = streaming;
  while (clock.armed === 0 || (server?.receivedCount ?? 0) < receivedCount) await clock.settle();
  await clock.advance(PATIENCE_MS);
}

export function never(): AbortSignal {
  return new AbortController().signal;
}

export async function readAll<T>(
  source: AsyncIterable<T>,
): Promise<{ items: T[]; error: unknown }> {
  const items: T[] = [];
  try {
    for await (const item of source) items.push(item);
  } catch (error) {
    return { items, error };
  }
  return { items, error: null };
}
