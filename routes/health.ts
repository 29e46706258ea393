/** Is the process alive, should it get work, and what of it is configured? For load balancers and for people. */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";
import { answer, newRoutes } from "./openapi.ts";

const shared = { method: "get" as const, tags: ["House"] };
const Ok = z.object({ status: z.literal("ok") });
const Health = Ok.extend({ service: z.literal("ringmaster"), version: z.string() });
const NotReady = z.object({ status: z.literal("unavailable"), reasons: z.array(z.string()) });
const Features = z.object({
  features: z.array(z.object({
    name: z.string(),
    /** `simulated`, where no provider is set. */
    provider: z.string().nullable(),
    missing: z.string().nullable().meta({
      description: "The setting that is not there; null: configured",
    }),
  })),
});

const health = createRoute({
  ...shared,
  path: "/health",
  summary: "Which service and version this is",
  responses: { 200: answer(Health, "It runs") },
});

const alive = createRoute({
  ...shared,
  path: "/alive",
  summary: "Whether the process is alive; depends on nothing else",
  responses: { 200: answer(Ok, "It is") },
});

const ready = createRoute({
  ...shared,
  path: "/ready",
  summary: "Whether this machine should get new work",
  responses: { 200: answer(Ok, "It should"), 503: answer(NotReady, "It should not, and why") },
});

const features = createRoute({
  ...shared,
  path: "/",
  summary: "What is configured, and which setting is missing where it is not",
  responses: { 200: answer(Features, "The features of the house") },
});

/** `/alive` depends on nothing, so that a lost database never gets a machine with live calls killed. */
export function healthRoutes(deps: Pick<AppDeps, "version" | "notReady">): OpenAPIHono<Env> {
  return newRoutes()
    .openapi(health, (c) => {
      return c.json({ status: "ok", service: "ringmaster", version: deps.version } as const, 200);
    })
    .openapi(alive, (c) => c.json({ status: "ok" } as const, 200))
    .openapi(ready, async (c) => {
      const reasons = [...await deps.notReady()];
      if (reasons.length === 0) return c.json({ status: "ok" } as const, 200);
      return c.json({ status: "unavailable", reasons } as const, 503);
    });
}

/** Open to all: where logins are not configured, nobody could ask why. */
export function featureRoutes(deps: Pick<AppDeps, "features">): OpenAPIHono<Env> {
  return newRoutes().openapi(features, (c) => c.json({ features: [...deps.features] }, 200));
}
