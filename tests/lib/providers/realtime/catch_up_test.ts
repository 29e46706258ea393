/** What a session is told of a conversation: everything once, and an output for each function that was called. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import {
  calledFunction,
  catchUp,
  heardCaller,
  nothingKnown,
  seed,
} from "@/lib/providers/realtime/catch_up.ts";

const caller = (text: string): PromptMessage => ({ role: "caller", text });
const agent = (text: string): PromptMessage => ({ role: "agent", text });
const call = (id: string): PromptMessage => ({
  role: "toolCall",
  call: { id, name: "next", arguments: "{}" },
});
const output = (callId: string): PromptMessage => ({ role: "toolOutput", callId, output: "Done." });

Deno.test("what it has heard itself is not told to it, and what was keyed beside it is", () => {
  const known = heardCaller(heardCaller(nothingKnown, "My number is"), "that is it.");
  const said = caller("My number is (keyed 42) that is it.");
  assert.deepEqual(catchUp(known, [said])[1], [{ type: "caller", text: "(keyed 42)" }]);
});

Deno.test("what it has heard and nobody takes for a turn is not looked for later", () => {
  const known = heardCaller(heardCaller(nothingKnown, "mm-hm"), "Go on.");
  const [next, items] = catchUp(known, [caller("Go on.")]);
  assert.deepEqual([items, next.heard], [[], []]);
});

Deno.test("its own calls get their outputs, once, and another model's are told with theirs", () => {
  const known = calledFunction(nothingKnown, "c1");
  const messages = [call("c1"), output("c1"), call("c2"), output("c2")];
  const [next, items] = catchUp(known, messages);
  assert.deepEqual(items.map((it) => `${it.type} ${"callId" in it ? it.callId : ""}`.trim()), [
    "toolOutput c1",
    "toolCall",
    "toolOutput c2",
  ]);
  assert.deepEqual(catchUp(next, messages)[1], []);
});

Deno.test("a call that came to nothing has an output that says so, before the next answer", () => {
  const [next, items] = catchUp(calledFunction(nothingKnown, "c1"), [caller("Wait.")]);
  assert.deepEqual(items.map(({ type }) => type), ["caller", "toolOutput"]);
  assert.equal(next.open.size, 0);
});

Deno.test("a session that begins anew is told all of it, in order, and then only what is new", () => {
  const before = [agent("Hello."), caller("Hi."), call("c1"), output("c1"), agent("Yes?")];
  const [known, items] = seed(before);
  assert.deepEqual(items.map(({ type }) => type), [
    ...["agent", "caller", "toolCall", "toolOutput", "agent"],
  ]);
  assert.deepEqual(catchUp(known, [...before, caller("(keyed 1)")])[1], [
    { type: "caller", text: "(keyed 1)" },
  ]);
});

Deno.test("however a conversation grows, no call is left open and nothing is told twice", () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("heard"), text: fc.string({ minLength: 1, maxLength: 5 }) }),
    fc.record({ type: fc.constant("keyed"), text: fc.constantFrom("(keyed 1)", "(keyed 2)") }),
    fc.record({ type: fc.constant("called"), text: fc.constant("") }),
    fc.record({ type: fc.constant("dropped"), text: fc.constant("") }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    let known = nothingKnown;
    const messages: PromptMessage[] = [];
    const outputs: string[] = [];
    for (const [nth, { type, text }] of steps.entries()) {
      const id = `c${nth}`;
      if (type === "heard") known = heardCaller(known, text);
      if (type === "heard" || type === "keyed") messages.push(caller(text));
      if (type === "called" || type === "dropped") known = calledFunction(known, id);
      if (type === "called") messages.push(call(id), output(id));
      const [next, items] = catchUp(known, messages);
      known = next;
      assert.equal(known.open.size, 0);
      for (const item of items) if (item.type === "toolOutput") outputs.push(item.callId);
      assert.deepEqual(catchUp(known, messages)[1], []);
    }
    assert.equal(new Set(outputs).size, outputs.length);
    assert.equal(outputs.length, known.called.size);
  }));
});
