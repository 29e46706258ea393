/** The failures a caller of ours may act on. Anything else that is thrown is a bug and crashes its actor. */

/** Every code there is. Add one here and in `routes/errors.ts`, nowhere else. */
export const ERROR_CODES = [
  "invalid", // the input is wrong: `field` names where
  "unauthenticated", // no credential, or one that does not verify
  "forbidden", // the credential does not reach this far
  "tenant_suspended", // the company's access is off
  "not_found", // no such thing, or another tenant's
  "wrong_method", // there is such a path, but not with this method: `allow` names those there are
  "misdirected", // the request was sent to a host that this is not
  "conflict", // the thing is not in a state that allows it
  "gone", // it was there and has expired or been used
  "edit_conflict", // somebody else changed it since: `If-Match` is of an older version
  "key_reused", // an `Idempotency-Key` came again with another body
  "too_large", // over a named limit
  "wrong_type", // the body is of a media type that is not taken here
  "rate_limited", // too many requests: `retryAfterS` says when
  "quota_exceeded", // the tenant's plan allows no more
  "busy", // at capacity: try later
  "overloaded", // hard pressed: what can wait comes again
  "fenced", // another machine owns it by now: nothing was written
  "draining", // this machine takes no new work
  "mailbox_full", // an actor's queue is at its bound
  "actor_stopped", // nobody is there to handle it
  "unknown_outcome", // the deadline passed: it may or may not have happened
  "not_configured", // a setting is missing: `field` names it
  "provider_failed", // a provider refused, broke or answered nonsense
  "database_unavailable", // a query missed its deadline or lost its connection
  "data_dir_locked", // another process holds the embedded database
  "internal", // a bug of ours, contained and logged where it was thrown
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Of a code that comes from elsewhere: whether it is one of ours. */
export function isErrorCode(code: string): code is ErrorCode {
  return ERROR_CODES.some((known) => known === code);
}

/** One thing that is wrong with a request, and where it stands. */
export interface FieldError {
  readonly in: "body" | "query" | "path" | "header";
  readonly field: string;
  readonly message: string;
}

export interface ErrorOptions {
  /** True when the same request may work later. */
  readonly retryable?: boolean;
  /** The input field or setting that is wrong, as its sender writes it: `turns[0].text`, `DEEPGRAM_API_KEY`. */
  readonly field?: string;
  /** All that is wrong, when it is more than one field can say. */
  readonly errors?: readonly FieldError[];
  /** Methods that the path has. */
  readonly allow?: readonly string[];
  /** Seconds until a refused request may come again. */
  readonly retryAfterS?: number;
  /** A provider's HTTP status, where there was one. */
  readonly status?: number;
  readonly cause?: unknown;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly field: string | undefined;
  readonly errors: readonly FieldError[];
  readonly allow: readonly string[];
  readonly retryAfterS: number | undefined;
  readonly status: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.field = options.field;
    this.errors = options.errors ?? [];
    this.allow = options.allow ?? [];
    this.retryAfterS = options.retryAfterS;
    this.status = options.status;
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
