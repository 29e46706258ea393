/** New work on a machine that drains: another machine's on Fly, refused by name elsewhere; the rest is answered. */

import assert from "node:assert/strict";
import { AGENT, API_KEY, setUp } from "./fakes.ts";

const EDGE = { origins: [], hosts: [] };
const PLACE = "/api/v1/calls";

function drainingAt(isFly: boolean) {
  const { app } = setUp({ deps: { isDraining: () => true, edge: { ...EDGE, trustsFly: isFly } } });
  return async (path: string, headers: Record<string, string> = {}, method = "POST") =>
    await app.request(path, {
      method,
      headers: { Authorization: `Bearer ${API_KEY}`, ...headers },
    });
}

const NEW = [
  PLACE,
  "/twilio/voice",
  "/twilio/tenant_0198f3c2-1b2c-7def-8123-000000000001/voice",
  `/talk/${AGENT}/tickets`,
  `/api/v1/agents/${AGENT}/talk-tickets`,
  "/api/v1/livekit/rooms/r/agents",
];

Deno.test("elsewhere new work is refused by name, but to a carrier, and may come again", async () => {
  const post = drainingAt(false);
  for (const path of NEW) {
    const answer = await post(path);
    const { code } = await answer.json().catch(() => ({ code: null }));
    if (path.startsWith("/twilio")) assert.notEqual(code, "draining");
    else {
      assert.deepEqual([answer.status, code], [503, "draining"], path);
      assert.equal(answer.headers.get("retry-after"), "5");
    }
  }
});

Deno.test("on Fly its proxy brings new work to another machine, once", async () => {
  const post = drainingAt(true);
  for (const path of NEW) {
    const answer = await post(path);
    assert.equal(answer.status, 409);
    const replay = "elsewhere=true;timeout=5s;fallback=force_self";
    assert.equal(answer.headers.get("fly-replay"), replay, path);
  }
  for (const header of ["fly-replay-src", "fly-replay-failed"]) {
    const answer = await post(PLACE, { [header]: "instance=a" });
    assert.deepEqual([answer.status, (await answer.json()).code], [503, "draining"]);
  }
});

Deno.test("what is under way goes on: reads, commands to calls, the carrier's other webhooks", async () => {
  const post = drainingAt(true);
  for (
    const [path, method] of [
      [PLACE, "GET"],
      ["/twilio/calls/call_1/resume", "POST"],
      ["/twilio/status", "POST"],
    ]
  ) {
    const answer = await post(path ?? "", { Authorization: "nobody's" }, method);
    assert.equal(answer.headers.get("fly-replay"), null);
    assert.ok(answer.status < 500 || (await answer.json()).code !== "draining");
  }
});
