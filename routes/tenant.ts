/** The tenant of who asks: its name and settings. */

import { createRoute, z } from "@hono/zod-openapi";
import type { TenantSettings } from "@/actors/desk/tenant.ts";
import { etagOf, ifMatch } from "./etag.ts";
import { answer, body, id, newRoutes, SIGNED_IN, Time } from "./openapi.ts";
import { Language, Model, TimeZone, Voice } from "./preferences.ts";

const DAYS_MAX = 3_650;
const days = z.int().min(1).max(DAYS_MAX).nullable();

const settings = {
  timezone: TimeZone.optional(),
  language: Language.optional(),
  callRetentionDays: days.optional(),
  recordingRetentionDays: days.optional().meta({
    description: "Recordings of calls; null: as long as their calls",
  }),
  auditRetentionDays: days.optional(),
  agentsSeeOwnCallsOnly: z.boolean().optional().meta({
    description: "Members of role `agent` see the calls that they placed, and no others",
  }),
};

const Settings = z.object({
  ...settings,
  defaults: z.object({
    model: Model.optional(),
    voice: Voice.optional(),
    language: Language.optional(),
  }).optional().meta({ description: "For calls whose agent does not say" }),
}) satisfies z.ZodType<TenantSettings>;

const Tenant = z.object({
  id: id("tenant"),
  name: z.string(),
  status: z.enum(["trial", "active", "suspended", "cancelled"]),
  models: z.array(z.string()).readonly().nullable().meta({
    description: "The language models that the house lets the tenant use; null: all there are",
  }),
  settings: Settings,
  createdAt: Time,
  version: z.int(),
}).openapi("Tenant");

const Change = z.strictObject({
  name: z.string().trim().min(1).max(100).optional(),
  settings: z.strictObject({
    ...settings,
    defaults: z.strictObject({
      model: Model.nullable().optional(),
      voice: Voice.nullable().optional(),
      language: Language.nullable().optional(),
    }).optional().meta({ description: "What is absent stays; null takes one away" }),
  }).optional(),
});

const get = createRoute({
  method: "get",
  path: "/",
  tags: ["Tenant"],
  summary: "Read the tenant",
  security: SIGNED_IN,
  responses: { 200: answer(Tenant, "The tenant of the credential") },
});

const patch = createRoute({
  method: "patch",
  path: "/",
  tags: ["Tenant"],
  summary: "Change name or settings",
  security: SIGNED_IN,
  request: { body: body(Change), headers: ifMatch },
  responses: { 200: answer(Tenant, "The tenant as it is now") },
});

export const tenant = newRoutes()
  .openapi(get, async (c) => {
    const found = await c.var.desk("tenant");
    return c.json(found, 200, etagOf(found.version));
  })
  .openapi(patch, async (c) => {
    const expected = c.req.valid("header")["if-match"];
    const changed = await c.var.desk("changeTenant", { ...c.req.valid("json"), expected });
    return c.json(changed, 200, etagOf(changed.version));
  });
