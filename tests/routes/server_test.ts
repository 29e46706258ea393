/** The listener's limits, each shown on a real connection. */

import assert from "node:assert/strict";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { type Limits, listen, type Listener, PUBLIC_LIMITS } from "@/routes/server.ts";
import { setUp as fakes } from "./fakes.ts";
import { rawRequest } from "./raw.ts";

/** As far apart as they are in production, a hundred times faster. */
const FAST: Partial<Limits> = { headersMs: 200, requestMs: 600, keepAliveMs: 50 };

async function setUp(limits: Partial<Limits> = {}): Promise<Listener & AsyncDisposable> {
  const listener = await listen(fakes().app, {
    hostname: "127.0.0.1",
    port: 0,
    clock: systemClock,
    log: silentLog,
    limits,
  });
  return { ...listener, [Symbol.asyncDispose]: () => listener.close() };
}

Deno.test("the public limits are those of the design", () => {
  const { headersMs, requestMs, stalledMs, ...limits } = PUBLIC_LIMITS;
  const { keepAliveMs, connectionsMax, messageBytesMax } = limits;
  assert.deepEqual(
    { headersMs, requestMs, stalledMs, keepAliveMs, connectionsMax, messageBytesMax },
    {
      headersMs: 7_000,
      requestMs: 7_000,
      stalledMs: 7_000,
      keepAliveMs: 5_000,
      connectionsMax: 2_000,
      messageBytesMax: 65_536,
    },
  );
});

Deno.test("the app is served", async () => {
  await using server = await setUp();
  const response = await fetch(`http://127.0.0.1:${server.port}/health`);
  assert.deepEqual([response.status, (await response.json()).status], [200, "ok"]);
});

Deno.test("slow headers are closed with 408", async () => {
  await using server = await setUp(FAST);
  const drip = ["GET /health HTTP/1.1\r\nHost: a\r\n", ...Array(80).fill("X-A: 1\r\n")];
  const { text, tookMs } = await rawRequest(server.port, drip, 50);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.ok(tookMs >= 200 && tookMs < 2_000, `It took ${tookMs} ms`);
});

Deno.test("a connection that says nothing is closed", async () => {
  await using server = await setUp(FAST);
  const { tookMs } = await rawRequest(server.port, []);
  assert.ok(tookMs < 2_000, `It took ${tookMs} ms`);
});

Deno.test("who asks for much and reads nothing is dropped; who reads slowly is not", async () => {
  const big = "x".repeat(1024 * 1024);
  const server = await listen({ fetch: () => new Response(big) }, {
    hostname: "127.0.0.1",
    port: 0,
    clock: systemClock,
    log: silentLog,
    limits: { stalledMs: 400, unansweredMax: 20 },
  });
  const ask = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
  const greedy = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await greedy.write(ask);
  const slow = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await slow.write(ask);
  const bytes = new Uint8Array(512 * 1024);
  for (let at = 0; at < 12; at++) {
    assert.notEqual(await slow.read(bytes), null);
    await sleep(systemClock, 100); // slower than the sender, three times as long as it would be borne
  }
  let got = 0;
  const isDropped = async (): Promise<boolean> => {
    try {
      for (let n = await greedy.read(bytes); n !== null; n = await greedy.read(bytes)) got += n;
    } catch {
      // A reset is an end as well.
    }
    return got < 20 * big.length;
  };
  assert.ok(await isDropped());
  greedy.close();
  slow.close();
  await server.close();
});

Deno.test("one who reads a long JSON answer slowly gets all of it", async () => {
  const long = { text: "x".repeat(16 * 1024 * 1024) }; // more than the system holds for a peer
  const server = await listen({ fetch: () => Response.json(long) }, {
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
    limits: { stalledMs: 400 },
  });
  const slow = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await slow.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const bytes = new Uint8Array(512 * 1024);
  let got = 0;
  while (got < long.text.length) {
    const read = await slow.read(bytes);
    assert.notEqual(read, null, `Dropped after ${got} bytes`);
    got += read ?? 0;
    await sleep(systemClock, 50);
  }
  slow.close();
  await server.close();
});

Deno.test("requests may be sent ahead of their answers, but not many", async () => {
  await using server = await setUp({ unansweredMax: 3 });
  const ahead = async (count: number): Promise<number> => {
    const last = "GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const requests = "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count - 1) + last;
    const { text } = await rawRequest(server.port, [requests]);
    return text.match(/HTTP\/1\.1 200 /g)?.length ?? 0;
  };
  assert.deepEqual([await ahead(3), await ahead(4)], [3, 0]);
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  for (let turn = 0; turn < 20; turn++) assert.match(await ask(connection), /^HTTP\/1\.1 200 /);
  connection.close();
});

Deno.test("a slow body is closed with 408", async () => {
  await using server = await setUp(FAST);
  const head = "POST /twilio/voice HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
  const { text, tookMs } = await rawRequest(server.port, [head, ...Array(100).fill("a")], 50);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.ok(tookMs >= 600 && tookMs < 3_000, `It took ${tookMs} ms`);
});

Deno.test("an idle kept-alive connection is closed", async () => {
  await using server = await setUp(FAST);
  const { text, tookMs } = await rawRequest(server.port, [
    "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n",
  ]);
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.ok(tookMs < 3_000, `It took ${tookMs} ms`); // Node adds one second
});

Deno.test("a body over 1 MiB is refused, announced or not, without being read to its end", async () => {
  await using server = await setUp();
  const kilobyte = "a".repeat(1024);
  const announced = "POST /twilio/voice HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n";
  const chunked = "POST /twilio/voice HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const rows = [
    [announced, ...Array(1100).fill(kilobyte)],
    [chunked, ...Array(1100).fill(`400\r\n${kilobyte}\r\n`)],
  ];
  for (const pieces of rows) {
    const { text } = await rawRequest(server.port, pieces);
    assert.match(text, /^HTTP\/1\.1 413 /);
    assert.match(text, /"code":"too_large"/);
  }
});

Deno.test("what is not proper HTTP is refused", async () => {
  await using server = await setUp({ headerBytesMax: 4_096 });
  const rows = [
    ["GET /health HTTP/1.1\r\n\r\n", 400], // no Host
    ["\x00\x01\x02\r\n\r\n", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(5_000)}\r\n\r\n`, 431],
  ] as const;
  for (const [request, status] of rows) {
    const { text } = await rawRequest(server.port, [request]);
    assert.equal(text.slice(0, 13), `HTTP/1.1 ${status} `, request.slice(0, 30));
  }
});

Deno.test("connections over the bound of one address are closed unheard", async () => {
  await using server = await setUp({ connectionsPerAddressMax: 3 });
  await boundHolds(server.port);
});

Deno.test("over the bound of all, whoever has kept us waiting for longest makes room", async () => {
  await using server = await setUp({ connectionsMax: 3 });
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const open = [await connect(), await connect(), await connect()];
  const [idle, , silent] = open;
  assert.ok(idle && silent);
  assert.match(await ask(idle), /^HTTP\/1\.1 200 /); // from now on it keeps us waiting less long than the others
  const honest = await connect();
  assert.match(await ask(honest), /^HTTP\/1\.1 200 /);
  const isOpen = await Promise.all(open.map(async (connection) => await ask(connection) !== ""));
  assert.deepEqual(isOpen, [true, false, true]);
  for (const connection of [...open, honest]) connection.close();
});

Deno.test("connections over the bound of all are closed unheard while all others are being served", async () => {
  const { promise: asked, resolve: answer } = Promise.withResolvers<Response>();
  let count = 0;
  const reached = Promise.withResolvers<void>();
  const app = {
    fetch() {
      if (++count === 2) reached.resolve();
      return asked.then((response) => response.clone());
    },
  };
  const server = await listen(app, {
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
    limits: { connectionsMax: 2 },
  });
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const open = [await connect(), await connect()];
  const served = Promise.all(open.map(ask));
  await reached.promise;
  const over = await connect();
  assert.equal(await ask(over), "");
  answer(new Response("served"));
  for (const text of await served) assert.match(text, /served$/);
  for (const connection of [...open, over]) connection.close();
  await server.close();
});

/** Three connections are served, a fourth is not, and one that ends makes room. */
async function boundHolds(port: number): Promise<void> {
  const open = await Promise.all(
    Array.from({ length: 3 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  for (const connection of open) assert.match(await ask(connection), /^HTTP\/1\.1 200 /);
  const over = await Deno.connect({ hostname: "127.0.0.1", port });
  assert.equal(await ask(over), "");
  over.close();
  open.shift()?.close();
  for (let tries = 0; tries < 50; tries++) { // the server learns of the end a moment later
    const next = await Deno.connect({ hostname: "127.0.0.1", port });
    const answer = await ask(next);
    next.close();
    if (answer !== "") break;
    assert.ok(tries < 49, "There was no room");
  }
  for (const connection of open) connection.close();
}

async function ask(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  try {
    await connection.write(new TextEncoder().encode("GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"));
    return new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
  } catch {
    return ""; // reset
  }
}

Deno.test("a listener without sockets refuses every upgrade", async () => {
  await using server = await setUp();
  const { text } = await rawRequest(server.port, [
    "GET /media HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
  ]);
  assert.match(text, /^HTTP\/1\.1 404 /);
});

Deno.test("a port that is taken is an error", async () => {
  await using server = await setUp();
  const again = listen(fakes().app, {
    hostname: "127.0.0.1",
    port: server.port,
    clock: systemClock,
    log: silentLog,
  });
  await assert.rejects(again, /EADDRINUSE|in use/);
});
