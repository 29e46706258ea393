/** Who must be told that a call is recorded: by the states of both ends, the stricter one. */

import assert from "node:assert/strict";
import { type Consent, consentFor, stateOf, US_STATES } from "@/lib/recording/consent.ts";

const TEXAS = "+12105550100";
const NEW_YORK = "+12125550100";
const CALIFORNIA = "+14155550100";
const FLORIDA = "+13055550100";

const CASES: readonly [
  wish: Consent,
  numbers: string[],
  state: "CA" | "TX" | null,
  wanted: Consent,
][] = [
  ["none", [TEXAS, NEW_YORK], null, "none"],
  ["none", [TEXAS, CALIFORNIA], null, "disclose"],
  ["none", [CALIFORNIA, TEXAS], null, "disclose"],
  ["none", [FLORIDA, FLORIDA], null, "disclose"],
  ["none", [TEXAS, NEW_YORK], "CA", "disclose"],
  ["none", [TEXAS, CALIFORNIA], "TX", "disclose"],
  ["none", [TEXAS, "+4915100000001"], null, "disclose"],
  ["none", [TEXAS, "+18005550100"], null, "disclose"],
  ["none", [TEXAS, "+14165550100"], null, "disclose"], // Toronto
  ["none", ["web", "web"], null, "disclose"],
  ["disclose", [TEXAS, NEW_YORK], null, "disclose"],
  ["ask", [TEXAS, NEW_YORK], null, "ask"],
  ["ask", [CALIFORNIA, "web"], "CA", "ask"],
];

for (const [wish, numbers, state, wanted] of CASES) {
  Deno.test(`an agent that wants "${wish}" between ${numbers.join(" and ")}${state === null ? "" : `, of ${state}`}: ${wanted}`, () => {
    assert.equal(consentFor(wish, { numbers, state }), wanted);
  });
}

Deno.test("every area code is of one state, and every state has one", () => {
  const all = new Set<string>();
  for (let code = 200; code < 1_000; code++) {
    const state = stateOf(`+1${code}5550100`);
    if (state !== null) all.add(state);
  }
  assert.deepEqual([...all].sort(), [...US_STATES].sort());
  assert.equal(US_STATES.length, 51); // the District of Columbia too
});

Deno.test("what is no number of the United States is of no state", () => {
  for (const number of ["web", "", "+1415555010", "+141555501000", "14155550100", "+44155550100"]) {
    assert.equal(stateOf(number), null, number);
  }
});
