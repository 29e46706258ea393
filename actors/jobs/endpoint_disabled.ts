/** Tells a tenant's owners that a webhook endpoint was disabled, by mail. */

import { z } from "zod";
import { listOwnerEmails } from "@/db/members.ts";
import { getWebhookEndpoint } from "@/db/webhook_endpoints.ts";
import { jobKind } from "./kind.ts";

const OWNERS_MAX = 10;

/** Each try mails all of them: an owner may get it twice. */
export const endpointDisabled = jobKind({
  payload: z.strictObject({ endpointId: z.string(), reason: z.string() }),
  attempts: 10,
  leaseMs: 60_000,
  async run({ tenantId, read, notifier, publicUrl, signal }, { endpointId, reason }) {
    const { endpoint, owners } = await read(async (sql) => ({
      endpoint: await getWebhookEndpoint(sql, tenantId, endpointId),
      owners: await listOwnerEmails(sql, tenantId, OWNERS_MAX),
    }));
    if (endpoint === null) return; // deleted meanwhile: nothing to tell
    const text = [
      `The webhook endpoint ${endpoint.url} was disabled: ${reason}.`,
      "",
      "Nothing is sent to it any more. When it is well again, enable it, and replay what it has missed:",
      `  PATCH ${publicUrl}/api/v1/webhooks/${endpointId}  {"status": "enabled"}`,
      `  POST  ${publicUrl}/api/v1/webhooks/${endpointId}/replay  {"from": "…", "to": "…"}`,
    ].join("\n");
    for (const to of owners) {
      await notifier.send({ to, subject: "A webhook endpoint was disabled", text }, signal);
    }
  },
});
