/** Numbers that the caller keys: complete as the node says. */

import assert from "node:assert/strict";
import { heardWords } from "@/lib/audio/modem.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";
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

/** An agent that has an account number keyed, and a caller who keys it. */
async function account(
  keypad: Readonly<Record<string, unknown>>,
  { isSensitive = false, arguments: given = "{}" } = {},
) {
  const prompts: Prompt[] = [];
  const it = callKit({
    script(prompt) {
      prompts.push(prompt);
      return { toolCalls: [{ name: "identify", arguments: given }] };
    },
    graph: parseGraph({
      name: "Bank",
      persona: "You are a bank.",
      nodes: [
        {
          type: "start",
          id: "ask",
          greeting: "Your number?",
          instructions: "Ask. It is {{accountNumber}}.",
          isSensitive,
          keypad: { maxDigits: 6, ...keypad },
          variables: [
            { name: "accountNumber", type: "string", description: "Of the account." },
          ],
        },
        {
          type: "end",
          id: "done",
          farewell: "You keyed {{accountNumber}}. Goodbye.",
          outcome: "done",
        },
      ],
      edges: [{ from: "ask", to: "done", function: "identify", condition: "There is a number." }],
    }),
  });
  const stream = await it.connect();
  await it.kit.clock.advance(4_000);
  for (const key of "004711") {
    stream.press(key);
    await it.kit.clock.advance(200);
  }
  await it.kit.clock.advance(15_000);
  const heard = heardWords(stream.player.played()).map(({ text }) => text).join(" ");
  await it.close();
  const said = it.events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
  const [prompt] = prompts;
  return { prompt, heard, said, events: it.events, ends: it.ends };
}

Deno.test("a number goes into its variable without the model, and an edge that needs it is taken", async () => {
  const it = await account({ variable: "accountNumber" });
  assert.deepEqual(it.said, ["(keyed 004711)"]);
  assert.deepEqual(it.prompt?.tools[0]?.parameters.required, []);
  assert.match(it.heard, /You keyed 004711\. Goodbye\.$/);
  assert.deepEqual(it.ends.map(({ variables }) => variables), [{ accountNumber: "004711" }]);
});

Deno.test("a masked number is read by no model, nor changed by it, and the caller still hears it", async () => {
  const it = await account(
    { variable: "accountNumber", isMasked: true },
    { arguments: '{"accountNumber":"6 digits"}' },
  );
  assert.deepEqual(it.said, ["(keyed 6 digits)"]);
  assert(!JSON.stringify(it.prompt).includes("004711"));
  assert.match(it.prompt?.system ?? "", /accountNumber: \(keyed 6 digits\)/);
  assert.deepEqual(it.prompt?.tools[0]?.parameters.properties, {});
  assert.match(it.heard, /You keyed 004711\. Goodbye\.$/);
  assert.deepEqual(it.ends.map(({ variables }) => variables), [{ accountNumber: "004711" }]);
});

Deno.test("of a number keyed at a sensitive node nothing is kept, though the call goes by it", async () => {
  const it = await account({ variable: "accountNumber", isMasked: true }, { isSensitive: true });
  assert.match(it.heard, /You keyed 004711\. Goodbye\.$/);
  assert(!JSON.stringify(it.events).includes("4711"), JSON.stringify(it.events));
  assert.deepEqual(it.ends.map(({ variables }) => variables), [{ accountNumber: "(not kept)" }]);
});

Deno.test("too few digits go nowhere", async () => {
  const it = await account({
    variable: "accountNumber",
    isMasked: true,
    minDigits: 8,
    maxDigits: 8,
  });
  assert.deepEqual(it.said, ["(keyed 6 digits; 8 are needed)"]);
  assert.deepEqual(it.prompt?.tools[0]?.parameters.required, ["accountNumber"]);
});
