/** Requests to providers: every wait is bounded, and every failure is of one kind. */

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { limitedFetch, providerError } from "@/lib/providers/http.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const LIMITS = { headMs: 1_000, idleMs: 2_000, totalMs: 5_000, maxBytes: 1_000 };

async function setUp(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const clock = manualClock();
  const asked = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    response.on("error", () => {}); // the client left
    asked.resolve();
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`; // it listens on TCP
  const fetch = limitedFetch({ provider: "test", clock, ...LIMITS });
  return {
    clock,
    url,
    fetch,
    asked: asked.promise,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const failed = (message: RegExp) => ({ code: "provider_failed", retryable: true, message });

Deno.test("an answer comes through with its status, headers and body, and no timer is left", async () => {
  await using set = await setUp((_, response) => {
    response.writeHead(429, { "Retry-After": "3" });
    response.end("slow down");
  });
  const response = await set.fetch(set.url);
  assert.equal(response.status, 429);
  assert.equal(response.headers.get("retry-after"), "3");
  assert.equal(await response.text(), "slow down");
  assert.equal(set.clock.armed, 0);
});

Deno.test("an answer without a body leaves no timer", async () => {
  await using set = await setUp((_, response) => response.writeHead(204).end());
  assert.equal((await set.fetch(set.url)).status, 204);
  assert.equal(set.clock.armed, 0);
});

Deno.test("a head that does not come ends the wait", async () => {
  await using set = await setUp(() => {});
  const answer = assert.rejects(set.fetch(set.url), failed(/did not answer within 1000 ms/));
  await set.asked;
  await set.clock.advance(1_000);
  await answer;
  assert.equal(set.clock.armed, 0);
});

Deno.test("a body that does not go on ends the read", async () => {
  await using set = await setUp((_, response) => response.write("one"));
  const response = await set.fetch(set.url);
  const reader = response.body?.getReader();
  assert.equal(new TextDecoder().decode((await reader?.read())?.value), "one");
  const read = assert.rejects(
    async () => await reader?.read(),
    failed(/did not go on within 2000/),
  );
  await set.clock.advance(2_000);
  await read;
  assert.equal(set.clock.armed, 0);
});

Deno.test("a body that trickles on ends at the total", async () => {
  let trickle = (): void => {};
  await using set = await setUp((_, response) => {
    trickle = () => void response.write(".");
    trickle();
  });
  const response = await set.fetch(set.url);
  const reader = response.body?.getReader();
  const read = async (): Promise<void> => {
    for (let waited = 0; waited <= 5_000; waited += 1_000) {
      await reader?.read();
      await set.clock.advance(1_000);
      trickle();
    }
  };
  await assert.rejects(read, failed(/did not end within 5000 ms/));
  assert.equal(set.clock.armed, 0);
});

Deno.test("a body over the cap ends the read", async () => {
  await using set = await setUp((_, response) => response.end("x".repeat(1_001)));
  const response = await set.fetch(set.url);
  await assert.rejects(response.text(), failed(/over 1000 bytes/));
  assert.equal(set.clock.armed, 0);
});

Deno.test("a lost connection is a failure, before the head and in the body", async () => {
  await using early = await setUp((request) => request.socket.destroy());
  await assert.rejects(early.fetch(early.url), failed(/connection was lost/));
  await using late = await setUp((request, response) => {
    response.writeHead(200, { "Content-Length": "10" });
    response.write("one", () => request.socket.destroy());
  });
  const response = await late.fetch(late.url);
  await assert.rejects(response.text(), failed(/connection was lost/));
  assert.equal(early.clock.armed + late.clock.armed, 0);
});

Deno.test("an abort of the caller's own has the caller's reason", async () => {
  await using set = await setUp(() => {});
  const abort = new AbortController();
  const reason = new Error("hung up");
  const answer = assert.rejects(set.fetch(set.url, { signal: abort.signal }), reason);
  await set.asked;
  abort.abort(reason);
  await answer;
  assert.equal(set.clock.armed, 0);
});

Deno.test("a body that is not wanted can be left", async () => {
  await using set = await setUp((_, response) => response.write("one"));
  const response = await set.fetch(set.url);
  await response.body?.cancel();
  assert.equal(set.clock.armed, 0);
});

Deno.test("a request at fault is final, a provider at fault is worth another try", () => {
  const retryable = (status?: number) =>
    providerError("test", "no", status === undefined ? {} : { status }).retryable;
  for (const status of [400, 401, 403, 404, 422]) assert.equal(retryable(status), false);
  for (const status of [408, 429, 500, 503, undefined]) assert.equal(retryable(status), true);
  assert.equal(providerError("test", "no", { status: 401 }).status, 401);
});
