/** How a route is described: what it takes, what it answers, and what stands in the API's reference. */

import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import { type IdPrefix, uuidOf } from "@/lib/ids.ts";
import type { Env } from "./env.ts";
import { wrongInput } from "./body.ts";

/** Where hono's targets stand in a request. */
const WHERE = {
  json: "body",
  form: "body",
  query: "query",
  param: "path",
  header: "header",
  cookie: "header",
} as const;

/** A group of routes: what does not fit its schema is refused, naming the field. */
export function newRoutes(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook(result) {
      if (!result.success) throw wrongInput(result.error.issues, WHERE[result.target]);
    },
  });
}

/** One JSON answer of a route. */
export function answer<T extends z.ZodType>(schema: T, description: string): {
  readonly description: string;
  readonly content: { readonly "application/json": { readonly schema: T } };
} {
  return { description, content: { "application/json": { schema } } };
}

/** The JSON body that a route takes. */
export function body<T extends z.ZodType>(schema: T): {
  readonly required: true;
  readonly content: { readonly "application/json": { readonly schema: T } };
} {
  return { required: true, content: { "application/json": { schema } } };
}

/** For `security`: an access token or an API key, as a bearer token. */
export const SIGNED_IN = [{ bearer: [] }];

/** An id of this prefix, as input and as output. What is no id names nothing: `not_found`, not `invalid`. */
export function id(prefix: IdPrefix): z.ZodString {
  return z.string().max(64).meta({ example: `${prefix}_0198f3c2-1b2c-7def-8123-456789abcdef` });
}

/** An id in a body: one of another shape is the sender's mistake. */
export function idField(prefix: IdPrefix): z.ZodString {
  return id(prefix).refine((text) => uuidOf(prefix, text) !== null, `Not an id of ${prefix}`);
}

/** A phone number, E.164. */
export const Phone = z.e164().meta({
  format: "e164",
  pattern: "^\\+[1-9]\\d{6,14}$", // zod's own, which the document would leave out
  example: "+15550100100",
});

/** RFC 3339, UTC. */
export const Time = z.iso.datetime();

/** `limit` and `cursor` of a list; the cursor is the `next` of the page before. */
export const PAGE_MAX = 500;
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(50),
  cursor: z.string().max(256).optional(),
});

/** A page of a list: `next` is null on the last one. */
export function listOf<T extends z.ZodType>(item: T): z.ZodObject<{
  items: z.ZodArray<T>;
  next: z.ZodNullable<z.ZodString>;
}> {
  return z.object({ items: z.array(item), next: z.string().nullable() });
}
