/** The media socket's door, with real sockets: nobody comes in but by a signed path, once, and politely. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";
import { type AttachAnswer, media, type MediaPath } from "@/routes/media.ts";
import { type Limits, listen } from "@/routes/server.ts";
import { AUTH_TOKEN, CALL, PUBLIC_URL } from "./fakes.ts";
import { rawRequest } from "./raw.ts";

const PATH = `/media/n1/${CALL}/3/0123456789abcdef0123456789abcdef`;

interface Door extends AsyncDisposable {
  readonly port: number;
  readonly attached: MediaPath[];
  /** The next socket that came in, the server's end. */
  next(): Promise<MessageSocket>;
  open(
    path?: string,
    options?: { readonly signedAs?: string; readonly token?: string },
  ): Promise<MessageSocket>;
}

async function setUp(options: {
  readonly attach?: AttachAnswer | (() => Promise<AttachAnswer>);
  readonly authToken?: string | null;
  readonly authTokenOf?: (callId: string) => Promise<string>;
  readonly limits?: Partial<Limits>;
} = {}): Promise<Door> {
  const { attach = "ok", authToken = AUTH_TOKEN } = options;
  const attached: MediaPath[] = [];
  const came: MessageSocket[] = [];
  let waiting: ((socket: MessageSocket) => void) | undefined;
  const listener = await listen({ fetch: () => new Response("app") }, {
    hostname: "127.0.0.1",
    port: 0,
    clock: systemClock,
    log: silentLog,
    limits: options.limits ?? {},
    upgrade: media({
      publicUrl: PUBLIC_URL,
      authTokenOf: options.authTokenOf ?? (() => Promise.resolve(authToken)),
      attach(path) {
        attached.push(path);
        return typeof attach === "string" ? Promise.resolve(attach) : attach();
      },
      connected(callId, socket) {
        assert.equal(callId, CALL);
        if (waiting === undefined) came.push(socket);
        else waiting(socket);
      },
      log: silentLog,
    }),
  });
  return {
    port: listener.port,
    attached,
    next() {
      const first = came.shift();
      if (first !== undefined) return Promise.resolve(first);
      return new Promise((resolve) => waiting = resolve);
    },
    open(path = PATH, { signedAs = `wss://voice.example.com${path}`, token = AUTH_TOKEN } = {}) {
      const headers = { "X-Twilio-Signature": signatureOf(token, signedAs) };
      return openSocket(`ws://127.0.0.1:${listener.port}${path}`, { headers });
    },
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

async function refusal(opened: Promise<MessageSocket>): Promise<number | undefined> {
  const error = await opened.then(() => null, (error: unknown) => error);
  assert.ok(error instanceof AppError, "It was let in");
  return error.status;
}

/** How a socket ends. */
function ending(socket: MessageSocket): Promise<[number, string]> {
  return new Promise((resolve) =>
    socket.listen({ message() {}, closed: (code, reason) => resolve([code, reason]) })
  );
}

Deno.test("a signed socket comes in, and its messages go both ways", async () => {
  await using door = await setUp();
  const client = await door.open();
  const server = await door.next();
  const { node, callId, epoch, token } = door.attached[0] ?? {};
  assert.deepEqual([node, callId, epoch], ["n1", CALL, 3]);
  assert.equal(token, "0123456789abcdef0123456789abcdef");
  client.send("early");
  const heard = await new Promise((resolve) => {
    server.listen({ message: (data) => (server.send(`echo ${data}`), resolve(data)), closed() {} });
  });
  assert.equal(heard, "early");
  const echo = await new Promise((resolve) => client.listen({ message: resolve, closed() {} }));
  assert.equal(echo, "echo early");
});

Deno.test("a socket is taken in every form in which Twilio may have signed its URL", async () => {
  await using door = await setUp();
  for (const signedAs of [`https://voice.example.com:443${PATH}/`, `${PUBLIC_URL}${PATH}`]) {
    await door.open(PATH, { signedAs });
    await door.open(`${PATH}/`, { signedAs });
  }
  assert.equal(door.attached.length, 4);
});

Deno.test("a socket without Twilio's signature touches no call", async () => {
  await using door = await setUp();
  const url = `ws://127.0.0.1:${door.port}${PATH}`;
  assert.equal(await refusal(openSocket(url)), 401);
  const other = PATH.replace("/3/", "/4/");
  const signedAs = `wss://voice.example.com${other}`;
  assert.equal(await refusal(door.open(PATH, { signedAs })), 403);
  assert.equal(await refusal(door.open(`${PATH}?a=1`)), 404);
  assert.equal(door.attached.length, 0);
});

Deno.test("a socket must be signed by the account that its call came by", async () => {
  const asked: string[] = [];
  await using door = await setUp({
    authTokenOf(callId) {
      asked.push(callId);
      return Promise.resolve("the company's own");
    },
  });
  const signedAs = `wss://voice.example.com${PATH}`;
  assert.equal(await refusal(door.open()), 403); // by the house's
  assert.equal(door.attached.length, 0);
  await door.open(PATH, { signedAs, token: "the company's own" });
  assert.deepEqual([asked, door.attached.length], [[CALL, CALL], 1]);
});

Deno.test("a socket that leads to no call is refused before it is one", async () => {
  const paths = ["/", "/media", PATH.replace(CALL, "call_1"), PATH.replace("/3/", "/x/")];
  await using door = await setUp();
  for (const path of paths) assert.equal(await refusal(door.open(path)), 404);
  assert.equal(door.attached.length, 0);
});

Deno.test("what the call says decides: refused, taken, missing, or not set up", async () => {
  const rows = [["refused", 403], ["taken", 409], ["missing", 404]] as const;
  for (const [attach, status] of rows) {
    await using door = await setUp({ attach });
    assert.equal(await refusal(door.open()), status);
  }
  await using off = await setUp({ authToken: null });
  assert.equal(await refusal(off.open()), 503);
});

Deno.test("a failure while a socket is let in is told, and harms nothing else", async () => {
  const failures: [() => Promise<AttachAnswer>, number][] = [
    [() => Promise.reject(new AppError("unknown_outcome", "Late")), 504],
    [() => Promise.reject(new Error("A bug")), 500],
  ];
  for (const [attach, status] of failures) {
    await using door = await setUp({ attach });
    assert.equal(await refusal(door.open()), status);
    assert.equal(await (await fetch(`http://127.0.0.1:${door.port}/`)).text(), "app");
  }
});

Deno.test("a second socket for a call is refused while the first lives on", async () => {
  const answers: AttachAnswer[] = ["ok", "taken"];
  await using door = await setUp({ attach: () => Promise.resolve(answers.shift() ?? "missing") });
  const first = await door.open();
  assert.equal(await refusal(door.open()), 409);
  const server = await door.next();
  const heard = new Promise((resolve) => server.listen({ message: resolve, closed() {} }));
  first.send("still here");
  assert.equal(await heard, "still here");
});

Deno.test("a carrier's sockets count no longer against its address, refused ones do", async () => {
  await using door = await setUp({ limits: { connectionsPerAddressMax: 2 } });
  for (let i = 0; i < 5; i++) await door.open();
  const idle = await Promise.all(
    [1, 2].map(() => Deno.connect({ hostname: "127.0.0.1", port: door.port })),
  );
  assert.equal(await refusal(door.open()), undefined); // closed unheard
  for (const connection of idle) connection.close();
});

Deno.test("a huge message closes the socket with 1009, whole or in fragments", async () => {
  await using door = await setUp();
  const whole = await door.open();
  whole.send("x".repeat(64 * 1024));
  const server = await door.next();
  const heard = new Promise((resolve) =>
    server.listen({ message: (data) => resolve(data.length), closed() {} })
  );
  assert.equal(await heard, 64 * 1024);
  whole.send("x".repeat(64 * 1024 + 1));
  assert.equal((await ending(whole))[0], 1009);

  const fragments = await rawSocket(door);
  const kilobyte = new Uint8Array(1024).fill(0x78);
  await fragments.frame(0x01, kilobyte); // text, more to come
  for (let i = 0; i < 64; i++) await fragments.frame(0x00, kilobyte);
  assert.equal(await fragments.closeCode(), 1009);
});

Deno.test("a binary message closes the socket with 1008", async () => {
  await using door = await setUp();
  const client = await door.open();
  client.send(new Uint8Array([1, 2, 3]));
  assert.deepEqual(await ending(client), [1008, "Binary message"]);
});

Deno.test("a flood closes the socket with 1008, after a burst that is allowed", async () => {
  await using door = await setUp({ limits: { messagesPerSecond: 1, messagesBurst: 50 } });
  const client = await door.open();
  const server = await door.next();
  let heard = 0;
  server.listen({ message: () => heard++, closed() {} });
  for (let i = 0; i < 100; i++) client.send("x");
  assert.deepEqual(await ending(client), [1008, "Too many messages"]);
  assert.ok(heard >= 50 && heard < 60, `${heard} were heard`);
});

Deno.test("what arrives before anybody listens is bounded", async () => {
  await using door = await setUp();
  const client = await door.open();
  for (let i = 0; i < 5; i++) client.send("x".repeat(64 * 1024));
  assert.deepEqual(await ending(client), [1008, "Too much before anybody listens"]);
});

Deno.test("a socket that neither speaks nor answers a ping is dropped", async () => {
  await using door = await setUp({ limits: { silenceMs: 50 } });
  const client = await rawSocket(door); // answers nothing by itself
  const server = await door.next();
  assert.deepEqual(await ending(server), [1006, ""]);
  assert.equal(await client.firstOpcode(), 0x9);
});

Deno.test("a socket that only answers pings lives on", async () => {
  await using door = await setUp({ limits: { silenceMs: 100 } });
  const client = await door.open();
  const server = await door.next();
  let ended = false;
  server.listen({ message() {}, closed: () => ended = true });
  await sleep(systemClock, 500);
  assert.equal(ended, false);
  client.close(1000, "");
});

Deno.test("an upgrade that is none is refused", async () => {
  await using door = await setUp();
  const signature = signatureOf(AUTH_TOKEN, `${PUBLIC_URL}${PATH}`);
  const head = [
    `GET ${PATH} HTTP/1.1`,
    "Host: a",
    `X-Twilio-Signature: ${signature}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
  ];
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  const rows = [
    [...head], // no key
    [...head, "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"],
    [...head, key, "Sec-WebSocket-Version: 7"],
    [head[0]?.replace("GET", "POST") ?? "", ...head.slice(1), key, "Sec-WebSocket-Version: 13"],
  ];
  for (const lines of rows) {
    const answer = await rawRequest(door.port, [`${lines.join("\r\n")}\r\n\r\n`]);
    assert.match(answer.text, /^HTTP\/1\.1 4\d\d /, lines.join("\n"));
  }
});

/** A client that sends frames by hand, masked with zeroes. */
async function rawSocket(door: Door): Promise<{
  frame(opcode: number, payload: Uint8Array): Promise<void>;
  closeCode(): Promise<number>;
  firstOpcode(): Promise<number>;
}> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: door.port });
  const signature = signatureOf(AUTH_TOKEN, `${PUBLIC_URL}${PATH}`);
  const lines = [
    ...[`GET ${PATH} HTTP/1.1`, "Host: a", `X-Twilio-Signature: ${signature}`],
    ...["Upgrade: websocket", "Connection: Upgrade"],
    ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""],
  ];
  await connection.write(new TextEncoder().encode(lines.join("\r\n")));
  const buffer = new Uint8Array(4096);
  const headLength = await connection.read(buffer) ?? 0;
  assert.match(new TextDecoder().decode(buffer.subarray(0, headLength)), /^HTTP\/1\.1 101 /);

  async function rest(): Promise<Uint8Array> {
    const bytes: number[] = [];
    for await (const chunk of connection.readable) bytes.push(...chunk);
    return new Uint8Array(bytes);
  }
  return {
    async frame(opcode, payload) {
      const head = [opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0];
      await connection.write(new Uint8Array([...head, ...payload]));
    },
    async closeCode() {
      const bytes = await rest();
      assert.equal(bytes[0], 0x88);
      return ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
    },
    firstOpcode: async () => ((await rest())[0] ?? 0) & 0x0f,
  };
}
