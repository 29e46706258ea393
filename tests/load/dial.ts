/** Phones a server that a load has: to whom, signed by which account, over what. */

import { DEMO_NUMBER } from "@/db/demo.ts";
import { systemClock } from "@/lib/clock.ts";
import { type InboundOptions, placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import type { Target } from "./phone.ts";

/** Of the range for fiction. */
export const FROM = "+15550199000";

export interface DialOptions extends Pick<InboundOptions, "reach" | "streamed"> {
  /** Of the voice webhook. */
  readonly query?: URLSearchParams;
  readonly from?: string;
  readonly to?: string;
}

/** The demo's number where no other is named. Resolves when the call is put through, or over. */
export function dial(
  { url, carrierToken, twilio }: Target,
  { query, from = FROM, to = DEMO_NUMBER, ...others }: DialOptions = {},
): Promise<FakeCall> {
  return placeInbound({
    webhookUrl: `${url}/twilio/voice${query?.size ? `?${query}` : ""}`,
    publicUrl: url,
    authToken: carrierToken,
    from,
    to,
    clock: systemClock,
    ...(twilio === null ? {} : { twilio }),
    ...others,
  });
}

/** As the server has named it in the first media URL; null: it was never put through. */
export function callIdOf({ log }: FakeCall): string | null {
  const [url = ""] = log.flatMap((entry) => entry.type === "streamOpened" ? [entry.url] : []);
  return /\/media\/[^/]+\/([^/]+)\//.exec(url)?.[1] ?? null;
}
