/** No carrier at all: a page in a browser talks to us itself, and its call ends with its socket. */

import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "./carrier.ts";

/** What a call's row names as the carrier of a web call; its two numbers are the same word. */
export const WEB_CARRIER = "web";

export function web(): Carrier {
  return {
    provider: WEB_CARRIER,
    placeCall() {
      return Promise.reject(new AppError("not_configured", "Cannot place a call to a browser"));
    },
    hangUp: () => Promise.resolve(), // the leg closes the socket, and that is all there is
  };
}
