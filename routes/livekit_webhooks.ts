/** LiveKit's webhooks: the house's project, and a tenant's own. https://docs.livekit.io/home/server/webhooks/ */

import { Hono } from "hono";
import { AppError } from "@/lib/errors.ts";
import { readText } from "./body.ts";
import type { Env } from "./env.ts";

const OWN = "/:tenantId{tenant_[0-9a-f-]+}";

/** Under `/livekit`. What is not taken is told again: only what could be taken later may fail with 5xx. */
export const livekitWebhooks = new Hono<Env>()
  .on("POST", ["/webhook", `${OWN}/webhook`], async (c) => {
    const type = c.req.header("content-type") ?? "";
    if (!/^application\/(webhook\+)?json\b/.test(type)) {
      throw new AppError("wrong_type", "Not application/webhook+json", { field: "Content-Type" });
    }
    await c.var.gate("liveKitWebhook", {
      tenantId: c.req.param("tenantId") ?? null,
      body: await readText(c),
      authorization: c.req.header("authorization")?.replace(/^Bearer /i, "") ?? "",
    });
    return c.body(null, 204);
  });
