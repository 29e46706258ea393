/** A carrier without an account: its calls come in, signed, and end with their media socket; it places none. */

import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "./carrier.ts";

export function inboundOnly(): Carrier {
  return {
    provider: "inbound-only",
    placeCall() {
      const field = "TWILIO_ACCOUNT_SID";
      const message = `Cannot place a call: no carrier account, ${field} is not set`;
      return Promise.reject(new AppError("not_configured", message, { field }));
    },
    hangUp: () => Promise.resolve(), // the carrier asks what is next, and is told to hang up
  };
}
