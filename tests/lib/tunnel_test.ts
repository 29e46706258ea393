/** Tunnels over real connections: bytes go both ways as they are, and every wait has an end. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newTunnels, TUNNEL_BOUNDS, type TunnelBounds } from "@/lib/tunnel.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
const HOST = "127.0.0.1";

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return (server.address() as AddressInfo).port; // a listener on a port has one
}

interface Line {
  readonly client: Socket;
  readonly opened: Promise<number>;
  readonly tunnels: ReturnType<typeof newTunnels>;
  /** As the bounds of a listener do. */
  dropPeers(): void;
}

/** A client whose connection is carried to a server that does with it what a test says. */
async function setUp(
  answer: (socket: Socket) => void,
  { clock = manualClock(), bounds = {} }: {
    readonly clock?: Clock;
    readonly bounds?: Partial<TunnelBounds>;
  } = {},
): Promise<Line & AsyncDisposable> {
  const sockets: Socket[] = [];
  const peers: Socket[] = [];
  const keep = (socket: Socket): void => {
    sockets.push(socket);
    socket.on("error", () => {});
  };
  const far = createServer({ noDelay: true }, (socket) => {
    keep(socket);
    answer(socket);
  });
  const tunnels = newTunnels(clock, { ...TUNNEL_BOUNDS, ...bounds });
  const to = { host: HOST, port: await listening(far) };
  const { promise: opened, resolve, reject } = Promise.withResolvers<number>();
  const near = createServer({ noDelay: true, allowHalfOpen: true }, (peer) => {
    keep(peer);
    peers.push(peer);
    tunnels.open(peer, new TextEncoder().encode("hello\r\n"), to).then(resolve, reject);
  });
  const client = connect({ host: HOST, port: await listening(near), noDelay: true });
  keep(client);
  return {
    client,
    opened,
    tunnels,
    dropPeers: () => peers.forEach((peer) => void peer.destroy()),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      for (const server of [near, far]) {
        await new Promise<void>((done) => server.close(() => done()));
      }
    },
  };
}

/** Resolves with all that came, once `bytes` of it are there or the connection has ended. */
function received(socket: Socket, bytes = Infinity): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (data) => {
      text += data.toString();
      if (text.length >= bytes) resolve(text);
    });
    socket.on("close", () => resolve(text));
  });
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.closed ? resolve() : socket.once("close", () => resolve()));

/** Lets the network's callbacks run until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await manualClock().settle();
}

Deno.test("what a peer said goes first, then bytes both ways; one end closes the other, and all is counted", async () => {
  let server: Socket | undefined;
  await using line = await setUp((socket) => {
    server = socket;
    socket.once("data", (data) => {
      socket.write(SWITCHED + data);
      socket.on("data", (more) => void socket.write(`<${more}>`));
    });
  });
  assert.equal(await line.opened, 101);
  const all = received(line.client, SWITCHED.length + 13);
  line.client.write("abcd");
  assert.equal(await all, `${SWITCHED}hello\r\n<abcd>`);
  assert.equal(line.tunnels.metrics().open, 1);
  line.client.destroy();
  await until(() => server !== undefined);
  if (server !== undefined) await closed(server);
  const { open, opened, ends, bytesThere, bytesBack } = line.tunnels.metrics();
  assert.deepEqual([open, opened, ends.ended], [0, 1, 1]);
  assert.deepEqual([bytesThere, bytesBack], [11, SWITCHED.length + 13]);
});

Deno.test("the other machine's end closes the peer's, behind all that it said", async () => {
  await using line = await setUp((socket) => {
    socket.once("data", () => socket.end(SWITCHED + "x".repeat(100_000)));
  });
  assert.equal((await received(line.client)).length, SWITCHED.length + 100_000);
});

Deno.test("a refusal is passed on as it is", async () => {
  const refusal = "HTTP/1.1 403 Refused\r\nConnection: close\r\n\r\n{}";
  await using line = await setUp((socket) => void socket.once("data", () => socket.end(refusal)));
  assert.equal(await line.opened, 403);
  assert.equal(await received(line.client), refusal);
  assert.equal(line.tunnels.metrics().refused, 1);
});

Deno.test("a machine that refuses, hangs or speaks something else is not there, and the peer is told nothing", async () => {
  const rows: readonly [(socket: Socket) => void, RegExp][] = [
    [(socket) => void socket.destroy(), /closed the connection|reset/],
    [() => {}, /in time/],
    [(socket) => void socket.write("x".repeat(2_000)), /does not speak HTTP/],
  ];
  for (const [answer, why] of rows) {
    const clock = manualClock();
    await using line = await setUp(answer, { clock });
    let heard = 0;
    line.client.on("data", (data) => heard += data.length);
    const failed = assert.rejects(line.opened, (error) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, "actor_stopped");
      return why.test(error.message);
    });
    if (String(why) === "/in time/") {
      await until(() => clock.armed > 0);
      await clock.advance(TUNNEL_BOUNDS.answerMs);
    }
    await failed;
    assert.equal(heard, 0);
    assert.equal(line.tunnels.metrics().unreachable, 1);
    assert.equal(clock.armed, 0);
  }
});

Deno.test("a peer that is dropped while it waits takes nobody's place", async () => {
  const clock = manualClock();
  await using line = await setUp(() => {}, { clock });
  await until(() => clock.armed > 0);
  line.dropPeers();
  await assert.rejects(line.opened, /the peer has gone/);
  assert.equal(clock.armed, 0);
});

Deno.test("so many wait for an answer at most", async () => {
  await using line = await setUp(() => {}, { bounds: { openingMax: 0 } });
  await assert.rejects(line.opened, (error) => error instanceof AppError && error.code === "busy");
});

Deno.test("a tunnel in which nothing goes either way is closed; one in which something does is not", async () => {
  const clock = manualClock();
  let server: Socket | undefined;
  await using line = await setUp((socket) => {
    server = socket;
    socket.once("data", () => socket.write(SWITCHED));
  }, { clock });
  await line.opened;
  await clock.advance(TUNNEL_BOUNDS.idleMs - 1);
  server?.write("ping");
  await received(line.client, SWITCHED.length + 4);
  await clock.advance(TUNNEL_BOUNDS.idleMs - 1);
  assert.equal(line.tunnels.metrics().open, 1);
  await clock.advance(1);
  await closed(line.client);
  assert.equal(line.tunnels.metrics().ends.idle, 1);
  assert.equal(clock.armed, 0);
});

Deno.test("a side that takes nothing is not read for, and both are closed when it goes on so", async () => {
  const clock = manualClock();
  const block = Buffer.alloc(256 * 1024, "x");
  let sent = 0;
  await using line = await setUp((socket) => {
    socket.once("data", () => {
      socket.write(SWITCHED);
      const fill = (): void => {
        while (sent < 64 * 1024 * 1024 && socket.write(block)) sent += block.length;
      };
      socket.on("drain", fill);
      fill();
    });
  }, { clock });
  await line.opened;
  line.client.pause();
  let before = -1;
  await until(() => { // what the system's buffers hold, and no more
    const isStill = before === sent && clock.armed > 1;
    before = sent;
    return isStill;
  });
  const { bytesBack } = line.tunnels.metrics();
  assert.ok(bytesBack < 32 * 1024 * 1024, `${bytesBack} bytes were taken for nobody`);
  await clock.advance(TUNNEL_BOUNDS.stalledMs);
  assert.equal(line.tunnels.metrics().ends.stalled, 1);
  line.client.resume();
  await closed(line.client);
  assert.equal(clock.armed, 0);
});
