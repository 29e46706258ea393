/**
 * What no client should send, over a real socket: refused at a cost of the bytes up to the limit, and
 * the loop goes on. `BAD_INPUT_BYTES` is how much is offered: 1 GiB in full.
 */

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { listen } from "@/routes/server.ts";
import { API_KEY, setUp } from "./fakes.ts";

const OFFERED = Number(Deno.env.get("BAD_INPUT_BYTES") ?? 16 * 1024 * 1024);
const COUNT = 1_000_000;
const CHUNK = 64 * 1024;
/** A shared machine may be slow; what is judged is that the cost does not grow with what is offered. */
const SOON_MS = 2_000;

interface Offer {
  readonly what: string;
  readonly head?: string;
  /** Repeated until `OFFERED` bytes are sent, or once when `isWhole`. */
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly isWhole?: boolean;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly field?: string;
}

const OFFERS: readonly Offer[] = [
  { what: "an endless string", head: '{"name":"', body: "x".repeat(CHUNK), status: 413 },
  { what: "endless arrays", body: "[".repeat(CHUNK), status: 413 },
  { what: "depth 10^6", body: "[".repeat(COUNT), isWhole: true, status: 413 },
  { what: "depth 10^6 in objects", body: '{"":'.repeat(COUNT / 4), isWhole: true, status: 413 },
  {
    what: "10^6 values",
    body: `[${"0,".repeat(COUNT / 2 - 2)}0]`,
    isWhole: true,
    status: 413,
  },
  {
    what: "as many keys as fit",
    body: `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":0`).join(",")}}`,
    isWhole: true,
    status: 413,
  },
  {
    what: "a duplicate key",
    body: '{"name":"a","name":"b"}',
    isWhole: true,
    status: 400,
    field: "name",
  },
  { what: "10^999", body: '{"name":1e999}', isWhole: true, status: 400, field: "name" },
  { what: "10^308", body: '{"name":1e308}', isWhole: true, status: 400, field: "name" },
  {
    what: "a prototype",
    body: '{"__proto__":{"isAdmin":true}}',
    isWhole: true,
    status: 400,
    field: "__proto__",
  },
  { what: "U+0000", body: '{"name":"\\u0000"}', isWhole: true, status: 400, field: "name" },
  { what: "half a pair", body: '{"name":"\\ud800"}', isWhole: true, status: 400, field: "name" },
  {
    what: "no UTF-8",
    body: new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
    isWhole: true,
    status: 400,
  },
  {
    what: "a gzip bomb",
    body: new Uint8Array(gzipSync(new Uint8Array(16 * 1024 * 1024))),
    isWhole: true,
    headers: { "Content-Encoding": "gzip" },
    status: 415,
    field: "Content-Encoding",
  },
  {
    what: "UTF-16",
    body: "{}",
    isWhole: true,
    headers: { "Content-Type": "application/json; charset=utf-16" },
    status: 415,
    field: "Content-Type",
  },
];

/** The body in chunks, and how much of it was taken. */
function streamed({ head = "", body, isWhole = false }: Offer): {
  stream: ReadableStream<Uint8Array>;
  sent(): number;
} {
  const chunk = typeof body === "string" ? new TextEncoder().encode(body) : body;
  let sent = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === 0 && head !== "") controller.enqueue(new TextEncoder().encode(head));
      controller.enqueue(chunk);
      sent += chunk.length;
      if (isWhole || sent >= OFFERED) controller.close();
    },
  });
  return { stream, sent: () => sent };
}

/** The listener goes on dropping what a refused sender sends for half a second after the answer. */
const DRAINS = { sanitizeOps: false, sanitizeResources: false };

for (const offer of OFFERS) {
  Deno.test(
    `${offer.what}: refused with ${offer.status}, soon, and without being read to the end`,
    DRAINS,
    async () => {
      const fakes = setUp();
      const server = await listen(fakes.app, {
        hostname: "127.0.0.1",
        port: 0,
        clock: systemClock,
        log: silentLog,
      });
      const { stream, sent } = streamed(offer);
      const startedAt = systemClock.now();
      const answer = await fetch(`http://127.0.0.1:${server.port}/api/v1/agents`, {
        method: "POST",
        headers: {
          "Authorization": `Bearer ${API_KEY}`,
          "Content-Type": "application/json",
          ...offer.headers,
        },
        body: stream,
      });
      const problem = await answer.json();
      const tookMs = systemClock.now() - startedAt;
      assert.deepEqual([answer.status, problem.field], [offer.status, offer.field], problem.detail);
      assert.ok(tookMs < SOON_MS, `${tookMs} ms`);
      if (offer.isWhole !== true) assert.ok(sent() < OFFERED, "all of it was taken");
      assert.equal(fakes.sent.length, 0);
      await server.close();
    },
  );
}

Deno.test("a body that says it is too long is refused before it is read", async () => {
  const { app } = setUp();
  const answer = await app.request("/api/v1/agents", {
    method: "POST",
    headers: {
      "Authorization": `Bearer ${API_KEY}`,
      "Content-Type": "application/json",
      "Content-Length": `${1024 * 1024 + 1}`,
    },
    body: "{}",
  });
  assert.equal(answer.status, 413);
});
