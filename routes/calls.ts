/** Calls over REST: place one, read one, read what happened in it. */

import { createRoute, z } from "@hono/zod-openapi";
import { answer, body, id, idField, listOf, newRoutes, PAGE_MAX, PageQuery } from "./openapi.ts";
import { SIGNED_IN, Time } from "./openapi.ts";

const NewCall = z.strictObject({ agentId: idField("agent"), to: z.e164(), from: z.e164() });

const Call = z.object({
  id: id("call"),
  agentId: id("agent"),
  direction: z.enum(["inbound", "outbound"]),
  from: z.string(),
  to: z.string(),
  status: z.enum(["ringing", "live", "ended"]),
  outcome: z.string().nullable(),
  reason: z.string().nullable(),
  variables: z.record(z.string(), z.unknown()),
  startedAt: Time,
  endedAt: Time.nullable(),
}).openapi("Call");

const Event = z.object({
  seq: z.int(),
  type: z.string(),
  at: Time,
  payload: z.unknown(),
}).openapi("CallEvent");

const EventQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(100),
});
const params = z.object({ id: id("call") });

const place = createRoute({
  method: "post",
  path: "/",
  tags: ["Calls"],
  summary: "Place a call",
  security: SIGNED_IN,
  request: { body: body(NewCall) },
  responses: { 201: answer(z.object({ id: id("call") }), "The carrier has taken it") },
});

const list = createRoute({
  method: "get",
  path: "/",
  tags: ["Calls"],
  summary: "List calls, newest first",
  security: SIGNED_IN,
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Call), "A page of calls") },
});

const get = createRoute({
  method: "get",
  path: "/{id}",
  tags: ["Calls"],
  summary: "Read a call",
  security: SIGNED_IN,
  request: { params },
  responses: { 200: answer(Call, "The call") },
});

const events = createRoute({
  method: "get",
  path: "/{id}/events",
  tags: ["Calls"],
  summary: "What happened in a call, in order",
  security: SIGNED_IN,
  request: { params, query: EventQuery },
  responses: { 200: answer(z.object({ events: z.array(Event) }), "Events after `after`") },
});

export const calls = newRoutes()
  .openapi(place, async (c) => c.json(await c.var.desk("placeCall", c.req.valid("json")), 201))
  .openapi(list, async (c) => c.json(await c.var.desk("calls", c.req.valid("query")), 200))
  .openapi(get, async (c) => c.json(await c.var.desk("call", c.req.valid("param").id), 200))
  .openapi(events, async (c) => {
    const input = { callId: c.req.valid("param").id, ...c.req.valid("query") };
    return c.json({ events: await c.var.desk("callEvents", input) }, 200);
  });
