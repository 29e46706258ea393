/** Headers of every answer. */

import type { MiddlewareHandler } from "hono";
import { newId } from "@/lib/ids.ts";
import type { Env } from "./env.ts";

/** Takes the sender's request id where it is a plain one, so that two systems can talk of one request. */
export function requestId(): MiddlewareHandler<Env> {
  return async (c, next) => {
    const given = c.req.header("x-request-id") ?? "";
    const id = /^[\w.-]{1,64}$/.test(given) ? given : newId("request");
    c.set("requestId", id);
    c.header("X-Request-Id", id);
    await next();
  };
}

/** Two years, as hstspreload.org asks for; not for subdomains, which are not ours to decide on. */
const HSTS = "max-age=63072000";

/** Nothing we answer is a page: no script, no frame, no cache, no guess at a type. `/docs` has its own. */
export function securityHeaders(publicUrl = ""): MiddlewareHandler<Env> {
  const isSecure = publicUrl.startsWith("https:");
  return async (c, next) => {
    c.header("Cache-Control", "no-store");
    c.header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    c.header("Referrer-Policy", "no-referrer");
    c.header("X-Content-Type-Options", "nosniff");
    if (isSecure) c.header("Strict-Transport-Security", HSTS);
    await next();
  };
}
