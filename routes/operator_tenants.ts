/** Operators' routes on tenants: look over them, suspend, resume, limit and visit one. Each act has a reason. */

import { Hono, type MiddlewareHandler } from "hono";
import { z } from "zod";
import type { AskDesk } from "@/actors/desk/errands.ts";
import { OPERATE, type Principal, ROLES } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { RATE_CLASSES } from "@/lib/limits/plan.ts";
import { ERRAND_MS, visiting } from "./authenticated.ts";
import { check, jsonGuard, wrongInput } from "./body.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";
import { PageQuery } from "./openapi.ts";

const Query = PageQuery.extend({
  status: z.enum(["trial", "active", "suspended", "cancelled"]).optional(),
  name: z.string().min(1).max(100).optional(),
});

const reason = z.string().trim().min(3).max(500);
const Reason = z.strictObject({ reason });
const count = z.int().min(0).max(1_000_000_000);
const rate = z.strictObject({
  capacity: z.int().min(1).max(1_000_000),
  perSecond: z.number().min(1 / 86_400).max(100_000),
});
const Limits = z.strictObject({
  concurrentCalls: count.optional(),
  callsPerDay: count.nullable().optional(),
  callsPerMonth: count.nullable().optional(),
  minutesPerMonth: count.nullable().optional(),
  dialsPerMinute: count.optional(),
  dialsPerDay: count.optional(),
  rates: z.partialRecord(z.enum(RATE_CLASSES), rate).optional(),
});
const Limiting = z.strictObject({
  reason,
  limits: Limits.optional(),
  models: z.array(z.string().min(1).max(100)).min(1).max(100).nullable().optional(),
});
const Visit = z.strictObject({ reason, role: z.enum(ROLES).exclude(["owner"]) });

/** No proxy stands before the operators' listener: nobody's word but the connection's says who asks. */
const DIRECT = { origins: [], hosts: [], trustsFly: false, clientHeader: null } as const;

type TenantDeps = Pick<AppDeps, "gate" | "desk">;

/** `operator` must have been set: who asks, by name. */
export function operatorTenants(deps: TenantDeps): Hono<Env> {
  return new Hono<Env>()
    .use(visiting({ gate: deps.gate, edge: DIRECT }))
    .get("/", async (c) => {
      const query = Query.safeParse(c.req.query());
      if (!query.success) throw wrongInput(query.error.issues, "query");
      return c.json(await c.var.gate("houseTenants", query.data));
    })
    .use("/:id/*", jsonGuard())
    .use("/:id/*", operating(deps))
    .get("/:id", async (c) => c.json(await c.var.desk("operatedTenant")))
    .post("/:id/suspend", async (c) => {
      return c.json(await c.var.desk("suspendTenant", check(await c.req.json(), Reason)));
    })
    .post("/:id/resume", async (c) => {
      return c.json(await c.var.desk("resumeTenant", check(await c.req.json(), Reason)));
    })
    .patch("/:id/limits", async (c) => {
      return c.json(await c.var.desk("limitTenant", check(await c.req.json(), Limiting)));
    })
    .post("/:id/visits", async (c) => {
      return c.json(await c.var.desk("visitTenant", check(await c.req.json(), Visit)), 201);
    })
    .delete("/:id/visits/:visit", async (c) => {
      await c.var.desk("endVisit", c.req.param("visit"));
      return c.body(null, 204);
    });
}

/** Asks the desk of the tenant in the path, as an operator. */
function operating(deps: TenantDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const tenantId = c.req.param("id") ?? "";
    if (uuidOf("tenant", tenantId) === null) throw new AppError("not_found", "No such tenant");
    const by: Principal = {
      kind: "operator",
      id: c.var.operator,
      tenantId,
      role: null,
      scopes: new Set([OPERATE]),
      sessionId: null,
      configVersion: 0,
    };
    const ask = (name: string, input?: unknown): Promise<unknown> =>
      deps.desk(tenantId).ask(
        (reply) => ({ type: "errand", name, input, by, request: c.var.request, reply }),
        { timeoutMs: ERRAND_MS },
      );
    c.set("desk", ask as AskDesk); // typed by the errand's name
    await next();
  };
}
