/** How calls end: the outcome, and the reason on their record. */

import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";
import type { CallOutcome, EndReason } from "./events.ts";

export interface Ending {
  readonly outcome: CallOutcome;
  readonly reason: EndReason;
}

export const AGENT_HUNG_UP: Ending = { outcome: "answered", reason: "agent_hung_up" };
export const CALLER_HUNG_UP: Ending = { outcome: "answered", reason: "caller_hung_up" };
export const TRANSFERRED: Ending = { outcome: "answered", reason: "transferred" };
export const CRASHED: Ending = { outcome: "failed", reason: "crashed" };

/** How a call came out when the carrier says that it is over; null while it is not. */
export function endingOf(progress: CallProgress, wasAnswered: boolean): Ending | null {
  switch (progress) {
    case "queued":
    case "ringing":
    case "in_progress":
      return null;
    case "completed":
      return wasAnswered ? CALLER_HUNG_UP : { outcome: "failed", reason: "never_connected" };
    case "busy":
      return { outcome: "busy", reason: "carrier_ended" };
    case "no_answer":
    case "canceled":
      return { outcome: "no_answer", reason: "carrier_ended" };
    case "failed":
      return { outcome: "failed", reason: "carrier_ended" };
  }
}
