/** Requests that a hard-pressed machine puts off, so that its live calls go on: lists first, then what writes. */

import type { MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/** What ends, steers or is owed to somebody: a call's controls, logging out, and erasure. */
const NEVER_SHED = /^\/api\/v1\/(calls\/[^/]+\/|auth\/|erasures|tenant\/)/;
/** A resource without an id is a list; so are an export and the audit log. */
const LIST = /^\/api\/v1\/[\w-]+\/?$/;
/** They come back apart from each other. */
const RETRY_S = { min: 5, spread: 10 };

export function shedRequests(
  { isShed, random }: Pick<AppDeps, "isShed" | "random">,
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { path, method } = c.req;
    const isRead = method === "GET" || method === "HEAD";
    const isShedNow = method !== "OPTIONS" && !NEVER_SHED.test(path) &&
      (isRead ? LIST.test(path) && isShed("lists") : isShed("writes"));
    if (!isShedNow) return await next();
    throw new AppError("overloaded", "This machine has too much to do: ask again", {
      retryable: true,
      retryAfterS: RETRY_S.min + Math.floor(random() * RETRY_S.spread),
    });
  };
}
