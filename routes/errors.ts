/** Failures as answers: problem+json (RFC 9457) with a code, a field and a request id. */

import type { Context, ErrorHandler, NotFoundHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Env } from "./env.ts";

export const STATUS_OF = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  tenant_suspended: 403,
  not_found: 404,
  conflict: 409,
  gone: 410,
  edit_conflict: 412,
  key_reused: 422,
  too_large: 413,
  wrong_type: 415,
  rate_limited: 429,
  quota_exceeded: 429,
  busy: 429,
  draining: 503,
  mailbox_full: 503,
  actor_stopped: 503,
  unknown_outcome: 504,
  not_configured: 503,
  provider_failed: 502,
  database_unavailable: 503,
  data_dir_locked: 500,
  internal: 500,
} as const satisfies Record<ErrorCode, ContentfulStatusCode>;

/** Codes whose own message helps the sender; all others may name ids or insides and stay with us. */
const SHOWN: ReadonlySet<ErrorCode> = new Set(
  [
    ...["invalid", "forbidden", "tenant_suspended", "conflict", "gone", "edit_conflict"] as const,
    ...["key_reused", "too_large", "wrong_type", "rate_limited", "quota_exceeded"] as const,
    ...["busy", "draining", "not_configured"] as const,
  ],
);

/** The body of a problem. A 404 is the same for a missing thing and another tenant's: it names nothing. */
export function problem(error: AppError, requestId: string): string {
  return JSON.stringify({
    type: "about:blank",
    status: STATUS_OF[error.code],
    code: error.code,
    ...(SHOWN.has(error.code) ? { detail: error.message } : {}),
    ...(error.field === undefined ? {} : { field: error.field }),
    requestId,
  });
}

export function answerProblem(c: Context<Env>, error: AppError): Response {
  const status = STATUS_OF[error.code];
  if (status === 401) c.header("WWW-Authenticate", "Bearer");
  if (status === 429 || status === 503) c.header("Retry-After", `${error.retryAfterS ?? 1}`);
  return c.body(problem(error, c.var.requestId), status, {
    "Content-Type": "application/problem+json",
  });
}

/** Answers what a route threw. An AppError of ours or a provider's, and any bug, is logged here, once. */
export function onError(log: Log): ErrorHandler<Env> {
  return (error, c) => {
    const { requestId } = c.var;
    if (!(error instanceof AppError)) {
      log.error("request crashed", { requestId, path: c.req.path, error });
      return c.body(JSON.stringify({ type: "about:blank", status: 500, requestId }), 500, {
        "Content-Type": "application/problem+json",
      });
    }
    if (STATUS_OF[error.code] >= 500) log.warn("request failed", { requestId, error });
    return answerProblem(c, error);
  };
}

export function onNotFound(): NotFoundHandler<Env> {
  return (c) => answerProblem(c, new AppError("not_found", "No such thing"));
}
