/** Keypad input: what ends it, and what is too short. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Keypad,
  type KeypadOptions,
  type KeypadResult,
  newKeypad,
  takeKey,
} from "@/lib/speech/keypad.ts";

const OPTIONS: KeypadOptions = {
  maxDigits: 6,
  minDigits: 4,
  terminator: "#",
  firstDigitMs: 5_000,
  interDigitMs: 2_000,
  variable: null,
  isMasked: false,
};

/** Presses the keys 100 ms apart, and then waits for so long. */
function enter(keys: string, waitMs = 0, options = OPTIONS): [Keypad, KeypadResult[]] {
  let keypad = newKeypad(options, 0);
  const results: KeypadResult[] = [];
  let at = 0;
  const take = (event: Parameters<typeof takeKey>[1]): void => {
    const [next, result] = takeKey(keypad, event);
    keypad = next;
    if (result !== null) results.push(result);
  };
  for (const digit of keys) take({ type: "pressed", digit, at: at += 100 });
  take({ type: "waited", at: at + waitMs });
  return [keypad, results];
}

const ROWS: readonly (readonly [string, number, readonly KeypadResult[]])[] = [
  ["1234#", 0, [{ type: "entered", digits: "1234" }]],
  ["123456", 0, [{ type: "entered", digits: "123456" }]],
  ["12345678#", 0, [{ type: "entered", digits: "123456" }]], // what comes behind is not taken
  ["1234", 1_999, []],
  ["1234", 2_000, [{ type: "entered", digits: "1234" }]],
  ["12#", 0, [{ type: "tooShort", digitCount: 2 }]],
  ["12", 2_000, [{ type: "tooShort", digitCount: 2 }]],
  ["#", 0, [{ type: "nothing" }]],
  ["", 4_999, []],
  ["", 5_000, [{ type: "nothing" }]],
  ["12*4#", 0, [{ type: "entered", digits: "12*4" }]],
];

for (const [keys, waitMs, results] of ROWS) {
  Deno.test(`keypad: "${keys}" and ${waitMs} ms of silence`, () => {
    assert.deepEqual(enter(keys, waitMs)[1], results);
  });
}

Deno.test("keypad gives one result at most, never more digits than asked for, and keeps none behind it", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9*#A-D]{0,20}$/), fc.nat(6_000), (keys, waitMs) => {
      const [keypad, results] = enter(keys, waitMs);
      assert.ok(results.length <= 1);
      for (const result of results) {
        if (result.type === "entered") assert.ok(result.digits.length <= OPTIONS.maxDigits);
        assert.equal(keypad.digits, "");
      }
    }),
  );
});
