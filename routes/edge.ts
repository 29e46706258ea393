/** The edge: which hosts, origins and addresses count, and answers that are compressed. */

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { Context, MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { cors } from "hono/cors";
import type { EdgeConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import type { Env } from "./env.ts";

/** Smaller answers gain nothing. */
export const GZIP_BYTES_MIN = 1_024;
/** How long a browser may keep what a preflight was told: Chromium's most is two hours. */
const PREFLIGHT_S = 600;

const TAKEN_HEADERS = [
  ...["Authorization", "Content-Type", "X-Tenant-ID", "X-Request-Id"],
  ...["Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID"],
];
const SHOWN_HEADERS = [
  ...["X-Request-Id", "ETag", "Retry-After", "Content-Disposition"],
  ...["RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
];

/**
 * Lets pages of the listed origins read answers, and answers preflights. No credentials are allowed: a
 * page sends its token itself, and no cookie opens anything.
 */
export function allowOrigins({ origins }: EdgeConfig): MiddlewareHandler<Env> {
  const answer = cors({
    origin: [...origins],
    allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: TAKEN_HEADERS,
    exposeHeaders: SHOWN_HEADERS,
    maxAge: PREFLIGHT_S,
  });
  // Who sends no origin is no page: nothing is to be said to it.
  return (c, next) => c.req.header("origin") === undefined ? next() : answer(c, next);
}

/**
 * Refuses what was sent to another host: a name that somebody else points here (DNS rebinding) would
 * let their page in as one of ours.
 */
export function checkHost(
  { hosts }: EdgeConfig,
  publicUrl: string,
): MiddlewareHandler<Env> {
  const known = new Set([
    ...hosts,
    ...["localhost", "127.0.0.1", "[::1]"],
    new URL(publicUrl).hostname,
  ]);
  return async (c, next) => {
    if (!known.has(hostOf(c.req.url))) {
      throw new AppError("misdirected", "This host is not served here");
    }
    await next();
  };
}

/** `http://host:80/path` → `host`; the listener has made the URL, so it is one. */
function hostOf(url: string): string {
  const start = url.indexOf("//") + 2;
  const end = url.indexOf("/", start);
  return url.slice(start, end === -1 ? undefined : end).replace(/:\d+$/, "");
}

/** gzip from `GZIP_BYTES_MIN` on, where the client takes it; never an event stream. */
export function gzip(): MiddlewareHandler<Env> {
  const squeeze = compress({ encoding: "gzip", threshold: GZIP_BYTES_MIN });
  return (c, next) => {
    if (!/\bgzip\b|\*/.test(c.req.header("accept-encoding") ?? "")) return next();
    return squeeze(c, async () => {
      await next();
      await measure(c);
    });
  };
}

/** Says how long a JSON answer is, which the compression wants to know and no route says. */
async function measure(c: Context<Env>): Promise<void> {
  const { res } = c;
  const isJson = /^application\/(problem\+)?json\b/.test(res.headers.get("content-type") ?? "");
  if (!isJson || res.body === null || res.headers.has("content-length")) return;
  const bytes = await res.arrayBuffer();
  c.res = new Response(bytes, res);
  c.res.headers.set("Content-Length", `${bytes.byteLength}`);
}

/** The client's address: as the proxy says it, where there is one, else the socket's. No other header counts. */
export function clientAddress(c: Context<Env>, { clientHeader }: EdgeConfig): string | null {
  const said = clientHeader === null ? undefined : c.req.header(clientHeader);
  return addressIn(said) ?? c.env?.remoteAddress ?? null;
}

/** As `clientAddress`, of a request to upgrade. */
export function peerAddress(
  { headers, socket }: IncomingMessage,
  { clientHeader }: EdgeConfig,
): string | null {
  const said = clientHeader === null ? undefined : headers[clientHeader];
  return addressIn(typeof said === "string" ? said : undefined) ?? socket.remoteAddress ?? null;
}

/** Of a list the last one: it is the proxy's own word, those before it are the client's. */
function addressIn(said = ""): string | null {
  const last = said.split(",").at(-1)?.trim() ?? "";
  return isIP(last) === 0 ? null : last;
}

interface Registered {
  readonly method: string;
  readonly path: string;
}

/** Which methods a path has, so that a wrong one is told so: `ALL` is middleware. */
export function methodTable(routes: readonly Registered[]): (path: string) => readonly string[] {
  const methods = new Map<string, Set<string>>();
  for (const { method, path } of routes) {
    if (method === "ALL") continue;
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
    if (method === "GET") methods.get(path)?.add("HEAD");
  }
  const table = [...methods].map(([path, of]) => ({ pattern: patternOf(path), of: [...of] }));
  return (path) => {
    const found = table.filter(({ pattern }) => pattern.test(path)).flatMap(({ of }) => of);
    return [...new Set(found)].toSorted();
  };
}

/** hono's paths: `/calls/:id/events`. */
function patternOf(path: string): RegExp {
  const parts = path.split("/").map((part) => part.startsWith(":") ? "[^/]+" : RegExp.escape(part));
  return new RegExp(`^${parts.join("/")}$`);
}
