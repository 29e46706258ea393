/** The guarded door, with real `ws` sockets on both sides. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { systemClock } from "@/lib/clock.ts";
import { boundConnections } from "@/lib/connections.ts";
import { AppError } from "@/lib/errors.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";
import { acceptSockets, bind } from "@/lib/socket_server.ts";

const BOUNDS = {
  ...{ max: 10, perAddressMax: 10, unansweredMax: 8 },
  ...{ stalledMs: 8_000, stalledBytes: 1, clock: systemClock },
};

interface Pair extends AsyncDisposable {
  readonly client: MessageSocket;
  readonly server: MessageSocket;
}

/** Two ends of one connection. */
async function setUp(): Promise<Pair> {
  const { promise: opened, resolve } = Promise.withResolvers<MessageSocket>();
  const http = createServer();
  const connections = boundConnections(http, BOUNDS);
  acceptSockets(http, {
    messageBytesMax: 1024,
    rules: {
      clock: systemClock,
      silenceMs: 60_000,
      rate: { perSecond: 1_000, burst: 1_000 },
    },
    failed: (error) => assert.fail(String(error)),
  }, () => Promise.resolve({ type: "accept", isBinary: true, opened: resolve }));
  await bind(http, { hostname: "127.0.0.1", port: 0 });
  const client = await openSocket(`ws://127.0.0.1:${portOf(http.address())}/`);
  const server = await opened;
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => http.close(resolve));
      connections.drop();
      await closed;
    },
  };
}

function portOf(address: unknown): number {
  assert.ok(typeof address === "object" && address !== null && "port" in address);
  return Number(address.port);
}

interface Heard {
  readonly messages: (string | Uint8Array)[];
  readonly closes: [number, string][];
  readonly closed: Promise<void>;
}

function listenTo(socket: MessageSocket): Heard {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const heard: Heard = { messages: [], closes: [], closed };
  socket.listen({
    message: (data) => heard.messages.push(data),
    closed(code, reason) {
      heard.closes.push([code, reason]);
      resolve();
    },
  });
  return heard;
}

Deno.test("socket carries text and bytes, in order", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const heard = listenTo(server);
  client.send("é");
  client.send(new Uint8Array([0, 255]));
  client.send("");
  client.close(1000, "done");
  await heard.closed;
  assert.deepEqual(heard.messages, ["é", new Uint8Array([0, 255]), ""]);
  assert.deepEqual(heard.closes, [[1000, "done"]]);
});

Deno.test("socket holds what came before anybody listened, its end too", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const own = listenTo(client);
  client.send("a");
  client.send("b");
  client.close(1001, "gone");
  await own.closed; // so the server has heard it all
  const heard = listenTo(server);
  assert.deepEqual(heard.messages, ["a", "b"]);
  await heard.closed;
  assert.deepEqual(heard.closes, [[1001, "gone"]]);
});

Deno.test("socket tells each end once, however often it is closed", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const [there, here] = [listenTo(server), listenTo(client)];
  server.close(1008, "wrong");
  server.close(1000, "");
  server.send("late");
  await Promise.all([there.closed, here.closed]);
  client.send("later");
  client.close(1000, "");
  assert.deepEqual([there.closes, here.closes], [[[1008, "wrong"]], [[1008, "wrong"]]]);
  assert.deepEqual([there.messages, here.messages], [[], []]);
});

Deno.test("socket delivers no message after its close", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const heard = listenTo(server);
  client.send("on its way");
  server.close(1000, "");
  await heard.closed;
  assert.deepEqual(heard.messages, []);
});

Deno.test("socket that is closed with 1006 drops without a word", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const [there, here] = [listenTo(server), listenTo(client)];
  client.close(1006, "");
  await Promise.all([there.closed, here.closed]);
  assert.deepEqual([there.closes[0]?.[0], here.closes[0]?.[0]], [1006, 1006]);
});

Deno.test("socket says how the peer broke the protocol", async () => {
  await using pair = await setUp();
  const { client, server } = pair;
  const [there, here] = [listenTo(server), listenTo(client)];
  client.send("x".repeat(1025));
  await Promise.all([there.closed, here.closed]);
  assert.deepEqual(there.closes, [[1006, "Max payload size exceeded"]]);
  assert.equal(here.closes[0]?.[0], 1009);
});

Deno.test("socket that cannot be opened says why", async () => {
  const http = createServer((_, response) => response.writeHead(429).end());
  await bind(http, { hostname: "127.0.0.1", port: 0 });
  const url = `ws://127.0.0.1:${portOf(http.address())}/`;
  const error = await openSocket(url).catch((error: unknown) => error);
  assert.ok(error instanceof AppError);
  assert.deepEqual([error.code, error.status, error.retryable], ["provider_failed", 429, true]);
  const closed = new Promise((resolve) => http.close(resolve));
  http.closeAllConnections();
  await closed;
  const nobody = await openSocket(url).catch((error: unknown) => error);
  assert.ok(nobody instanceof AppError);
  assert.deepEqual([nobody.status, nobody.retryable], [undefined, true]);
});

Deno.test("socket that is not open yet is left when the signal aborts", async () => {
  const http = createServer();
  const connections = boundConnections(http, BOUNDS);
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  acceptSockets(http, {
    messageBytesMax: 1024,
    rules: {
      clock: systemClock,
      silenceMs: 60_000,
      rate: { perSecond: 1, burst: 1 },
    },
    failed() {},
  }, () => {
    resolve();
    return new Promise(() => {});
  });
  await bind(http, { hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const url = `ws://127.0.0.1:${portOf(http.address())}/`;
  const opened = openSocket(url, { signal: controller.signal }).catch((error: unknown) => error);
  await reached;
  const reason = new AppError("unknown_outcome", "Deadline");
  controller.abort(reason);
  assert.equal(await opened, reason);
  const closed = new Promise((resolve) => http.close(resolve));
  connections.drop();
  await closed;
});

Deno.test("what is sent in one go leaves in one packet, before a close and before a drop", async () => {
  const { promise: opened, resolve } = Promise.withResolvers<MessageSocket>();
  const http = createServer();
  acceptSockets(http, {
    messageBytesMax: 1024,
    rules: { clock: systemClock, silenceMs: 60_000, rate: { perSecond: 1_000, burst: 1_000 } },
    failed: (error) => assert.fail(String(error)),
  }, () => Promise.resolve({ type: "accept", opened: resolve }));
  await bind(http, { hostname: "127.0.0.1", port: 0 });
  const raw = connect(portOf(http.address()), "127.0.0.1");
  raw.write(
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${new Uint8Array(16).toBase64()}\r\n\r\n`,
  );
  const server = await opened;
  const packets: string[] = [];
  const head = Promise.withResolvers<void>();
  raw.on("data", (data) => {
    packets.push(data.toString("latin1"));
    head.resolve();
  });
  await head.promise;
  packets.length = 0;
  const ended = new Promise((resolve) => raw.on("close", resolve));
  for (const text of ["one", "two", "three"]) server.send(text);
  server.close(1006, "");
  await ended;
  assert.deepEqual(packets, ["\x81\x03one\x81\x03two\x81\x05three"]);
  await new Promise((resolve) => http.close(resolve));
});
