/** Requests of a hard-pressed machine: lists and then writes come again later; what ends or steers a call never does. */

import assert from "node:assert/strict";
import { setUp } from "./fakes.ts";

function shedding(...sheds: readonly string[]) {
  const { app } = setUp({ deps: { isShed: (work) => sheds.includes(work), random: () => 0.5 } });
  return async (method: string, path: string) => {
    const answer = await app.request(path, { method }); // a stranger's: shed before it is known who asks
    const { code } = await answer.json().catch(() => ({ code: null }));
    return { code, retryAfter: answer.headers.get("retry-after"), status: answer.status };
  };
}

const CALL = "/api/v1/calls/call_0198f3c2-1b2c-7def-8123-000000000001";

Deno.test("lists are put off first, and say when to come again", async () => {
  const ask = shedding("lists");
  const put = { status: 503, code: "overloaded", retryAfter: "10" };
  assert.deepEqual(await ask("GET", "/api/v1/calls"), put);
  assert.deepEqual(await ask("GET", "/api/v1/agents?limit=5"), put);
  for (const [method, path] of [["GET", CALL], ["POST", "/api/v1/agents"]] as const) {
    assert.notEqual((await ask(method, path)).code, "overloaded", path);
  }
});

Deno.test("then what writes, but nothing that a live call or a person's rights need", async () => {
  const ask = shedding("lists", "writes");
  assert.equal((await ask("POST", "/api/v1/agents")).code, "overloaded");
  assert.equal((await ask("POST", "/api/v1/calls")).code, "overloaded");
  const never = [`${CALL}/hang-up`, `${CALL}/say`, "/api/v1/erasures", "/twilio/voice"];
  for (const path of never) assert.notEqual((await ask("POST", path)).code, "overloaded", path);
});
