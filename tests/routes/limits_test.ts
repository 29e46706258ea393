/** Limits of requests: who is counted how, what is told of it, and what is never counted. */

import assert from "node:assert/strict";
import { HOUSE_LIMITS, limitsWith, type TenantPlan } from "@/lib/limits/plan.ts";
import { addressKey } from "@/routes/address.ts";
import { chargesOf } from "@/routes/limits.ts";
import { API_KEY, CALL, setUp as setUpApp, TENANT } from "./fakes.ts";

const RATES = {
  read: { capacity: 20, perSecond: 10 },
  write: { capacity: 20, perSecond: 2 },
  dial: { capacity: 2, perSecond: 1 },
};

function setUp(rates = RATES) {
  let plan: TenantPlan = { configVersion: 1, status: "active", limits: limitsWith({ rates }) };
  const asked: [string, number][] = [];
  const kit = setUpApp({
    desk(message) {
      if (message.type !== "errand") return;
      if (message.name === "calls") message.reply({ items: [], next: null });
      else message.reply({ id: CALL });
    },
    deps: {
      plan(tenantId, configVersion) {
        asked.push([tenantId, configVersion]);
        return plan;
      },
    },
  });
  const from = (remoteAddress: string, path: string, init: RequestInit = {}) =>
    kit.app.request(path, init, { remoteAddress });
  const list = (query = "") =>
    from("192.0.2.1", `/api/v1/calls${query}`, { headers: { Authorization: `Bearer ${API_KEY}` } });
  const place = () =>
    from("192.0.2.1", "/api/v1/calls", {
      method: "POST",
      headers: { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify({
        agentId: "agent_0198f3c2-1b2c-7def-8123-000000000002",
        to: "+15550100101",
        from: "+15550100100",
      }),
    });
  return { ...kit, asked, from, list, place, set: (next: TenantPlan) => plan = next };
}

Deno.test("every answer tells the policies it was counted under, and what is left of each", async () => {
  const { list } = setUp();
  const { status, headers } = await list();
  assert.equal(status, 200);
  assert.equal(headers.get("ratelimit-policy"), '"read-key";q=10;w=2, "read";q=20;w=2');
  assert.equal(headers.get("ratelimit"), '"read-key";r=9;t=1, "read";r=19;t=1');
});

Deno.test("who asks without a credential is told of the innermost limit, and of that alone", async () => {
  const { from } = setUp();
  const login = await from("192.0.2.1", "/api/v1/auth/login", { method: "POST", body: "{}" });
  assert.match(login.headers.get("ratelimit") ?? "", /^"auth";r=59;t=1$/);
  assert.equal(login.headers.get("ratelimit-policy"), '"auth";q=60;w=60');
  const stranger = await from("192.0.2.2", "/api/v1/tenant");
  assert.equal(stranger.status, 401);
  assert.match(stranger.headers.get("ratelimit") ?? "", /^"address";r=119;t=1$/);
});

Deno.test("one request too many is 429, tells when to come again, and is served then", async () => {
  const { list, clock } = setUp();
  for (let n = 0; n < 10; n++) assert.equal((await list()).status, 200);
  const refused = await list();
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.match(refused.headers.get("ratelimit") ?? "", /^"read-key";r=0;t=2, "read";r=10;t=1$/);
  const { requestId, ...problem } = await refused.json();
  assert.ok(requestId);
  assert.equal(problem.code, "rate_limited");
  assert.match(problem.detail, /read-key/);
  await clock.advance(1_000);
  assert.equal((await list()).status, 200);
});

Deno.test("a list costs by its limit, a call that is placed as five writes and a dial", async () => {
  const { list, place } = setUp();
  const headers = (await list("?limit=500")).headers;
  assert.equal(headers.get("ratelimit"), '"read-key";r=0;t=2, "read";r=10;t=1');
  const placed = await place();
  assert.equal(placed.status, 201);
  assert.equal(
    placed.headers.get("ratelimit"),
    '"write-key";r=5;t=5, "write";r=15;t=3, "dial";r=1;t=1',
  );
  assert.equal((await place()).status, 201);
  const refused = await place();
  assert.equal(refused.status, 429);
  assert.match(
    refused.headers.get("ratelimit") ?? "",
    /^"write-key";r=0;t=10, "write";r=10;t=5, "dial";r=0;t=2$/,
  );
});

Deno.test("what operators set for a tenant counts from the next request", async () => {
  const { list, set, asked } = setUp();
  await list();
  const limits = limitsWith({ rates: { read: { capacity: 2, perSecond: 1 } } });
  set({ configVersion: 2, status: "active", limits });
  assert.match((await list()).headers.get("ratelimit-policy") ?? "", /"read-key";q=1;w=2/);
  assert.deepEqual(asked, [[TENANT, 1], [TENANT, 1]]);
});

Deno.test("a stranger's flood ends at 429, of that address alone, and never reaches the gate", async () => {
  const { from, clock } = setUp();
  const knock = (address: string) =>
    from(address, "/api/v1/tenant", { headers: { Authorization: "Bearer wrong" } });
  const statuses: number[] = [];
  for (let n = 0; n < 121; n++) statuses.push((await knock("2001:db8::1")).status);
  assert.deepEqual(statuses.slice(0, 120), Array(120).fill(401));
  assert.equal(statuses.at(-1), 429);
  assert.equal((await knock("2001:db8::ffff")).status, 429);
  assert.equal((await knock("2001:db8:0:1::1")).status, 401);
  await clock.advance(100);
  assert.equal((await knock("2001:db8::1")).status, 401);
});

Deno.test("requests with a valid key are not counted against their address", async () => {
  const { list, clock } = setUp();
  for (let n = 0; n < 30; n++) {
    for (let of = 0; of < 10; of++) assert.equal((await list()).status, 200);
    await clock.advance(2_000);
  }
});

Deno.test("carriers' webhooks and health are never counted", async () => {
  const { from } = setUp();
  for (let n = 0; n < 300; n++) {
    const webhook = await from("192.0.2.9", "/twilio/status", { method: "POST", body: "" });
    assert.equal(webhook.status, 403);
    assert.equal(webhook.headers.get("ratelimit"), null);
    assert.equal((await from("192.0.2.9", "/alive")).status, 200);
  }
});

Deno.test("while the plan cannot be read, the house's figures count", async () => {
  const { app } = setUpApp({ deps: { plan: () => Promise.reject(new Error("away")) } });
  const { headers } = await app.request("/api/v1/unknown", {
    headers: { Authorization: `Bearer ${API_KEY}` },
  });
  const { capacity } = HOUSE_LIMITS.rates.read;
  assert.match(headers.get("ratelimit") ?? "", new RegExp(`"read";r=${capacity - 1};`));
});

for (
  const [method, path, limit, expected] of [
    ["GET", "/api/v1/calls", undefined, "read 1"],
    ["GET", "/api/v1/calls", "50", "read 1"],
    ["GET", "/api/v1/calls", "51", "read 2"],
    ["GET", "/api/v1/calls", "-5", "read 1"],
    ["GET", "/api/v1/calls", "99999999999", "read 1"],
    ["HEAD", "/api/v1/calls", "500", "read 10"],
    ["POST", "/api/v1/agents", undefined, "write 1"],
    ["DELETE", "/api/v1/calls", undefined, "write 1"],
    ["POST", "/api/v1/calls", undefined, "write 5, dial 1"],
    ["POST", "/api/v1/tenant/export", undefined, "write 1, export 1"],
  ] as const
) {
  Deno.test(`${method} ${path} with limit ${limit} is charged as ${expected}`, () => {
    const charges = chargesOf({ method, path, limit });
    assert.equal(charges.map((it) => `${it.class} ${it.cost}`).join(", "), expected);
  });
}

Deno.test("an address is counted as its subscriber's", () => {
  const same = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::"].map(addressKey);
  assert.equal(same[0], same[1]);
  assert.equal(addressKey("::ffff:192.0.2.1"), "192.0.2.1");
  assert.notEqual(addressKey("2001:db8:1:3::1"), same[0]);
  assert.equal(addressKey("fe80::1%eth0").length > 0, true);
  assert.equal(addressKey("nonsense"), "unknown");
});
