/** What a caller's pauses teach. */

import assert from "node:assert/strict";
import { easePauses, learnPause, noPauses, type Pauses, silenceFor } from "@/actors/call/pauses.ts";

const LIMITS = { silenceMs: 400, silenceMaxMs: 1_500 };

function after(...pauses: readonly number[]): Pauses {
  return pauses.reduce(learnPause, noPauses);
}

Deno.test("a caller who has not paused is waited for as short as the agent allows", () => {
  assert.equal(silenceFor(noPauses, LIMITS), 400);
  assert.equal(silenceFor(after(50), LIMITS), 400);
});

Deno.test("a caller who pauses long is waited for longer than they pause, within the agent's limit", () => {
  assert.equal(silenceFor(after(800), LIMITS), 1_040);
  assert.equal(silenceFor(after(800, 800, 800), LIMITS), 1_040);
  assert.equal(silenceFor(after(5_000), LIMITS), 1_500);
});

Deno.test("what was learnt fades as turns end where they should", () => {
  let pauses = after(1_000);
  for (let turns = 0; turns < 30; turns++) pauses = easePauses(pauses);
  assert.equal(silenceFor(pauses, LIMITS), 400);
});
