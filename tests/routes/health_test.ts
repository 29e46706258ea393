/** Health, and what every answer carries. */

import assert from "node:assert/strict";
import { setUp } from "./fakes.ts";

Deno.test("health and alive answer, whatever else is wrong", async () => {
  const { app } = setUp({ deps: { notReady: () => Promise.resolve(["draining"]) } });
  assert.deepEqual(await (await app.request("/health")).json(), {
    status: "ok",
    service: "ringmaster",
    version: "1.2.3",
  });
  assert.equal((await app.request("/alive")).status, 200);
});

Deno.test("ready says why it is not", async () => {
  const ready = await setUp().app.request("/ready");
  assert.deepEqual([ready.status, await ready.json()], [200, { status: "ok" }]);
  const reasons = ["draining", "database is away"];
  const not = await setUp({ deps: { notReady: () => Promise.resolve(reasons) } }).app.request(
    "/ready",
  );
  assert.deepEqual([not.status, await not.json()], [503, { status: "unavailable", reasons }]);
});

Deno.test("every answer carries a request id, the sender's where it is plain", async () => {
  const { app } = setUp();
  const given = async (id?: string): Promise<string> => {
    const headers: HeadersInit = id === undefined ? {} : { "X-Request-Id": id };
    return (await app.request("/nothing", { headers })).headers.get("x-request-id") ?? "";
  };
  assert.equal(await given("abc-1.2_3"), "abc-1.2_3");
  for (const id of [undefined, "", "a b", "x".repeat(65), "<script>"]) {
    assert.match(await given(id), /^request_[0-9a-f-]{36}$/);
  }
});

Deno.test("no answer is cached, framed, sniffed or run", async () => {
  const { app } = setUp();
  for (const path of ["/health", "/nothing", "/twilio/voice", "/api/v1/calls"]) {
    const { headers } = await app.request(path, { method: "POST" });
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/);
  }
});
