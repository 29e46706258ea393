/** A bearer token that opens a group of routes (RFC 6750). */

import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { Env } from "./env.ts";

export function bearer(token: string): MiddlewareHandler<Env> {
  const expected = digest(`Bearer ${token}`);
  return async (c, next) => {
    const given = c.req.header("authorization");
    if (given === undefined || !timingSafeEqual(digest(given), expected)) {
      throw new AppError("unauthenticated", "No valid bearer token", { field: "Authorization" });
    }
    await next();
  };
}

/** Digests are compared, so that neither the time nor an unequal length tells anything. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
