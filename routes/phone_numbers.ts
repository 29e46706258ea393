/** Phone numbers over REST: take one, say who answers it, give it back. */

import { createRoute, z } from "@hono/zod-openapi";
import { LEGS } from "@/lib/workflow/leg.ts";
import { WHEN_FULL } from "@/lib/workflow/when_full.ts";
import { answer, body, id, idField, listOf, newRoutes, PageQuery, Phone } from "./openapi.ts";
import { SIGNED_IN, Time } from "./openapi.ts";

const PhoneNumber = z.object({
  id: id("number"),
  number: z.string().meta({ description: "E.164" }),
  agentId: id("agent").nullable().meta({ description: "Who answers it; null: nobody" }),
  leg: z.enum(LEGS).nullable().meta({
    description: "How its calls are held: over a media stream, or by the carrier's own speech " +
      "(ConversationRelay); null: as the agent says. An agent that records is always on a stream",
  }),
  whenFull: z.enum(WHEN_FULL).meta({
    description:
      "What callers are offered while no line is free: the busy tone, unanswered; or to " +
      "wait, at most two minutes, and to be told their place in line; or that and to be called back",
  }),
  createdAt: Time,
}).openapi("PhoneNumber");

const Claim = z.strictObject({
  number: Phone,
  agentId: idField("agent").nullable().optional(),
  leg: z.enum(LEGS).nullable().optional(),
  whenFull: z.enum(WHEN_FULL).optional(),
});
const Assignment = Claim.omit({ number: true }).refine(
  (change) => Object.values(change).some((value) => value !== undefined),
  { message: "Names neither agentId nor leg nor whenFull" },
);
const NumbersQuery = PageQuery.extend({ agentId: idField("agent").optional() });
const params = z.object({ id: id("number") });
const common = { tags: ["Phone numbers"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List phone numbers, newest first",
  request: { query: NumbersQuery },
  responses: { 200: answer(listOf(PhoneNumber), "A page of phone numbers") },
});

const claim = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Take a number for the tenant",
  description: "A number belongs to one tenant at a time: one that is taken by anyone is refused.",
  request: { body: body(Claim) },
  responses: { 201: answer(PhoneNumber, "The number, which is the tenant's now") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a phone number",
  request: { params },
  responses: { 200: answer(PhoneNumber, "The phone number") },
});

const assign = createRoute({
  ...common,
  method: "patch",
  path: "/{id}",
  summary:
    "Say which agent answers a number, how its calls are held, and what callers hear while no line is free",
  request: { params, body: body(Assignment) },
  responses: { 200: answer(PhoneNumber, "The phone number as it is now") },
});

const release = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Give a number back",
  description: "From now on anyone may take it. Calls that were made over it stay on record.",
  request: { params },
  responses: { 204: { description: "It is the tenant's no more" } },
});

export const phoneNumbers = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("phoneNumbers", c.req.valid("query")), 200))
  .openapi(
    claim,
    async (c) => c.json(await c.var.desk("claimPhoneNumber", c.req.valid("json")), 201),
  )
  .openapi(get, async (c) => c.json(await c.var.desk("phoneNumber", c.req.valid("param").id), 200))
  .openapi(assign, async (c) => {
    const input = { numberId: c.req.valid("param").id, ...c.req.valid("json") };
    return c.json(await c.var.desk("assignPhoneNumber", input), 200);
  })
  .openapi(release, async (c) => {
    await c.var.desk("releasePhoneNumber", c.req.valid("param").id);
    return c.body(null, 204);
  });
