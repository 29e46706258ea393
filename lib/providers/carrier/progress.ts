/** Twilio's words for how a call is going, in ours. https://www.twilio.com/docs/voice/api/call-resource#call-status-values */

import type { CallProgress } from "./carrier.ts";

/** Every `CallStatus` there is; `initiated` is the status callback's word for having left the queue. */
const PROGRESS = {
  "queued": "queued",
  "initiated": "queued",
  "ringing": "ringing",
  "in-progress": "in_progress",
  "completed": "completed",
  "busy": "busy",
  "no-answer": "no_answer",
  "failed": "failed",
  "canceled": "canceled",
} as const satisfies Record<string, CallProgress>;

export type TwilioCallStatus = keyof typeof PROGRESS;

// Object.keys says string[]; the object is closed and const, so its keys are the union.
export const TWILIO_CALL_STATUSES = Object.keys(PROGRESS) as readonly TwilioCallStatus[];

export function toCallProgress(status: TwilioCallStatus): CallProgress {
  return PROGRESS[status];
}

/** Whether nothing comes of the call any more. */
export function isFinal(progress: CallProgress): boolean {
  return progress !== "queued" && progress !== "ringing" && progress !== "in_progress";
}
