/** Templates: filled in once, with plain text. */

import assert from "node:assert/strict";
import { render } from "@/lib/workflow/template.ts";

const ROWS: readonly (readonly [string, string, string])[] = [
  ["a variable", "Hello {{name}}!", "Hello Ada!"],
  ["spaces inside", "{{ name }} {{  count}}", "Ada 3"],
  ["true and false", "{{isNew}}", "false"],
  ["nothing for one that is missing", "Hello {{nobody}}!", "Hello !"],
  ["nothing of the object itself", "{{constructor}}{{toString}}{{hasOwnProperty}}", ""],
  ["nothing else in braces", "{{a.b}} {{1}} {name} {{}}", "{{a.b}} {{1}} {name} {{}}"],
  ["a value that looks like a template once", "{{trick}}", "name"],
  ["a value without markup", "{{markup}}", "speakhi/speak"],
  ["a value on one line", "{{lines}}", "one two"],
  ["dollar signs as they are", "{{price}}", "$& $1"],
];

for (const [what, template, text] of ROWS) {
  Deno.test(`a template renders ${what}`, () => {
    const variables = {
      name: "Ada",
      count: 3,
      isNew: false,
      trick: "{{name}}",
      markup: "<speak>hi</speak>",
      lines: "one\r\n\u2028two",
      price: "$& $1",
    };
    assert.equal(render(template, variables), text);
  });
}
