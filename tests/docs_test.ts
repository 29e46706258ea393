/** What operators read is complete: every warning and error of the log stands in docs/operations.md. */

import assert from "node:assert/strict";
import { globSync } from "node:fs";

const LOGGED = /log\??\.(?:warn|error)\(\s*"([^"]+)"/g;
/** Sentences that are handed to what logs them. */
const HANDED = /(?:cannotTake|noEnd): "([^"]+)"/g;
const ESCAPED = /message: "(the event loop [^"]+)"/g;

Deno.test("every warning and error that is logged is explained to operators", () => {
  const manual = Deno.readTextFileSync("docs/operations.md").replaceAll(/\s+/g, " ");
  const files = [...globSync("{actors,routes,db,lib}/**/*.ts"), "main.ts"];
  const sentences = files.flatMap((file) => {
    const source = Deno.readTextFileSync(file);
    return [LOGGED, HANDED, ESCAPED].flatMap((pattern) =>
      [...source.matchAll(pattern)].map(([, sentence = ""]) => sentence)
    );
  });
  assert.ok(sentences.length > 50, "they are found");
  assert.deepEqual(sentences.filter((sentence) => !manual.includes(sentence)), []);
});
