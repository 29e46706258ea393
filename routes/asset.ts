/** Files of the house's pages: read once, compressed once, and sent with an ETag. */

import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Context } from "hono";
import type { Env } from "./env.ts";
import { inPieces } from "./pieces.ts";

/** Asked again after a minute, and answered with 304 as long as nothing has changed. */
const CACHED = "public, max-age=60";

/** What is sent: as it is and compressed, once and not at every request. */
export interface Asset {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly etag: string;
  readonly zipped: Promise<Uint8Array<ArrayBuffer>>;
}

const zip = promisify(gzip);

export function asset(type: string, text: string): Asset {
  const body = new TextEncoder().encode(text);
  const digest = createHash("sha256").update(body).digest("base64url");
  const zipped = zip(body).then((bytes) => new Uint8Array(bytes));
  return { type, body, etag: `"${digest.slice(0, 22)}"`, zipped };
}

/** With its ETag (RFC 9110 §13.1.2); one of a compressed answer comes back as it is or weak. */
export async function send(
  c: Context<Env>,
  { type, body, etag, zipped }: Asset,
): Promise<Response> {
  c.header("Cache-Control", CACHED);
  c.header("ETag", `W/${etag}`);
  c.header("Vary", "Accept-Encoding", { append: true });
  if ((c.req.header("if-none-match") ?? "").includes(etag)) return c.body(null, 304);
  if (!/\bgzip\b/.test(c.req.header("accept-encoding") ?? "")) {
    return c.body(inPieces(body), 200, { "Content-Type": type });
  }
  return c.body(inPieces(await zipped), 200, { "Content-Type": type, "Content-Encoding": "gzip" });
}
