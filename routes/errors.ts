/** Failures as answers: problem+json (RFC 9457) with a code, a field and a request id. */

import type { Context, ErrorHandler, NotFoundHandler } from "hono";
import { HTTPException } from "hono/http-exception";
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
  wrong_method: 405,
  misdirected: 421,
  conflict: 409,
  gone: 410,
  edit_conflict: 412,
  key_reused: 422,
  too_large: 413,
  wrong_type: 415,
  rate_limited: 429,
  quota_exceeded: 429,
  busy: 429,
  overloaded: 503,
  fenced: 409,
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
    ...["busy", "overloaded", "draining", "not_configured", "wrong_method", "misdirected"] as const,
  ],
);

/** The phrases of the statuses (RFC 9110 §15): what `title` is when `type` is about:blank (RFC 9457 §4.2.1). */
export const TITLE_OF = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
} as const satisfies Record<typeof STATUS_OF[ErrorCode], string>;

/** The body of a problem. A 404 is the same for a missing thing and another tenant's: it names nothing. */
export function problem(error: AppError, requestId: string): string {
  const { code, message, field, errors } = error;
  const status = STATUS_OF[code];
  return JSON.stringify({
    type: "about:blank",
    title: TITLE_OF[status],
    status,
    code,
    ...(SHOWN.has(code) ? { detail: message } : {}),
    ...(field === undefined || status === 404 ? {} : { field }),
    ...(errors.length === 0 ? {} : { errors }),
    requestId,
  });
}

export function answerProblem(c: Context<Env>, error: AppError): Response {
  const status = STATUS_OF[error.code];
  if (status === 401) c.header("WWW-Authenticate", "Bearer");
  if (status === 405) c.header("Allow", error.allow.join(", "));
  const retryAfterS = error.retryAfterS ?? (status === 429 || status === 503 ? 1 : null);
  if (retryAfterS !== null) c.header("Retry-After", `${retryAfterS}`);
  return c.body(problem(error, c.var.requestId), status, {
    "Content-Type": "application/problem+json",
  });
}

/** Answers what a route threw. An AppError of ours or a provider's, and any bug, is logged here, once. */
export function onError(log: Log): ErrorHandler<Env> {
  return (error, c) => {
    const { requestId } = c.var;
    if (error instanceof HTTPException && error.status < 500) { // of hono's own validators
      const code = error.status === 415 ? "wrong_type" : "invalid";
      return answerProblem(c, new AppError(code, "Body is not what this takes", { cause: error }));
    }
    if (!(error instanceof AppError)) {
      log.error("request crashed", { requestId, path: c.req.path, error });
      return answerProblem(c, new AppError("internal", "A bug", { cause: error }));
    }
    if (STATUS_OF[error.code] >= 500) log.warn("request failed", { requestId, error });
    return answerProblem(c, error);
  };
}

/** A path that another method has is told so; any other names nothing. */
export function onNotFound(
  methodsAt: (path: string) => readonly string[] = () => [],
): NotFoundHandler<Env> {
  return (c) => {
    const allow = methodsAt(c.req.path);
    if (allow.length === 0 || allow.includes(c.req.method)) {
      return answerProblem(c, new AppError("not_found", "No such thing"));
    }
    const message = `Cannot ${c.req.method} here: it takes ${allow.join(", ")}`;
    return answerProblem(c, new AppError("wrong_method", message, { allow }));
  };
}
