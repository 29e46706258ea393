/** One attempt at a delivery: opened, signed, sent, and written down with what it means. */

import { act } from "@/db/act.ts";
import {
  type Attempt,
  cancelDeliveries,
  type LeasedDelivery,
  recordAttempt,
  releaseDelivery,
} from "@/db/deliveries.ts";
import { updateEndpointHealth } from "@/db/webhook_endpoints.ts";
import { AppError } from "@/lib/errors.ts";
import { hexBody, standardBody } from "@/lib/webhooks/body.ts";
import { hexHeaders, standardHeaders } from "@/lib/webhooks/sign.ts";
import type { Services } from "@/actors/desk/office.ts";
import { type Answer, type Verdict, verdictOf } from "./schedule.ts";

/** From the request to the end of the answer. Standard Webhooks: 15 to 30 s. */
export const SEND_MS = 15_000;
const ANSWER_BYTES_MAX = 1_024;
const ERROR_MAX = 500;
const SQL_MS = 5_000;
const DAY_MS = 24 * 60 * 60_000;
/** An endpoint that has failed for so long, without one success, is disabled. */
export const FAILING_MS = 5 * DAY_MS;

export interface AttemptDeps {
  readonly services: Omit<Services, "attemptDelivery">;
  readonly random: () => number;
}

/** `lost`: it was recorded by another, or its endpoint was disabled. `released`: it goes on elsewhere. */
export type AttemptEnd = "delivered" | "failed" | "again" | "lost" | "released";

/** Throws AppError without a database: then it is tried again when its lease has ended, with the same id. */
export async function attemptDelivery(
  { services, random }: AttemptDeps,
  delivery: LeasedDelivery,
  draining: AbortSignal,
): Promise<AttemptEnd> {
  const { database, clock } = services;
  const { tenantId } = delivery;
  const { attempt, answer } = await send(services, delivery, draining);
  if (answer === null && draining.aborted) {
    await database.asTenant("jobs", tenantId, SQL_MS, (sql) => releaseDelivery(sql, delivery));
    return "released";
  }
  const isTest = delivery.type === "webhook.test";
  const verdict = verdictOf(answer, { step: delivery.step, isTest, now: clock.date(), random });
  return await record(services, delivery, attempt, verdict);
}

async function record(
  services: AttemptDeps["services"],
  delivery: LeasedDelivery,
  attempt: Attempt,
  { end, health }: Verdict,
): Promise<AttemptEnd> {
  const { database, clock } = services;
  const { tenantId, endpointId, type } = delivery;
  const actor = { actorKind: "system", actorId: "deliveries", requestId: null, address: null };
  const options = {
    ...{
      database,
      clock,
      committed: services,
      pool: "jobs",
      deadlineMs: SQL_MS,
      tenantId,
    } as const,
    actor: { ...actor, actorKind: "system" as const },
  };
  return await act(options, async ({ sql, audit, enqueue }) => {
    if (!await recordAttempt(sql, delivery, attempt, end)) return "lost";
    if (type === "webhook.test") return end.type;
    const reason = await updateEndpointHealth(sql, tenantId, endpointId, health, FAILING_MS);
    if (reason === null) return end.type;
    await cancelDeliveries(sql, tenantId, endpointId);
    await audit({ action: "webhook.disabled", subjectId: endpointId, details: { reason } });
    const payload = { endpointId, reason };
    await enqueue({ kind: "endpoint_disabled", key: `${delivery.id}/${delivery.lease}`, payload });
    return end.type;
  });
}

async function send(
  { outbound, clock, vault, publicUrl, log }: AttemptDeps["services"],
  delivery: LeasedDelivery,
  draining: AbortSignal,
): Promise<{ attempt: Attempt; answer: Answer | null }> {
  const at = clock.date();
  const started = clock.now();
  let requestHeaders: Record<string, string> = {};
  try {
    const secrets = await openSecrets(vault, delivery);
    const request = requestOf(delivery, secrets, { at, apiUrl: `${publicUrl}/api/v1` });
    requestHeaders = request.headers;
    const answered = await outbound.send({
      method: "POST",
      url: delivery.url,
      ...request,
      totalMs: SEND_MS,
      maxBytes: ANSWER_BYTES_MAX,
    }, draining);
    const text = new TextDecoder().decode(answered.body).replaceAll("\0", "");
    return {
      attempt: {
        at,
        durationMs: clock.now() - started,
        requestHeaders,
        status: answered.status,
        answer: text,
        error: null,
      },
      answer: { status: answered.status, retryAfter: answered.headers["retry-after"] },
    };
  } catch (error) {
    // A secret that does not open, or a bug: one endpoint's trouble must not stop all others.
    if (!draining.aborted && !(error instanceof AppError)) {
      log.error("delivery crashed", { deliveryId: delivery.id, error });
    }
    const text = error instanceof AppError ? `${error.code}: ${error.message}` : "internal";
    return {
      attempt: {
        at,
        durationMs: clock.now() - started,
        requestHeaders,
        status: null,
        answer: null,
        error: text.replaceAll("\0", "").slice(0, ERROR_MAX),
      },
      answer: null,
    };
  }
}

function requestOf(
  { eventId, type, payload, at: happened, mode }: LeasedDelivery,
  secrets: readonly [string, ...string[]],
  { at, apiUrl }: { readonly at: Date; readonly apiUrl: string },
): { body: string; headers: Record<string, string> } {
  const event = { id: eventId, type, payload, at: happened };
  const common = { "content-type": "application/json", "user-agent": "Ringmaster-Webhooks" };
  if (mode === "hex") {
    const body = hexBody(event, apiUrl);
    const headers = hexHeaders({ id: eventId, body }, { secret: secrets[0], type });
    return { body, headers: { ...common, ...headers } };
  }
  const body = standardBody(event, apiUrl);
  return { body, headers: { ...common, ...standardHeaders({ id: eventId, at, body }, secrets) } };
}

async function openSecrets(
  vault: Services["vault"],
  { tenantId, endpointId, secretSealed, previousSecretSealed }: LeasedDelivery,
): Promise<readonly [string, ...string[]]> {
  const place = { tenantId, table: "webhook_endpoint", row: endpointId };
  const secret = await vault.open({ ...place, column: "secret_sealed" }, secretSealed);
  if (previousSecretSealed === null) return [secret];
  const column = "previous_secret_sealed";
  return [secret, await vault.open({ ...place, column }, previousSecretSealed)];
}
