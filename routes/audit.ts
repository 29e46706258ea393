/** The audit log of the tenant: who did what, newest first. */

import { createRoute, z } from "@hono/zod-openapi";
import { answer, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Entry = z.object({
  id: id("audit"),
  at: Time,
  actorKind: z.enum(["user", "key", "operator", "system"]),
  actorId: z.string().meta({ description: "A prefixed id, or an operator's name" }),
  action: z.string().meta({ example: "agent.published" }),
  subjectId: z.string(),
  details: z.record(z.string(), z.unknown()),
  requestId: z.string().nullable(),
  address: z.string().nullable(),
  seq: z.int().nullable().meta({ description: "Its place in the chain; null until it is sealed" }),
  hash: z.string().nullable().meta({ description: "SHA-256 over it and all before it, hex" }),
}).openapi("AuditEntry");

const text = z.string().min(1).max(200).optional();
const Query = PageQuery.extend({
  action: text,
  actorId: text,
  subjectId: text,
  from: Time.optional().meta({ description: "From then on" }),
  to: Time.optional().meta({ description: "Before then" }),
});

const list = createRoute({
  method: "get",
  path: "/",
  tags: ["Audit"],
  summary: "List what was done, newest first",
  description: "Acts of operators for the tenant are among them.",
  security: SIGNED_IN,
  request: { query: Query },
  responses: { 200: answer(listOf(Entry), "A page of entries") },
});

export const audit = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("auditEntries", c.req.valid("query")), 200));
