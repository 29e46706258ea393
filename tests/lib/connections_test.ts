/** The bounds of a listener's connections, over sockets that do as they are told. */

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { boundConnections } from "@/lib/connections.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** A peer's connection: how much it was given, and how much of that it has not taken. */
class Peer extends EventEmitter {
  bytesWritten = 0;
  writableLength = 0;
  destroyed = false;
  readonly remoteAddress = "127.0.0.1";

  give(bytes: number): void {
    this.bytesWritten += bytes;
    this.writableLength += bytes;
  }

  take(bytes: number): void {
    this.writableLength -= Math.min(bytes, this.writableLength);
  }

  resetAndDestroy(): void {
    this.destroy();
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function setUp() {
  const clock = manualClock();
  const server = new EventEmitter();
  const connections = boundConnections(server as Server, {
    ...{ max: 100, perAddressMax: 100, unansweredMax: 8 },
    ...{ stalledMs: 8_000, stalledBytes: 1_000, clock },
  });
  server.emit("listening");
  return {
    connect() {
      const peer = new Peer();
      server.emit("connection", peer as unknown as Socket);
      return peer;
    },
    /** Seconds, in each of which every peer does something. */
    async pass(seconds: number, each: () => void): Promise<void> {
      for (let second = 0; second < seconds; second++) {
        each();
        await clock.advance(1_000);
      }
    },
    close: () => connections.drop(),
  };
}

Deno.test("a peer that takes nothing of an answer is dropped, and so is one that only seems to read", async () => {
  const { connect, pass, close } = setUp();
  const [deaf, sipping, slow, done, idle] = [connect(), connect(), connect(), connect(), connect()];
  for (const peer of [deaf, sipping, slow]) peer.give(1_000_000);
  done.give(500);
  await pass(9, () => {
    sipping.take(100);
    slow.take(200);
    done.take(100);
  });
  assert.deepEqual(
    [deaf, sipping, slow, done, idle].map(({ destroyed }) => destroyed),
    [true, true, false, false, false],
  );
  await pass(60, () => slow.take(200));
  assert.equal(slow.destroyed, false);
  await pass(9, () => {});
  assert.equal(slow.destroyed, true);
  close();
});
