/** The public application: what every request passes, and which file answers it. */

import { Hono } from "hono";
import { bearer } from "./bearer.ts";
import { calls } from "./calls.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";
import { onError, onNotFound } from "./errors.ts";
import { requestId, securityHeaders } from "./headers.ts";
import { health } from "./health.ts";
import { twilio } from "./twilio.ts";

export function newApp(deps: AppDeps): Hono<Env> {
  return new Hono<Env>()
    .use(requestId())
    .use(securityHeaders())
    .route("/", health(deps))
    .route("/twilio", twilio(deps))
    .use("/api/*", bearer(deps.api.token))
    .route("/api/v1/calls", calls(deps))
    .notFound(onNotFound())
    .onError(onError(deps.log));
}
