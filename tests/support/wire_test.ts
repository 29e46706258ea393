/** A wire carries bytes as they are; cut, it holds them back and tells nobody. */

import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { sleep, systemClock } from "@/lib/clock.ts";
import { startWire } from "./wire.ts";

const QUIET_MS = 50;

async function setUp() {
  const echo = createServer((socket) => socket.pipe(socket).on("error", () => {}));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const wire = await startWire({ to: (echo.address() as AddressInfo).port });
  const clients: Socket[] = [];
  async function dial() {
    const socket = connect(wire);
    clients.push(socket);
    let heard = "";
    let closed = false;
    socket.on("data", (data) => heard += data.toString());
    socket.on("close", () => closed = true);
    await once(socket, "connect");
    return {
      say: (text: string) => void socket.write(text),
      async hears(text: string) {
        while (heard !== text) await once(socket, "data");
      },
      get heard() {
        return heard;
      },
      get closed() {
        return closed;
      },
    };
  }
  return {
    wire,
    dial,
    async close() {
      for (const client of clients) client.destroy();
      await wire.close();
      await new Promise<void>((resolve) => echo.close(() => resolve()));
    },
  };
}

Deno.test("a wire carries both ways", async () => {
  const { dial, close } = await setUp();
  const client = await dial();
  client.say("hello");
  await client.hears("hello");
  await close();
});

Deno.test("what is sent over a wire that is cut comes when it is healed, on old connections and new ones", async () => {
  const { wire, dial, close } = await setUp();
  const old = await dial();
  old.say("a");
  await old.hears("a");
  wire.cut();
  const fresh = await dial();
  old.say("b");
  fresh.say("c");
  await sleep(systemClock, QUIET_MS);
  assert.deepEqual([old.heard, old.closed, fresh.heard, fresh.closed], ["a", false, "", false]);
  wire.heal();
  await old.hears("ab");
  await fresh.hears("c");
  await close();
});
