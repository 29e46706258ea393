/** What the tenant may use, and what it uses now. */

import { createRoute, z } from "@hono/zod-openapi";
import type { LimitsView } from "@/actors/desk/limits.ts";
import { answer, newRoutes, SIGNED_IN } from "./openapi.ts";

const Meter = z.object({
  limit: z.int().nullable().meta({ description: "Null: without limit" }),
  used: z.int(),
});
const Rate = z.object({
  capacity: z.int().meta({ description: "At once" }),
  perSecond: z.number().meta({ description: "From then on" }),
});

const Limits = z.object({
  concurrentCalls: Meter,
  callsPerDay: Meter,
  callsPerMonth: Meter,
  minutesPerMonth: Meter,
  dialsPerMinute: Meter,
  dialsPerDay: Meter,
  rates: z.object({ read: Rate, write: Rate, dial: Rate, export: Rate }),
}).openapi("Limits") satisfies z.ZodType<LimitsView>;

const get = createRoute({
  method: "get",
  path: "/",
  tags: ["Tenant"],
  summary: "Read the limits, and what is used of them",
  description: "Days and months are of UTC. Rates are of requests, by what they do.",
  security: SIGNED_IN,
  responses: { 200: answer(Limits, "The limits of the tenant") },
});

export const tenantLimits = newRoutes()
  .openapi(get, async (c) => c.json(await c.var.desk("limits"), 200));
