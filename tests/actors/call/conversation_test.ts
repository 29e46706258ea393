/** The conversation as the model reads it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addSaid,
  type Entry,
  promptMessages,
  trimToHeard,
  wordsOf,
} from "@/actors/call/conversation.ts";

const call = { id: "c1", name: "book", arguments: "{}" };

Deno.test("a conversation joins clauses of one utterance, and begins a part behind a tool call", () => {
  let entries: readonly Entry[] = [{ role: "caller", text: "Hi." }];
  entries = addSaid(entries, 1, "One moment,");
  entries = addSaid(entries, 1, "please.");
  entries = [...entries, { role: "toolCall", call }, {
    role: "toolOutput",
    callId: "c1",
    output: "",
  }];
  entries = addSaid(entries, 1, "Done.");
  entries = addSaid(entries, 2, "Bye.");
  assert.deepEqual(promptMessages(entries), [
    { role: "caller", text: "Hi." },
    { role: "agent", text: "One moment, please." },
    { role: "toolCall", call },
    { role: "toolOutput", callId: "c1", output: "" },
    { role: "agent", text: "Done." },
    { role: "agent", text: "Bye." },
  ]);
});

Deno.test("a conversation trims an utterance over its parts to the words heard, and no other", () => {
  const said = (generation: number, text: string): Entry => ({
    role: "agent",
    generation,
    text,
    heard: null,
  });
  const entries: Entry[] = [
    said(1, "before"),
    said(2, "one two"),
    { role: "toolCall", call },
    { role: "toolOutput", callId: "c1", output: "ok" },
    said(2, "three four"),
  ];
  const texts = (heardCount: number): string[] =>
    promptMessages(trimToHeard(entries, 2, heardCount)).map((message) =>
      "text" in message ? message.text : message.role
    );
  assert.deepEqual(texts(0), ["before", "toolCall", "toolOutput"]);
  assert.deepEqual(texts(1), ["before", "one", "toolCall", "toolOutput"]);
  assert.deepEqual(texts(3), ["before", "one two", "toolCall", "toolOutput", "three"]);
  assert.deepEqual(texts(9), ["before", "one two", "toolCall", "toolOutput", "three four"]);
});

Deno.test("a conversation trimmed again to more words shows more of them", () => {
  const entries = addSaid([], 1, "one two three");
  const twice = trimToHeard(trimToHeard(entries, 1, 1), 1, 2);
  assert.deepEqual(promptMessages(twice), [{ role: "agent", text: "one two" }]);
});

Deno.test("a conversation trimmed to n words holds the first n, however they lie in parts", () => {
  const part = fc.array(fc.constantFrom("a", "bb", "c,"), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.nat(30), (parts, heardCount) => {
      const entries = parts.flatMap((words): Entry[] => [
        { role: "agent", generation: 1, text: words.join(" "), heard: null },
        { role: "toolCall", call },
        { role: "toolOutput", callId: "c1", output: "" },
      ]);
      const heard = promptMessages(trimToHeard(entries, 1, heardCount))
        .flatMap((message) => message.role === "agent" ? wordsOf(message.text) : []);
      assert.deepEqual(heard, parts.flat().slice(0, heardCount));
    }),
    { seed: 1, numRuns: 500 },
  );
});
