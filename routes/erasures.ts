/** Erasure: a call or a contact is deleted for good, and a receipt of it stays. */

import { createRoute, z } from "@hono/zod-openapi";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Receipt = z.object({
  id: id("receipt"),
  kind: z.enum(["call", "contact"]),
  subjectHash: z.string().meta({
    description: "HMAC-SHA-256 of what was erased, hex: the same for the same call or number",
  }),
  counts: z.record(z.string(), z.int()).meta({ description: "Rows erased, by what they were" }),
  erasedBy: z.string(),
  at: Time,
}).openapi("ErasureReceipt");

const eraseCall = createRoute({
  method: "delete",
  path: "/{id}",
  tags: ["Privacy"],
  summary: "Erase a call",
  description:
    "With its events, what was delivered of it, and what is to be done about it. 409 until 10 s after its end.",
  security: SIGNED_IN,
  request: { params: z.object({ id: id("call") }) },
  responses: { 200: answer(Receipt, "It is gone: this receipt stays") },
});

const eraseContact = createRoute({
  method: "post",
  path: "/",
  tags: ["Privacy"],
  summary: "Erase a contact",
  description:
    "Every call from and to the number, as above, and what else was told or is to be done about it. 409 while one of the calls lives.",
  security: SIGNED_IN,
  request: { body: body(z.strictObject({ phone: z.e164() })) },
  responses: { 201: answer(Receipt, "All of it is gone: this receipt stays") },
});

const list = createRoute({
  method: "get",
  path: "/",
  tags: ["Privacy"],
  summary: "List receipts of erasures, newest first",
  security: SIGNED_IN,
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Receipt), "A page of receipts") },
});

export const erasures = newRoutes()
  .openapi(
    eraseContact,
    async (c) => c.json(await c.var.desk("eraseContact", c.req.valid("json")), 201),
  )
  .openapi(list, async (c) => c.json(await c.var.desk("erasures", c.req.valid("query")), 200));

/** Beside the other routes of calls. */
export const callErasure = newRoutes()
  .openapi(
    eraseCall,
    async (c) => c.json(await c.var.desk("eraseCall", c.req.valid("param").id), 200),
  );
