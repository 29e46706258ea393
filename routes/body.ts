/** Reading what a sender wrote: bounded before it is parsed, checked before it is used. */

import type { Context, MiddlewareHandler } from "hono";
import type { core, ZodType } from "zod";
import { AppError } from "@/lib/errors.ts";

/** Of a JSON body or a form. */
export const BODY_BYTES_MAX = 1024 * 1024;
export const JSON_DEPTH_MAX = 64;
/** Members and elements of all objects and arrays of a body together. */
export const JSON_VALUES_MAX = 10_000;
/** Twilio sends about 40. */
export const FORM_FIELDS_MAX = 200;

/** The body as text. Throws AppError("too_large"); the rest of an oversize body is not read. */
export async function readText(c: Context): Promise<string> {
  const stream = c.req.raw.body;
  if (stream === null) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw tooLarge(`${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(whole);
  } catch (cause) {
    throw new AppError("invalid", "Body is not UTF-8", { cause });
  }
}

/**
 * Reads and parses the JSON body of a request, where it has one, before its route validates it: what
 * `JSON.parse` must not see does not get that far.
 */
export function jsonGuard(): MiddlewareHandler {
  return async (c, next) => {
    const isBodiless = c.req.raw.body === null && c.req.header("content-type") === undefined;
    if (c.req.method === "GET" || c.req.method === "HEAD" || isBodiless) return await next();
    if (!/^application\/json\b/i.test(c.req.header("content-type") ?? "")) {
      throw new AppError("wrong_type", "Body is not application/json", { field: "Content-Type" });
    }
    const text = await readText(c);
    boundJson(text);
    try {
      c.req.bodyCache.json = Promise.resolve(JSON.parse(text));
    } catch (cause) {
      throw new AppError("invalid", "Body is not JSON", { cause });
    }
    await next();
  };
}

/** A form's fields as the schema has them; of a name that comes twice, the first counts. */
export function readForm<T>(form: URLSearchParams, schema: ZodType<T>): T {
  if (form.size > FORM_FIELDS_MAX) throw tooLarge(`${FORM_FIELDS_MAX} fields`);
  return check(Object.fromEntries([...form].toReversed()), schema);
}

/** Throws AppError("invalid") that names the first wrong field. Never the value: it may be personal. */
export function check<T>(value: unknown, schema: ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw wrongInput(parsed.error.issues[0]);
}

/** What is wrong, by its path. An unknown key is named itself. */
export function wrongInput(issue: core.$ZodIssue | undefined): AppError {
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const field = [...issue?.path ?? [], ...unknown].join(".");
  return new AppError("invalid", `Wrong input in "${field}": ${issue?.message ?? ""}`, { field });
}

function tooLarge(limit: string): AppError {
  return new AppError("too_large", `Body is over the limit of ${limit}`);
}

/** Deep or wide JSON is refused before JSON.parse, which would hold the event loop for seconds. */
export function boundJson(text: string): void {
  let depth = 0;
  let values = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (quoted) {
      if (character === 0x5c) i++; // a backslash: whatever follows is no quote
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x2c) values++;
    else if (character === 0x7b || character === 0x5b) {
      depth++;
      values++;
      if (depth > JSON_DEPTH_MAX) throw tooLarge(`${JSON_DEPTH_MAX} levels`);
    } else if (character === 0x7d || character === 0x5d) depth--;
    if (values > JSON_VALUES_MAX) throw tooLarge(`${JSON_VALUES_MAX} values`);
  }
}
