/** Numbers that the caller keys: complete as the node says. */

import assert from "node:assert/strict";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { callKit } from "@/tests/support/call_kit.ts";

/** What the caller's turns were once these keys had been pressed, 200 ms apart, and so long had passed. */
async function keyed(
  keypad: Readonly<Record<string, unknown>>,
  keys: string,
  waitMs: number,
): Promise<readonly string[]> {
  const it = callKit({
    script: [{ text: "Thank you." }, { text: "Thanks." }],
    graph: parseGraph({
      name: "Keys",
      persona: "You take numbers.",
      nodes: [
        { type: "start", id: "ask", greeting: "Your number?", instructions: "Ask.", keypad },
        { type: "end", id: "done", farewell: "Goodbye.", outcome: "done" },
      ],
      edges: [{ from: "ask", to: "done", function: "finish", condition: "That is all." }],
    }),
  });
  const stream = await it.connect();
  await it.kit.clock.advance(4_000);
  for (const key of keys) {
    stream.press(key);
    await it.kit.clock.advance(200);
  }
  await it.kit.clock.advance(waitMs);
  const said = it.events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
  await it.close();
  return said;
}

Deno.test("a number is complete at the node's last digit, at once", async () => {
  assert.deepEqual(await keyed({ maxDigits: 4 }, "1234", 0), ["(keyed 1234)"]);
});

Deno.test("the node's own key ends a number, and the other one is part of it", async () => {
  assert.deepEqual(await keyed({ terminator: "*" }, "12#3*", 0), ["(keyed 12#3)"]);
});

Deno.test("a number is complete when no key has come for as long as the node says", async () => {
  assert.deepEqual(await keyed({ timeoutMs: 1_000 }, "12", 700), []);
  assert.deepEqual(await keyed({ timeoutMs: 1_000 }, "12", 1_000), ["(keyed 12)"]);
  assert.deepEqual(await keyed({ timeoutMs: 6_000, terminator: null }, "12", 5_000), []);
});

Deno.test("of too few digits the model is told how many are needed", async () => {
  const said = ["(keyed 2 digits; 4 are needed)"];
  assert.deepEqual(await keyed({ minDigits: 4 }, "12#", 0), said);
});

Deno.test("a lone ending key is no turn", async () => {
  assert.deepEqual(await keyed({}, "#", 3_000), []);
});
