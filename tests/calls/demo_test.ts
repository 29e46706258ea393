/** The demo call, from ring to hang-up, at virtual time. */

import assert from "node:assert/strict";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";

Deno.test("demo caller books an appointment, and every word of the transcript was heard", async () => {
  const { kit, connect, events, ends, hangUps, close } = callKit();
  const stream = await connect();
  const caller = newCaller({
    clock: kit.clock,
    stream,
    lines: demoCaller,
    hangUp: () => stream.stop(),
  });
  await kit.clock.advance(90_000);
  caller.stop();

  const said = events.filter((event) => event.type === "agent_said");
  const { extra, missing } = compareHeard(said, playedWords(stream), []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
  assert.equal(ends.length, 1);
  assert.equal(ends[0]?.outcome, "answered");
  assert.equal(ends[0]?.reason, "agent_hung_up");
  assert.deepEqual(ends[0]?.variables, {
    reason: "Hello, I have a toothache and would like to see a dentist",
    patient: "Maria Lopez",
    firstVisit: true,
    day: "Thursday",
    time: "half past nine",
  });
  assert.equal(hangUps.length, 1);
  await close();
});
