/** The client of providers' sockets: how a connection opens, what bounds it, and how it ends. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { connectSocket, jsonOf } from "@/lib/providers/socket_client.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { type Peer, startProtocolServer } from "@/tests/support/protocol_server.ts";

/** A server that echoes; `peers` are its ends of the connections. */
async function setUp() {
  const clock = manualClock();
  const peers: Peer[] = [];
  const headers: Record<string, unknown>[] = [];
  const server = await startProtocolServer({
    accept(request) {
      headers.push({ ...request.headers });
      return (peer) => {
        peers.push(peer);
        return {
          text: (text) => peer.send({ echo: text }),
          bytes: (bytes) => peer.send(bytes),
          closed() {},
        };
      };
    },
  });
  const connect = (signal: AbortSignal = never(), url = server.url) =>
    connectSocket(url, { provider: "test", headers: { "X-Key": "secret" }, clock, signal });
  return { clock, server, peers, headers, connect };
}

Deno.test("a socket carries text and bytes both ways, and the headers of its handshake", async () => {
  const { server, headers, connect } = await setUp();
  const socket = await connect();
  socket.send("hello");
  socket.send(new Uint8Array([1, 2, 3]));
  const received: unknown[] = [];
  for await (const message of socket) {
    received.push(typeof message === "string" ? jsonOf(message) : message);
    if (received.length === 2) break;
  }
  assert.deepEqual(received, [{ echo: "hello" }, new Uint8Array([1, 2, 3])]);
  assert.equal(headers[0]?.["x-key"], "secret");
  await server.allClosed(); // leaving the loop closed it
  await server.close();
});

Deno.test("a message does not wait for the acknowledgement of the one before", async () => {
  const { server, connect } = await setUp();
  const socket = await connect();
  const started = systemClock.now();
  let echoes = 0;
  socket.send("a");
  socket.send("b");
  for await (const _ of socket) {
    if (++echoes % 2 === 0) socket.send("a");
    if (echoes % 2 === 0) socket.send("b");
    if (echoes === 40) break;
  }
  assert.ok(systemClock.now() - started < 600, "with Nagle's algorithm these take 800 ms");
  await server.close();
});

Deno.test("http and https name the same server as ws and wss", async () => {
  const { server, connect } = await setUp();
  const socket = await connect(never(), server.url.replace("http:", "ws:"));
  socket.close();
  await server.close();
});

Deno.test("what came before an orderly close is read to its end", async () => {
  const { server, peers, connect } = await setUp();
  const socket = await connect();
  peers[0]?.send({ n: 1 });
  peers[0]?.send({ n: 2 });
  peers[0]?.close(1000, "");
  await server.allClosed();
  assert.deepEqual(await readAll(socket), { items: ['{"n":1}', '{"n":2}'], error: null });
  await server.close();
});

Deno.test("closing twice, sending and expecting after the end do nothing", async () => {
  const { clock, server, connect } = await setUp();
  const socket = await connect();
  socket.close();
  socket.close();
  socket.send("late");
  socket.expectReply(10);
  assert.deepEqual(await readAll(socket), { items: [], error: null });
  assert.equal(clock.armed, 0);
  await server.allClosed();
  await server.close();
});

Deno.test("the first failure is the one that is told, and the loop throws it", async () => {
  const { server, connect } = await setUp();
  const socket = await connect();
  const error = new Error("source failed");
  socket.fail(error);
  socket.fail(new Error("another"));
  assert.deepEqual(await readAll(socket), { items: [], error });
  await server.close();
});

Deno.test("a reply that is owed must come; a message settles it, and so does taking it back", async () => {
  const { clock, server, connect } = await setUp();
  const socket = await connect();
  const reading = socket[Symbol.asyncIterator]();
  socket.expectReply(1_000);
  socket.send("hello");
  await reading.next();
  await clock.advance(5_000);

  socket.expectReply(1_000);
  socket.expectNothing();
  await clock.advance(5_000);

  socket.expectReply(1_000);
  await clock.advance(600);
  socket.expectReply(1_000); // it is owed already, since before
  await clock.advance(399);
  assert.equal(clock.armed, 1);
  await clock.advance(1);
  await assert.rejects(reading.next(), {
    code: "provider_failed",
    retryable: true,
    message: 'Provider "test" failed: no message came within 1000 ms',
  });
  await server.allClosed();
  await server.close();
});

Deno.test("a peer that sends more than is read is cut off at 8 MiB", async () => {
  const { server, peers, connect } = await setUp();
  const socket = await connect();
  const megabyte = new Uint8Array(1 << 20);
  for (let i = 0; i < 9; i++) peers[0]?.send(megabyte);
  await server.allClosed();
  const { items, error } = await readAll(socket);
  assert.deepEqual(items, []);
  assert.ok(error instanceof AppError);
  assert.match(error.message, /unread/);
  await server.close();
});

Deno.test("a message over 1 MiB is refused", async () => {
  const { server, peers, connect } = await setUp();
  const socket = await connect();
  peers[0]?.send(new Uint8Array((1 << 20) + 1));
  const { error } = await readAll(socket);
  assert.ok(error instanceof AppError);
  assert.equal(error.code, "provider_failed");
  await server.close();
});

Deno.test("nobody there is a failure worth another try", async () => {
  const { clock, server, connect } = await setUp();
  await server.close();
  await assert.rejects(connect(), { code: "provider_failed", retryable: true });
  assert.equal(clock.armed, 0);
});

Deno.test("an abort during the handshake ends it at once", async () => {
  const { clock, server, connect } = await setUp();
  server.failNext({ type: "silentHandshake" });
  const abort = new AbortController();
  const reason = new Error("hung up");
  const connecting = connect(abort.signal);
  await clock.settle();
  abort.abort(reason);
  await assert.rejects(connecting, reason);
  assert.equal(clock.armed, 0);
  await server.allClosed();
  await server.close();
});
