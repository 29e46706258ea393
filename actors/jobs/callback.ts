/** Calls a caller back who did not want to wait: once a line is free, once in all, and not when they have called again. */

import { z } from "zod";
import { hasTalkedSince } from "@/db/calls.ts";
import { AppError } from "@/lib/errors.ts";
import { jobKind } from "./kind.ts";

/** Nobody expects to be called back after that. */
const LATE_MS = 3_600_000;
const RETRY_S = 15;
/** More than there are retries in that time. */
const ATTEMPTS = 300;
const ID_MAX = 64;

/** `callId`: of the call that is to be placed, so that however often this runs there is one. Numbers are E.164. */
export const Callback = z.strictObject({
  callId: z.string().max(ID_MAX),
  agentId: z.string().max(ID_MAX),
  from: z.e164(),
  to: z.e164(),
  wantedAt: z.iso.datetime(),
});
export type Callback = z.infer<typeof Callback>;

export const callback = jobKind({
  payload: Callback,
  attempts: ATTEMPTS,
  leaseMs: 30_000,
  async run({ tenantId, read, act, clock, placeCall, signal }, wanted) {
    const { callId, from, to, wantedAt } = wanted;
    const since = new Date(wantedAt);
    const tell = (outcome: "placed" | "called_again" | "expired") =>
      act(({ emit }) =>
        emit("callback.ended", {
          ...{ from, to, wantedAt, outcome },
          callId: outcome === "placed" ? callId : null,
        })
      );
    const parties = { ours: from, theirs: to, exceptId: callId };
    if (await read((sql) => hasTalkedSince(sql, tenantId, parties, since))) {
      return await tell("called_again");
    }
    if (clock.date().getTime() - since.getTime() > LATE_MS) return await tell("expired");
    try {
      await placeCall(tenantId, wanted, signal);
    } catch (error) {
      const isFull = error instanceof AppError &&
        (error.code === "busy" || error.code === "draining");
      if (!isFull) throw error;
      const options = { retryable: true, retryAfterS: RETRY_S, cause: error };
      throw new AppError("busy", "No line is free to call back", options);
    }
    await tell("placed");
  },
});
