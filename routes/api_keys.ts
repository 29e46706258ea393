/** API keys over REST: make one, rotate it, end it. A key itself is shown once. */

import { createRoute, z } from "@hono/zod-openapi";
import {
  type ApiKeyView,
  LIVE_KEYS_MAX,
  type NewKeyView,
  OVERLAP_S,
  OVERLAP_S_MAX,
} from "@/actors/desk/api_keys.ts";
import { SCOPES } from "@/lib/access.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Scope = z.enum(SCOPES);
const Name = z.string().trim().min(1).max(100);

const view = {
  id: id("key"),
  name: z.string(),
  start: z.string().meta({ example: "rm_live_2pnQmXkv9Ab" }),
  scopes: z.array(Scope),
  status: z.enum(["active", "expired", "revoked"]),
  createdBy: z.string(),
  createdAt: Time,
  expiresAt: Time.nullable(),
  lastUsedAt: Time.nullable(),
  revokedAt: Time.nullable(),
};
const ApiKey = z.object(view).openapi("ApiKey") satisfies z.ZodType<ApiKeyView>;
const NewApiKey = z.object({
  ...view,
  key: z.string().meta({ description: "The whole key. It is never shown again." }),
}).openapi("NewApiKey") satisfies z.ZodType<NewKeyView>;

const Creation = z.strictObject({
  name: Name,
  scopes: z.array(Scope).min(1).max(SCOPES.length)
    .refine((scopes) => new Set(scopes).size === scopes.length, "Each scope once"),
  expiresAt: Time.nullable().optional(),
});
const Rotation = z.strictObject({
  overlapSeconds: z.int().min(0).max(OVERLAP_S_MAX).default(OVERLAP_S),
});
const params = z.object({ id: id("key") });
const common = { tags: ["API keys"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List API keys, newest first",
  description: "Keys that were revoked or have expired are listed too.",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(ApiKey), "A page of keys") },
});

const create = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Create an API key",
  description:
    `Its scopes must be among those of who creates it. ${LIVE_KEYS_MAX} keys may be live at once.`,
  request: { body: body(Creation) },
  responses: { 201: answer(NewApiKey, "The key, shown this once") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read an API key",
  request: { params },
  responses: { 200: answer(ApiKey, "The key, without its secret") },
});

const patch = createRoute({
  ...common,
  method: "patch",
  path: "/{id}",
  summary: "Rename an API key",
  request: { params, body: body(z.strictObject({ name: Name })) },
  responses: { 200: answer(ApiKey, "The key as it is now") },
});

const rotate = createRoute({
  ...common,
  method: "post",
  path: "/{id}/rotate",
  summary: "Give an API key a successor",
  description: "The old key stays good for `overlapSeconds`, if it does not expire sooner.",
  request: { params, body: body(Rotation) },
  responses: { 201: answer(NewApiKey, "The successor, shown this once") },
});

const revoke = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Revoke an API key, at once",
  request: { params },
  responses: { 204: { description: "It is good for nothing any more" } },
});

export const apiKeys = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("apiKeys", c.req.valid("query")), 200))
  .openapi(create, async (c) => c.json(await c.var.desk("createApiKey", c.req.valid("json")), 201))
  .openapi(get, async (c) => c.json(await c.var.desk("apiKey", c.req.valid("param").id), 200))
  .openapi(patch, async (c) => {
    const input = { keyId: c.req.valid("param").id, ...c.req.valid("json") };
    return c.json(await c.var.desk("renameApiKey", input), 200);
  })
  .openapi(rotate, async (c) => {
    const { overlapSeconds: overlapS } = c.req.valid("json");
    const keyId = c.req.valid("param").id;
    return c.json(await c.var.desk("rotateApiKey", { keyId, overlapS }), 201);
  })
  .openapi(revoke, async (c) => {
    await c.var.desk("revokeApiKey", c.req.valid("param").id);
    return c.body(null, 204);
  });
