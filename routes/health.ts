/** Is the process alive, and should it get work? For load balancers and for people. */

import { Hono } from "hono";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/** `/alive` depends on nothing, so that a lost database never gets a machine with live calls killed. */
export function health(deps: Pick<AppDeps, "version" | "notReady">): Hono<Env> {
  return new Hono<Env>()
    .get("/health", (c) => {
      return c.json({ status: "ok", service: "ringmaster", version: deps.version });
    })
    .get("/alive", (c) => c.json({ status: "ok" }))
    .get("/ready", async (c) => {
      const reasons = await deps.notReady();
      if (reasons.length === 0) return c.json({ status: "ok" });
      return c.json({ status: "unavailable", reasons }, 503);
    });
}
