/** Reading what a sender wrote: bounded before it is parsed, checked before it is used. */

import type { Context, MiddlewareHandler } from "hono";
import type { core, ZodType } from "zod";
import { AppError, type FieldError } from "@/lib/errors.ts";
import { pathText, scanJson } from "./json_scan.ts";

/** Of a JSON body or a form. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** Twilio sends about 40. */
export const FORM_FIELDS_MAX = 200;

/** The body as text. Throws AppError("too_large"); the rest of an oversize body is not read. */
export async function readText(c: Context): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readBytes(c));
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("invalid", "Body is not UTF-8", { cause });
  }
}

/**
 * A body that says how long it is, as most do, is read whole: the listener takes no more than was
 * said. A stream, in which pieces are counted, costs 100 µs more.
 */
async function readBytes(c: Context): Promise<Uint8Array> {
  const said = c.req.header("content-length");
  if (said !== undefined && c.req.header("transfer-encoding") === undefined) {
    if (!(Number(said) <= BODY_BYTES_MAX)) throw tooLarge(`${BODY_BYTES_MAX} bytes`);
    const whole = new Uint8Array(await c.req.raw.arrayBuffer());
    if (whole.length > BODY_BYTES_MAX) throw tooLarge(`${BODY_BYTES_MAX} bytes`);
    return whole;
  }
  const stream = c.req.raw.body;
  if (stream === null) return new Uint8Array();
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
  return whole;
}

/**
 * Reads and parses the JSON body of a request, where it has one, before its route validates it: what
 * `JSON.parse` must not see does not get that far.
 */
export function jsonGuard(): MiddlewareHandler {
  return async (c, next) => {
    if (c.req.bodyCache.json !== undefined) return await next(); // it has passed here before
    if (/[?&][^#]*%00/.test(c.req.url)) throw new AppError("invalid", "Query holds U+0000");
    const isRead = c.req.raw.bodyUsed; // by the guard of a group that did not have the route
    if (c.req.method === "GET" || c.req.method === "HEAD" || isRead) return await next();
    refuseUnread(c);
    const type = c.req.header("content-type");
    if (type !== undefined && !JSON_TYPE.test(type)) throw wrongType();
    const text = await readText(c);
    if (type === undefined && text === "") {
      c.req.bodyCache.arrayBuffer = new ArrayBuffer(0); // it is read, and will be looked for again
      return await next();
    }
    if (type === undefined) throw wrongType();
    scanJson(text);
    try {
      c.req.bodyCache.json = Promise.resolve(JSON.parse(text));
    } catch (cause) {
      throw new AppError("invalid", "Body is not JSON", { cause });
    }
    await next();
  };
}

/** RFC 8259 §8.1: JSON is UTF-8, and its type has no parameters; a charset that says so does no harm. */
const JSON_TYPE = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i;

/** What the headers alone condemn. */
function refuseUnread(c: Context): void {
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new AppError("wrong_type", "Body must not be compressed", { field: "Content-Encoding" });
  }
  if (Number(c.req.header("content-length") ?? 0) > BODY_BYTES_MAX) {
    throw tooLarge(`${BODY_BYTES_MAX} bytes`);
  }
}

function wrongType(): AppError {
  return new AppError("wrong_type", "Body is not application/json", { field: "Content-Type" });
}

/** A form's fields as the schema has them; of a name that comes twice, the first counts. */
export function readForm<T>(form: URLSearchParams, schema: ZodType<T>): T {
  if (form.size > FORM_FIELDS_MAX) throw tooLarge(`${FORM_FIELDS_MAX} fields`);
  return check(Object.fromEntries([...form].toReversed()), schema);
}

/** Throws AppError("invalid") that names the wrong fields. Never the value: it may be personal. */
export function check<T>(value: unknown, schema: ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw wrongInput(parsed.error.issues);
}

/** Fields that one answer names. */
const ERRORS_MAX = 20;

/** All that is wrong, by its path. Unknown keys are named themselves. */
export function wrongInput(
  issues: readonly core.$ZodIssue[],
  where: FieldError["in"] = "body",
): AppError {
  const errors = issues.flatMap((issue): FieldError[] => {
    const unknown = issue.code === "unrecognized_keys" ? issue.keys : [];
    const paths = unknown.length === 0 ? [issue.path] : unknown.map((key) => [...issue.path, key]);
    const message = unknown.length === 0 ? issue.message : "Unknown field";
    return paths.map((path) => ({ in: where, field: fieldOf(path, where), message }));
  }).slice(0, ERRORS_MAX);
  const [first = { field: "", message: "Not what is taken here" }] = errors;
  const message = `Wrong input in "${first.field}": ${first.message}`;
  return new AppError("invalid", message, { field: first.field, errors });
}

/** A path as its sender would write it: `turns[0].text`, `If-Match`. */
function fieldOf(path: readonly PropertyKey[], where: FieldError["in"]): string {
  if (where !== "header") return pathText(path);
  return path.join(".").replaceAll(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase());
}

function tooLarge(limit: string): AppError {
  return new AppError("too_large", `Body is over the limit of ${limit}`);
}
