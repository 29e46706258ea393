/** What no recogniser has told of: when a caller has to know that they were not heard. */

import assert from "node:assert/strict";
import { isToBeTold, listens, tells, type Untold, untoldOf } from "@/actors/call/untold.ts";

/** So long a stretch of the line. */
function after(untold: Untold, hasSound: boolean, ms: number): Untold {
  let next = untold;
  for (let at = 0; at < ms; at += 20) next = listens(next, hasSound);
  return next;
}

const down = tells(untoldOf(null), "lost", 1_000);
const spoken = after(after(down, true, 600), false, 400);

const interim = tells(after(untoldOf(null), true, 600), "interim", 1_000);

const ROWS: Readonly<Record<string, readonly [Untold, number, boolean]>> = {
  "they spoke and are silent": [spoken, 2_000, true],
  "they are still speaking": [after(down, true, 600), 2_000, false],
  "they have just paused": [after(after(down, true, 600), false, 380), 2_000, false],
  "it was a click": [after(after(down, true, 300), false, 600), 2_000, false],
  "nothing was said": [after(down, false, 3_000), 2_000, false],
  "it has only just been lost": [spoken, 1_200, false],
  "it has been back for long": [spoken, 7_100, false],
  "it is lost still": [tells(spoken, "lost", 6_000), 7_100, true],
  "it works": [after(after(untoldOf(null), true, 600), false, 400), 2_000, false],
  "it has ended the utterance": [tells(spoken, "utteranceEnded", 1_900), 2_000, false],
  "its words are not over": [after(interim, false, 1_880), 3_000, false],
  "its words do not come to an end": [after(interim, false, 1_900), 3_000, true],
  "what they said is long ago": [after(after(down, true, 600), false, 6_000), 2_000, false],
};

for (const [name, [untold, now, isDue]] of Object.entries(ROWS)) {
  Deno.test(`a caller is ${isDue ? "" : "not "}to be told: ${name}`, () => {
    assert.equal(isToBeTold(untold, now, 400), isDue);
  });
}

Deno.test("a recogniser that judges the end of a turn by more than silence is waited for", () => {
  assert.equal(isToBeTold(after(interim, false, 4_000), 5_000, null), false);
  assert.equal(isToBeTold(after(interim, false, 4_000), 5_000, 400), true);
});
