/** Errands on webhook endpoints: where events go, under which secret, and what became of them. */

import {
  cancelDeliveries,
  type Delivery,
  type DeliveryStatus,
  getDelivery,
  insertLeasedDelivery,
  listAttempts,
  listDeliveries,
  listLeasedDeliveries,
  type NumberedAttempt,
  replayDeliveries,
  replayDelivery,
} from "@/db/deliveries.ts";
import { insertOutboxEvent } from "@/db/outbox.ts";
import type { Sql } from "@/db/client.ts";
import {
  deleteWebhookEndpoint,
  type EndpointSettings,
  getWebhookEndpoint,
  insertWebhookEndpoint,
  listWebhookEndpoints,
  updateWebhookEndpoint,
  updateWebhookSecret,
  type WebhookEndpoint,
} from "@/db/webhook_endpoints.ts";
import { AppError } from "@/lib/errors.ts";
import type { EventType } from "@/lib/event_types.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { isWebhookSecret, newWebhookSecret } from "@/lib/webhooks/sign.ts";
import { errand } from "./errand.ts";

export { DELIVERY_STATUSES } from "@/db/deliveries.ts";

const ENDPOINTS_MAX = 50; // of a tenant
const REPLAY_MAX = 10_000; // of one request
const ATTEMPTS_MAX = 50; // shown of a delivery: replays add to the ten of its schedule
const HOUR_MS = 60 * 60_000;
/** A test answers within an errand's time; its lease outlives it. */
const TEST_LEASE_MS = 60_000;

export interface EndpointView {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly events: EventType[];
  readonly mode: EndpointSettings["mode"];
  readonly status: "enabled" | "disabled";
  readonly disabledReason: string | null;
  readonly failingSince: string | null;
  /** Until when the secret before the last rotation signs too. */
  readonly previousSecretUntil: string | null;
  readonly createdAt: string;
  /** Its ETag. */
  readonly version: number;
}

/** The only time that the secret is shown. */
export interface EndpointWithSecret extends EndpointView {
  readonly secret: string;
}

export interface DeliveryView {
  readonly id: string;
  readonly endpointId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly nextAt: string | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

export interface AttemptView extends Omit<NumberedAttempt, "at" | "attempt"> {
  readonly number: number;
  readonly at: string;
}

export interface DeliveryDetail extends DeliveryView {
  /** Of the event, as it was written. */
  readonly data: unknown;
  readonly history: AttemptView[];
}

/** Undefined stays as it is. */
type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

export const webhookErrands = {
  /** Newest first; `cursor` is the id of the last one already seen. */
  webhookEndpoints: errand(
    "webhooks:read",
    async (
      { read, tenantId },
      { limit, cursor }: { limit: number; cursor?: string | undefined },
    ) => {
      if (cursor !== undefined) checkCursor("endpoint", cursor);
      const page = { limit, before: cursor };
      const rows = await read((sql) => listWebhookEndpoints(sql, tenantId, page));
      return { items: rows.map(toView), next: nextOf(rows, limit) };
    },
  ),

  webhookEndpoint: errand(
    "webhooks:read",
    ({ read, tenantId }, id: string) => read(async (sql) => toView(await found(sql, tenantId, id))),
  ),

  addWebhookEndpoint: errand(
    "webhooks:write",
    async (
      { act, tenantId, vault, outbound },
      { secret: own, ...settings }: EndpointSettings & { readonly secret?: string | undefined },
    ): Promise<EndpointWithSecret> => {
      outbound.check(settings.url);
      if (own !== undefined && !isWebhookSecret(own)) {
        const message = "A secret is whsec_ and the base64 of 24 to 64 bytes";
        throw new AppError("invalid", message, { field: "secret" });
      }
      const id = newId("endpoint");
      const secret = own ?? newWebhookSecret();
      const secretSealed = await vault.seal(placeOf(tenantId, id, "secret_sealed"), secret);
      return await act(async ({ sql, audit }) => {
        const endpoint = { id, ...settings, secretSealed };
        if (!await insertWebhookEndpoint(sql, tenantId, endpoint, ENDPOINTS_MAX)) {
          const message = `A tenant has at most ${ENDPOINTS_MAX} webhook endpoints`;
          throw new AppError("quota_exceeded", message);
        }
        await audit({ action: "webhook.added", subjectId: id, details: { ...settings } });
        return { ...toView(await found(sql, tenantId, id)), secret };
      });
    },
  ),

  changeWebhookEndpoint: errand(
    "webhooks:write",
    async (
      { act, tenantId, outbound },
      { id, expected, ...change }:
        & { readonly id: string; readonly expected: number | null }
        & Given<EndpointSettings & { status: "enabled" | "disabled" }>,
    ): Promise<EndpointView> => {
      if (change.url !== undefined) outbound.check(change.url);
      return await act(async ({ sql, audit }) => {
        const before = await found(sql, tenantId, id);
        const settings = {
          url: change.url ?? before.url,
          description: change.description ?? before.description,
          events: change.events ?? before.events,
          mode: change.mode ?? before.mode,
          status: change.status ?? before.status,
        };
        if (!await updateWebhookEndpoint(sql, tenantId, id, settings, expected)) throw edited();
        if (settings.status === "disabled") await cancelDeliveries(sql, tenantId, id);
        await audit({ action: "webhook.changed", subjectId: id, details: settings });
        return toView(await found(sql, tenantId, id));
      });
    },
  ),

  removeWebhookEndpoint: errand(
    "webhooks:write",
    ({ act, tenantId }, id: string): Promise<null> =>
      act(async ({ sql, audit }) => {
        const { url } = await found(sql, tenantId, id);
        await deleteWebhookEndpoint(sql, tenantId, id);
        await audit({ action: "webhook.removed", subjectId: id, details: { url } });
        return null;
      }),
  ),

  /** The secret before signs too for `overlapHours`, so that the receiver can change over. */
  rotateWebhookSecret: errand(
    "webhooks:write",
    async (
      { read, act, tenantId, vault },
      { id, overlapHours }: { readonly id: string; readonly overlapHours: number },
    ): Promise<EndpointWithSecret> => {
      const before = await read((sql) => found(sql, tenantId, id));
      const secret = newWebhookSecret();
      const sealed = await vault.seal(placeOf(tenantId, id, "secret_sealed"), secret);
      const old = overlapHours === 0
        ? null
        : await vault.open(placeOf(tenantId, id, "secret_sealed"), before.secretSealed);
      const previousSealed = old === null
        ? null
        : await vault.seal(placeOf(tenantId, id, "previous_secret_sealed"), old);
      return await act(async ({ sql, audit }) => {
        const overlapMs = overlapHours * HOUR_MS;
        const change = { sealed, previousSealed, overlapMs, expected: before.version };
        if (!await updateWebhookSecret(sql, tenantId, id, change)) throw edited();
        await audit({ action: "webhook.secretRotated", subjectId: id, details: { overlapHours } });
        return { ...toView(await found(sql, tenantId, id)), secret };
      });
    },
  ),

  /** Sends `webhook.test` to this endpoint alone, once and now, whether it is enabled or not. */
  testWebhookEndpoint: errand(
    "webhooks:write",
    async (office, endpointId: string): Promise<DeliveryDetail> => {
      const { act, read, tenantId, clock, attemptDelivery, signal } = office;
      const eventId = newId("event");
      const id = newId("delivery");
      const lease = crypto.randomUUID();
      const [leased] = await act(async ({ sql, audit }) => {
        await found(sql, tenantId, endpointId);
        const payload = { endpointId };
        const event = { id: eventId, type: "webhook.test", payload, at: clock.date() } as const;
        await insertOutboxEvent(sql, tenantId, event);
        const where = { eventId, endpointId, leaseMs: TEST_LEASE_MS };
        await insertLeasedDelivery(sql, { tenantId, id, lease }, where);
        await audit({ action: "webhook.tested", subjectId: endpointId });
        return await listLeasedDeliveries(sql, [{ tenantId, id }], lease);
      });
      if (leased !== undefined) await attemptDelivery(leased, signal);
      return await read((sql) => detailOf(sql, tenantId, { endpointId, id }));
    },
  ),

  /** Newest event first; `cursor` is the id of the last delivery already seen. */
  webhookDeliveries: errand(
    "webhooks:read",
    (
      { read, tenantId },
      { id, limit, cursor, status }: {
        readonly id: string;
        readonly limit: number;
        readonly cursor?: string | undefined;
        readonly status?: DeliveryStatus | undefined;
      },
    ) =>
      read(async (sql) => {
        if (cursor !== undefined) checkCursor("delivery", cursor);
        await found(sql, tenantId, id);
        const page = { limit, before: cursor, status };
        const rows = await listDeliveries(sql, tenantId, id, page);
        return { items: rows.map(toDelivery), next: nextOf(rows, limit) };
      }),
  ),

  webhookDelivery: errand(
    "webhooks:read",
    ({ read, tenantId }, which: { readonly endpointId: string; readonly id: string }) =>
      read((sql) => detailOf(sql, tenantId, which)),
  ),

  replayWebhookDelivery: errand(
    "webhooks:write",
    async (
      { act, tenantId, wakeDeliveries },
      { endpointId, id }: { readonly endpointId: string; readonly id: string },
    ): Promise<DeliveryView> => {
      const replayed = await act(async ({ sql, audit }) => {
        if (uuidOf("delivery", id) === null) throw noDelivery();
        const { status } = await found(sql, tenantId, endpointId);
        const before = await getDelivery(sql, tenantId, endpointId, id);
        if (before === null) throw noDelivery();
        if (status === "disabled") throw disabled();
        await replayDelivery(sql, tenantId, endpointId, id);
        await audit({ action: "webhook.replayed", subjectId: endpointId, details: { id } });
        const after = await getDelivery(sql, tenantId, endpointId, id);
        return toDelivery(after ?? before);
      });
      wakeDeliveries();
      return replayed;
    },
  ),

  /** Everything that the endpoint wants of a time, also what it has had. `from` included, `to` not. */
  replayWebhookEvents: errand(
    "webhooks:write",
    async (
      { act, tenantId, wakeDeliveries },
      { id, from, to }: { readonly id: string; readonly from: string; readonly to: string },
    ): Promise<{ replayed: number }> => {
      const range = { from: new Date(from), to: new Date(to), limit: REPLAY_MAX };
      if (range.from >= range.to) {
        throw new AppError("invalid", "The range ends before it begins", { field: "to" });
      }
      const replayed = await act(async ({ sql, audit }) => {
        const { status } = await found(sql, tenantId, id);
        if (status === "disabled") throw disabled();
        const count = await replayDeliveries(sql, tenantId, id, range);
        const details = { from, to, count };
        await audit({ action: "webhook.replayed", subjectId: id, details });
        return count;
      });
      wakeDeliveries();
      return { replayed };
    },
  ),
};

async function detailOf(
  sql: Sql,
  tenantId: string,
  { endpointId, id }: { readonly endpointId: string; readonly id: string },
): Promise<DeliveryDetail> {
  await found(sql, tenantId, endpointId);
  if (uuidOf("delivery", id) === null) throw noDelivery();
  const delivery = await getDelivery(sql, tenantId, endpointId, id);
  if (delivery === null) throw noDelivery();
  const attempts = await listAttempts(sql, tenantId, id, ATTEMPTS_MAX);
  const history = attempts.map(({ attempt, at, ...rest }) => ({
    number: attempt,
    at: at.toISOString(),
    ...rest,
  }));
  return { ...toDelivery(delivery), data: delivery.payload, history };
}

async function found(sql: Sql, tenantId: string, id: string): Promise<WebhookEndpoint> {
  const endpoint = uuidOf("endpoint", id) && await getWebhookEndpoint(sql, tenantId, id);
  if (!endpoint) throw new AppError("not_found", "No such webhook endpoint");
  return endpoint;
}

function noDelivery(): AppError {
  return new AppError("not_found", "No such delivery");
}

function disabled(): AppError {
  return new AppError("conflict", "The endpoint is disabled: enable it first");
}

function edited(): AppError {
  return new AppError("edit_conflict", "The endpoint was changed since", { field: "If-Match" });
}

function checkCursor(prefix: "endpoint" | "delivery", cursor: string): void {
  if (uuidOf(prefix, cursor) === null) {
    throw new AppError("invalid", "Not a cursor that was given out", { field: "cursor" });
  }
}

function nextOf(rows: readonly { readonly id: string }[], limit: number): string | null {
  return rows.length < limit ? null : rows.at(-1)?.id ?? null;
}

function placeOf(
  tenantId: string,
  row: string,
  column: "secret_sealed" | "previous_secret_sealed",
): { tenantId: string; table: string; column: string; row: string } {
  return { tenantId, table: "webhook_endpoint", column, row };
}

function toView(endpoint: WebhookEndpoint): EndpointView {
  const { id, url, description, events, mode, status, disabledReason, version } = endpoint;
  return {
    ...{ id, url, description, events: [...events], mode, status, disabledReason },
    failingSince: endpoint.failingSince?.toISOString() ?? null,
    previousSecretUntil: endpoint.previousUntil?.toISOString() ?? null,
    createdAt: endpoint.createdAt.toISOString(),
    version,
  };
}

function toDelivery(delivery: Delivery): DeliveryView {
  const { id, endpointId, eventId, eventType, status, attempt } = delivery;
  return {
    ...{ id, endpointId, eventId, eventType, status, attempts: attempt },
    nextAt: delivery.nextAt?.toISOString() ?? null,
    createdAt: delivery.createdAt.toISOString(),
    finishedAt: delivery.finishedAt?.toISOString() ?? null,
  };
}
