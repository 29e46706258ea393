/** Twilio's words for a call's progress. */

import assert from "node:assert/strict";
import { toCallProgress, TWILIO_CALL_STATUSES } from "@/lib/providers/carrier/progress.ts";

Deno.test("every CallStatus of Twilio has a word of ours", () => {
  assert.deepEqual(TWILIO_CALL_STATUSES.map((status) => [status, toCallProgress(status)]), [
    ["queued", "queued"],
    ["initiated", "queued"],
    ["ringing", "ringing"],
    ["in-progress", "in_progress"],
    ["completed", "completed"],
    ["busy", "busy"],
    ["no-answer", "no_answer"],
    ["failed", "failed"],
    ["canceled", "canceled"],
  ]);
});
