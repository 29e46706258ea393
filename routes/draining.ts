/** New work on a machine that drains: on Fly another machine gets it, elsewhere it is refused by name. */

import type { MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/** Calls that come in, that are to be placed, and that pages ask for. */
const NEW_WORK = [
  /^\/twilio\/(tenant_[\w-]+\/)?(voice|livekit)$/,
  /^\/api\/v1\/calls$/,
  /^\/api\/v1\/livekit\/rooms\/[^/]+\/(agents|sip-participants)$/,
  /^\/talk\/[\w-]+\/tickets$/,
  /^\/api\/v1\/agents\/[\w-]+\/talk-tickets$/,
];
/** A carrier understands no refusal by name: its webhook says busy. */
const CARRIERS = /^\/twilio\//;
/** A balancer looks every few seconds, and then comes here no more. */
const RETRY_S = 5;

export function refuseNewWork(
  { isDraining, edge }: Pick<AppDeps, "isDraining" | "edge">,
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { path, method } = c.req;
    if (!isDraining() || method !== "POST" || !NEW_WORK.some((it) => it.test(path))) {
      return await next();
    }
    const wasBrought = ["fly-replay-src", "fly-replay-failed"].some((it) => c.req.header(it));
    if (edge.trustsFly && !wasBrought) {
      return c.body(null, 409, { "fly-replay": "elsewhere=true;timeout=5s;fallback=force_self" });
    }
    if (CARRIERS.test(path)) return await next();
    throw new AppError("draining", "This machine takes no new work: ask again", {
      retryable: true,
      retryAfterS: RETRY_S,
    });
  };
}
