/** The look over JSON before it is parsed: what is refused and why, and that nothing else is. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { systemClock } from "@/lib/clock.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { JSON_DEPTH_MAX, JSON_VALUES_MAX, scanJson } from "@/routes/json_scan.ts";

/** The code and field that the text is refused with; null: it is not. */
function refusal(text: string): [ErrorCode, string | undefined] | null {
  try {
    scanJson(text);
    return null;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [error.code, error.field];
  }
}

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const wide = (count: number): string => `[${"0,".repeat(count - 1)}0]`;

Deno.test("what JSON.parse must not see is refused with its code and its field", () => {
  const rows: [string, ReturnType<typeof refusal>][] = [
    [nested(JSON_DEPTH_MAX), null],
    [nested(JSON_DEPTH_MAX + 1), ["too_large", undefined]],
    ["[".repeat(1_000_000), ["too_large", undefined]],
    ['{"a":'.repeat(1_000_000), ["too_large", undefined]],
    [`["\\"${"[".repeat(100)}"]`, null], // a bracket in a string is no level
    [`["\\\\",${"[".repeat(100)}]`, ["too_large", undefined]],
    [wide(JSON_VALUES_MAX), null],
    [wide(JSON_VALUES_MAX + 1), ["too_large", undefined]],
    ['{"a":1,"a":2}', ["invalid", "a"]],
    ['{"a":1,"\\u0061":2}', ["invalid", "a"]],
    ['{"turns":[{"a":1},{"a":1,"b":{"c":1,"c":1}}]}', ["invalid", "turns[1].b.c"]],
    ['{"a":{"b":1},"b":1}', null],
    ['{"a":"a","b":"a"}', null],
    ['{"__proto__":{"isAdmin":true}}', ["invalid", "__proto__"]],
    ['{"a":{"__pr\\u006fto__":1}}', ["invalid", "a.__proto__"]],
    ['{"name":"a\\u0000b"}', ["invalid", "name"]],
    ['{"name":"a\u0000b"}', ["invalid", "name"]],
    ['{"name":"\\\\u0000"}', null],
    ['{"name":"\\ud800"}', ["invalid", "name"]],
    ['{"name":"\\udc00"}', ["invalid", "name"]],
    ['{"name":"\\ud83d\\u0041"}', ["invalid", "name"]],
    ['{"name":"\\ud83d\\ude00 \\uD83D\\uDE00"}', null],
    ['["x","\\ud83d\\ude00\\ude00"]', ["invalid", "[1]"]],
    ['{"n":1e308}', null],
    ['{"n":[1e999]}', ["invalid", "n[0]"]],
    ['{"n":-1e999}', ["invalid", "n"]],
    ['{"n":"1e999"}', null],
    ['"', null], // no JSON: the parser's to refuse
    ["]]]]", null],
    ["", null],
  ];
  for (const [text, expected] of rows) assert.deepEqual(refusal(text), expected, text.slice(0, 60));
});

Deno.test("any JSON of storable text within the bounds passes, spaced or not", () => {
  const value = fc.jsonValue({ maxDepth: 6, stringUnit: "binary" });
  fc.assert(fc.property(value, fc.nat(3), (json, space) => {
    const text = JSON.stringify(json, null, space);
    fc.pre(!text.includes("\\u0000") && !text.includes('"__proto__":'));
    assert.equal(refusal(text), null);
  }));
});

Deno.test("what is deep or wide without end is refused before it is read to the end", () => {
  for (const text of ["[", '{"a":', "0,", '"",']) {
    const whole = text.repeat(10_000_000);
    assert.equal(whole[0], text[0]); // makes one string of it
    const startedAt = systemClock.now();
    assert.equal(refusal(whole)?.[0], "too_large");
    assert.ok(systemClock.now() - startedAt < 50, text);
  }
});
