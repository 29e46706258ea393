/** Of several causes of a pause the first one silences, and the last one that goes lets it hear. */

import assert from "node:assert/strict";
import { pauseTaping, tapeMessage, type Taping } from "@/actors/call/taping.ts";

const STEPS = [
  ["asked", true, "recording_paused"],
  ["asked", true, null],
  ["sensitive", true, null],
  ["asked", false, null],
  ["asked", false, null],
  ["sensitive", false, "recording_resumed"],
  ["sensitive", false, null],
] as const;

Deno.test("a recording is paused by the first cause, and resumed by the last", () => {
  let taping: Taping = { running: { ref: { send: () => true }, originMs: 0 }, pauses: [] };
  for (const [cause, isPaused, wanted] of STEPS) {
    const [next, event] = pauseTaping(taping, { cause, isPaused });
    assert.equal(event?.type ?? null, wanted, `${cause} ${isPaused}`);
    taping = next;
  }
  assert.deepEqual(taping.pauses, []);
});

Deno.test("a new leg begins as silent as the recording is", () => {
  const running = { ref: { send: () => true }, originMs: 0 };
  assert.deepEqual(tapeMessage({ running, pauses: ["asked"] }), {
    type: "tape",
    running,
    isPaused: true,
  });
});
