/** The way out: to the address that was checked, once, bounded in time and bytes, and never further. */

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import net, { type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { outboundHttp } from "@/lib/outbound_http.ts";
import type { OutboundRequest } from "@/lib/outbound.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { privateForms } from "@/tests/support/private_urls.ts";

const NEVER = new AbortController().signal;

function request(url: string, more: Partial<OutboundRequest> = {}): OutboundRequest {
  return { method: "POST", url, headers: {}, body: "{}", totalMs: 5_000, maxBytes: 1_000, ...more };
}

async function listening(server: Server | net.Server, host: string, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port; // it listens on TCP
}

/** A server that is allowed although it is on loopback, under a name that only our resolver knows. */
async function setUp(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const clock = manualClock();
  const server = createServer((request, response) => {
    response.on("error", () => {}); // the client left
    answer(request, response);
  });
  const port = await listening(server, "127.0.0.1");
  const resolved: string[] = [];
  const outbound = outboundHttp({
    allow: [`hooks.example.test:${port}`],
    clock,
    resolve(host) {
      resolved.push(host);
      return Promise.resolve(["127.0.0.1"]);
    },
  });
  return {
    clock,
    port,
    outbound,
    resolved,
    url: `http://hooks.example.test:${port}/in?x=1`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

Deno.test("a request goes to the resolved address, with the name as its host, and the answer comes back whole", async () => {
  const seen: unknown[] = [];
  await using set = await setUp(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    seen.push([request.method, request.url, request.headers.host, request.headers["x-mine"], body]);
    response.writeHead(201, { "X-Theirs": "yes" });
    response.end("done");
  });
  const headers = { "X-Mine": "1", Host: "evil.example", "Transfer-Encoding": "chunked" };
  const answer = await set.outbound.send(request(set.url, { headers, body: "é" }), NEVER);
  assert.deepEqual(seen, [["POST", "/in?x=1", `hooks.example.test:${set.port}`, "1", "é"]]);
  assert.deepEqual([answer.status, answer.headers["x-theirs"], answer.isCut], [201, "yes", false]);
  assert.equal(new TextDecoder().decode(answer.body), "done");
  assert.deepEqual(set.resolved, ["hooks.example.test"]);
  assert.equal(set.clock.armed, 0);
});

Deno.test("a redirect is an answer, and is not followed", async () => {
  let count = 0;
  await using set = await setUp((_, response) => {
    count++;
    response.writeHead(302, { Location: `http://127.0.0.1:${set.port}/inside` }).end();
  });
  assert.equal((await set.outbound.send(request(set.url), NEVER)).status, 302);
  assert.equal(count, 1);
});

Deno.test("a long answer is cut, and its rest is not read", async () => {
  await using set = await setUp((_, response) => {
    const more = (): void => void response.write("x".repeat(64 * 1024), () => more()); // without end
    more();
  });
  const { body, isCut } = await set.outbound.send(request(set.url, { maxBytes: 10 }), NEVER);
  assert.deepEqual([new TextDecoder().decode(body), isCut], ["x".repeat(10), true]);
});

Deno.test("who does not answer, or not to the end, is given up in time", async () => {
  for (const start of [() => {}, (response: ServerResponse) => void response.write("half")]) {
    const asked = Promise.withResolvers<void>();
    await using set = await setUp((_, response) => {
      start(response);
      asked.resolve();
    });
    const sent = set.outbound.send(request(set.url), NEVER);
    sent.catch(() => {});
    await asked.promise;
    await set.clock.advance(5_000);
    await assert.rejects(sent, { code: "provider_failed", message: /within 5000 ms/ });
    assert.equal(set.clock.armed, 0);
  }
});

Deno.test("an abort ends a request with its reason", async () => {
  const asked = Promise.withResolvers<void>();
  await using set = await setUp(() => asked.resolve());
  const controller = new AbortController();
  const sent = set.outbound.send(request(set.url), controller.signal);
  sent.catch(() => {});
  await asked.promise;
  const reason = new Error("the desk has stopped");
  controller.abort(reason);
  await assert.rejects(sent, reason);
});

Deno.test("a lost connection, a refused one and huge headers are failures of the destination", async () => {
  await using lost = await setUp((request) => request.socket.destroy());
  await assert.rejects(lost.outbound.send(request(lost.url), NEVER), { code: "provider_failed" });
  await using huge = await setUp((_, response) => {
    response.writeHead(200, { "X-Huge": "x".repeat(60_000) }).end("hidden");
  });
  await assert.rejects(huge.outbound.send(request(huge.url), NEVER), { code: "provider_failed" });
  const gone = await setUp(() => {});
  await gone[Symbol.asyncDispose]();
  await assert.rejects(gone.outbound.send(request(gone.url), NEVER), { code: "provider_failed" });
});

Deno.test("headers cannot carry a second request", async () => {
  await using set = await setUp((_, response) => response.end());
  const headers = { "X-Mine": "1\r\n\r\nGET /inside HTTP/1.1" };
  await assert.rejects(set.outbound.send(request(set.url, { headers }), NEVER), {
    code: "provider_failed",
  });
});

Deno.test("a name is refused when any of its addresses is private, and when it has none", async () => {
  const rows: [readonly string[], string][] = [
    [["127.0.0.1"], "invalid"],
    [["93.184.216.34", "10.0.0.1"], "invalid"],
    [["2606:4700::1111", "::1"], "invalid"],
    [["::ffff:127.0.0.1"], "invalid"],
    [["64:ff9b::7f00:1"], "invalid"],
    [["not an address"], "invalid"],
    [Array.from({ length: 33 }, () => "93.184.216.34"), "invalid"],
    [[], "provider_failed"],
  ];
  for (const [addresses, code] of rows) {
    const outbound = outboundHttp({
      allow: [],
      clock: manualClock(),
      resolve: () => Promise.resolve(addresses),
    });
    await assert.rejects(outbound.send(request("https://rebind.example.com/"), NEVER), { code });
  }
  const nowhere = outboundHttp({
    allow: [],
    clock: manualClock(),
    resolve: () => Promise.reject(new Error("ENOTFOUND")),
  });
  await assert.rejects(nowhere.send(request("https://nowhere.example.com/"), NEVER), {
    code: "provider_failed",
  });
});

Deno.test("a name is resolved once: what it leads to a moment later is never asked", async () => {
  let count = 0;
  const addresses = ["127.0.0.1", "127.0.0.2"];
  const canary = net.createServer();
  let strays = 0;
  canary.on("connection", () => strays++);
  await using set = await setUp((_, response) => response.end("good"));
  await listening(canary, "127.0.0.2", set.port);
  const outbound = outboundHttp({
    allow: [`hooks.example.test:${set.port}`],
    clock: set.clock,
    resolve: () => Promise.resolve([addresses[count++] ?? "127.0.0.2"]),
  });
  const { body } = await outbound.send(request(set.url), NEVER);
  assert.deepEqual([new TextDecoder().decode(body), count, strays], ["good", 1, 0]);
  await new Promise<void>((resolve) => canary.close(() => resolve()));
});

Deno.test("canaries on every address of this machine see none of 300 forms, nor of names that lead to them", async () => {
  let connections = 0;
  const servers: net.Server[] = [];
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    .filter(({ address }) => !address.startsWith("fe80")).map(({ address }) => address);
  const hosts = [...new Set(["127.0.0.1", "127.0.0.2", "127.1.2.3", ...own])];
  let port = 0;
  for (const host of hosts) {
    const canary = net.createServer((socket) => {
      connections++;
      socket.destroy();
    });
    try {
      port = await listening(canary, host, port);
      servers.push(canary);
    } catch {
      // another process has this port on this address: the others stand for it
    }
  }
  assert.ok(servers.length >= 3);
  const outbound = outboundHttp({ allow: [], clock: manualClock() }); // the system's own resolver
  for (const url of privateForms(port)) {
    await assert.rejects(outbound.send(request(url), NEVER), { code: "invalid" }, url);
  }
  for (const address of hosts) {
    const named = outboundHttp({
      allow: [],
      clock: manualClock(),
      resolve: () => Promise.resolve([address]),
    });
    const url = `https://named.example.com:${port}/`;
    await assert.rejects(named.send(request(url), NEVER), { code: "invalid" }, address);
  }
  // That the canaries sing is shown by one that is meant to be reached.
  const allowed = outboundHttp({ allow: [`127.0.0.1:${port}`], clock: manualClock() });
  await assert.rejects(allowed.send(request(`http://127.0.0.1:${port}/`), NEVER));
  assert.equal(connections, 1);
  await Promise.all(servers.map((it) => new Promise<void>((resolve) => it.close(() => resolve()))));
});
