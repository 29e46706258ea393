/** The edge: origins, hosts, addresses, compression, methods, and problems that say where. */

import assert from "node:assert/strict";
import type { DeskMessage } from "@/actors/desk/desk.ts";
import type { AppDeps } from "@/routes/deps.ts";
import { AGENT, API_KEY, type Fakes, setUp } from "./fakes.ts";

const ORIGIN = "https://app.example.com";

function send(
  { app }: Fakes,
  path: string,
  init: RequestInit & { url?: string; address?: string } = {},
): Promise<Response> {
  const { url = "http://localhost", address, ...rest } = init;
  const headers = { Authorization: `Bearer ${API_KEY}`, ...rest.headers };
  const bindings = address === undefined ? {} : { remoteAddress: address };
  return Promise.resolve(app.request(`${url}${path}`, { ...rest, headers }, bindings));
}

Deno.test("a page of a listed origin may read answers, without credentials; no other may", async () => {
  const fakes = setUp();
  for (
    const [origin, allowed] of [[ORIGIN, ORIGIN], ["https://evil.example", null], ["null", null]]
  ) {
    const headers = { Origin: origin ?? "" };
    for (const path of ["/health", "/api/v1/nothing", "/openapi.json"]) {
      const answer = await send(fakes, path, { headers });
      assert.equal(answer.headers.get("access-control-allow-origin"), allowed, path);
      assert.equal(answer.headers.get("access-control-allow-credentials"), null);
      assert.match(answer.headers.get("vary") ?? "", /\bOrigin\b/);
      assert.match(answer.headers.get("access-control-expose-headers") ?? "", /ETag.*Retry-After/);
    }
  }
});

Deno.test("a preflight is answered before anybody is authenticated", async () => {
  const headers = { Origin: ORIGIN, "Access-Control-Request-Method": "PATCH", Authorization: "" };
  const answer = await send(setUp(), "/api/v1/tenant", { method: "OPTIONS", headers });
  assert.equal(answer.status, 204);
  assert.match(answer.headers.get("access-control-allow-methods") ?? "", /PATCH/);
  assert.match(answer.headers.get("access-control-allow-headers") ?? "", /Idempotency-Key/);
});

Deno.test("only the hosts of the house are served, but platforms may ask for health by address", async () => {
  const fakes = setUp();
  const rows: [string, number][] = [
    ["https://voice.example.com", 404],
    ["http://api.example.com:8000", 404],
    ["http://localhost:8000", 404],
    ["http://127.0.0.1", 404],
    ["http://[::1]:8000", 404],
    ["http://evil.example", 421],
    ["http://10.0.0.7:8000", 421],
    ["http://voice.example.com.evil.example", 421],
  ];
  for (const [url, status] of rows) {
    const answer = await send(fakes, "/api/v1/nothing", { url });
    assert.equal(answer.status, status, url);
    assert.equal((await send(fakes, "/alive", { url })).status, 200, url);
  }
});

Deno.test("answers above 1 kB are compressed for who takes it; small ones and streams are not", async () => {
  const name = "n".repeat(2_000);
  const fakes = setUp({
    desk: (message: DeskMessage) =>
      message.type === "errand" && message.reply({ items: [{ name }], next: null }),
  });
  const zipped = await send(fakes, "/api/v1/agents", { headers: { "Accept-Encoding": "gzip" } });
  assert.equal(zipped.headers.get("content-encoding"), "gzip");
  assert.match(zipped.headers.get("vary") ?? "", /Accept-Encoding/);
  const body = zipped.body?.pipeThrough(new DecompressionStream("gzip"));
  assert.equal((await new Response(body).json()).items[0].name, name);
  const plain = await send(fakes, "/api/v1/agents");
  assert.equal(plain.headers.get("content-encoding"), null);
  assert.equal((await plain.json()).items[0].name, name);
  const small = await send(fakes, "/health", { headers: { "Accept-Encoding": "gzip" } });
  assert.equal(small.headers.get("content-encoding"), null);
});

Deno.test("browsers are told to stay on https, where the public URL has it", async () => {
  const hsts = (answer: Response) => answer.headers.get("strict-transport-security");
  assert.match(hsts(await send(setUp(), "/health")) ?? "", /^max-age=\d{8}$/);
  const plain = setUp({ deps: { publicUrl: "http://localhost:8000" } });
  assert.equal(hsts(await send(plain, "/health")), null);
});

Deno.test("the client's address is the socket's, and behind a proxy what that says; no other header counts", async () => {
  const address = async (edge: Partial<AppDeps["edge"]>, headers: HeadersInit) => {
    const told: unknown[] = [];
    const fakes = setUp({
      desk(message) {
        if (message.type !== "errand") return;
        told.push(message.request.address);
        message.reply({ items: [], next: null });
      },
      deps: { edge: { origins: [], hosts: [], trustsFly: false, clientHeader: null, ...edge } },
    });
    await send(fakes, "/api/v1/agents", { headers, address: "192.0.2.1" });
    return told[0];
  };
  const forged = {
    "Fly-Client-IP": "203.0.113.9",
    "X-Forwarded-For": "203.0.113.8",
    "X-Real-IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.6",
  };
  assert.equal(await address({}, forged), "192.0.2.1");
  assert.equal(await address({ trustsFly: true }, forged), "192.0.2.1");
  const fly = { trustsFly: true, clientHeader: "fly-client-ip" };
  assert.equal(await address(fly, forged), "203.0.113.9");
  assert.equal(await address(fly, { "Fly-Client-IP": "::ffff:x" }), "192.0.2.1");
  assert.equal(await address(fly, {}), "192.0.2.1");
  const own = { clientHeader: "x-forwarded-for" };
  assert.equal(await address(own, forged), "203.0.113.8");
  const list = { "X-Forwarded-For": "203.0.113.66, 203.0.113.8" };
  assert.equal(await address(own, list), "203.0.113.8", "the client may have begun the list");
});

Deno.test("a wrong method is told which there are, and under /api only to who may come in", async () => {
  const fakes = setUp();
  const wrong = await send(fakes, "/api/v1/tenant", { method: "DELETE" });
  assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "GET, HEAD, PATCH"]);
  assert.equal((await wrong.json()).code, "wrong_method");
  const stranger = await send(fakes, "/api/v1/tenant", {
    method: "DELETE",
    headers: { Authorization: "" },
  });
  assert.equal(stranger.status, 401);
  assert.equal((await send(fakes, "/health", { method: "POST" })).status, 405);
  assert.equal((await send(fakes, "/nothing", { method: "POST" })).status, 404);
});

Deno.test("a problem names every wrong field, where it stands, and what is wrong with it", async () => {
  const post = async (path: string, body: unknown, headers = {}) => {
    const answer = await send(setUp(), path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    return await answer.json();
  };
  const wrong = await post("/api/v1/calls", { agentId: AGENT, to: 1, admin: true, role: "owner" });
  assert.deepEqual([wrong.title, wrong.status, wrong.code], ["Bad Request", 400, "invalid"]);
  const named = wrong.errors.map((it: { in: string; field: string }) => `${it.in} ${it.field}`);
  assert.deepEqual(named.toSorted(), ["body admin", "body from", "body role", "body to"]);
  assert.equal(wrong.field, wrong.errors[0].field);
  const query = await (await send(setUp(), "/api/v1/calls?limit=0&x=1")).json();
  assert.deepEqual(query.errors.map((it: { in: string }) => it.in), ["query", "query"]);
  for (const tag of ["1", '"2147483648"']) { // no tag; no version that a table could hold
    const header = await (await send(setUp(), "/api/v1/tenant", {
      method: "PATCH",
      headers: { "Content-Type": "application/json", "If-Match": tag },
      body: "{}",
    })).json();
    assert.deepEqual([header.field, header.errors[0].in], ["If-Match", "header"]);
  }
});

Deno.test("an Idempotency-Key is 1 to 255 printable characters, and of a POST alone", async () => {
  const fakes = setUp({
    desk: (message) => message.type === "errand" && message.reply({ id: "x" }),
  });
  const post = (key: string) =>
    send(fakes, "/api/v1/calls", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify({ agentId: AGENT, to: "+15550100100", from: "+15550100101" }),
    });
  for (const key of ["", "x".repeat(256), "é", "a\tb"]) {
    const answer = await post(key);
    assert.deepEqual([answer.status, (await answer.json()).field], [400, "Idempotency-Key"], key);
  }
  for (const key of ["x", "x".repeat(255), "a b~!"]) assert.equal((await post(key)).status, 201);
  const read = await send(fakes, "/api/v1/tenant", { headers: { "Idempotency-Key": "é" } });
  assert.notEqual(read.status, 400);
});

Deno.test("features tell anybody what is configured, and the setting that is missing", async () => {
  const answer = await setUp().app.request("/api/v1/features");
  assert.deepEqual([answer.status, await answer.json()], [200, {
    features: [{ name: "carrier", provider: null, missing: "TWILIO_AUTH_TOKEN" }],
  }]);
});
