/** The carrier's door: whether a tenant's own account of a carrier stands behind a webhook. */

import type { Equipment } from "@/actors/desk/equipment.ts";
import type { NumberOwner } from "@/db/lookups.ts";
import { AppError } from "@/lib/errors.ts";
import { newToken, uuidOf } from "@/lib/ids.ts";
import { isWebhookSigned } from "@/lib/providers/carrier/signature.ts";
import type { Owners } from "./owners.ts";

/** As it came, with nothing checked. */
export interface Webhook {
  /** Of its path. */
  readonly tenantId: string;
  /** Which of the two numbers is ours; empty when the form has none. */
  readonly number: string;
  /** As the carrier sees it. */
  readonly url: string;
  readonly signature: string;
  readonly body: string;
}

/**
 * Null: it is genuine, and the number is not the tenant's. Throws AppError("forbidden"), the same one
 * for no such tenant, one without an account, and a wrong signature.
 */
export async function ownerOfWebhook(
  { tenantId, number, ...request }: Webhook,
  { routeOf, equipment }: {
    readonly routeOf: Owners["routeOf"];
    readonly equipment: Pick<Equipment, "authToken">;
  },
): Promise<NumberOwner | null> {
  const route = uuidOf("tenant", tenantId) === null ? null : await routeOf(tenantId, number);
  const version = route?.configVersion ?? null;
  const token = route === null ? null : await equipment.authToken(tenantId, version);
  // Nobody signs with a token that is made here: the comparison is made all the same.
  const isSigned = isWebhookSigned(token?.reveal() ?? newToken(), request);
  if (!isSigned || route === null) {
    throw new AppError("forbidden", "Wrong signature", { field: "X-Twilio-Signature" });
  }
  const { isOwn, agentId, configVersion, whenFull } = route;
  return isOwn ? { tenantId, agentId, configVersion, whenFull: whenFull ?? "busy" } : null;
}
