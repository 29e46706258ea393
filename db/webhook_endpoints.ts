/** Webhook endpoints: where a tenant wants its events sent. Their secrets are sealed. */

import type { EventType } from "@/lib/event_types.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export type WebhookMode = "standard" | "hex";

/** What is sealed in `secretSealed` is the whole `whsec_…`. */
export interface WebhookEndpoint {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  /** Empty: all. */
  readonly events: readonly EventType[];
  readonly mode: WebhookMode;
  readonly status: "enabled" | "disabled";
  /** Null while enabled. */
  readonly disabledReason: string | null;
  /** Of the first failure after the last success; null: the last attempt succeeded, or there was none. */
  readonly failingSince: Date | null;
  readonly secretSealed: Uint8Array;
  /** The one before, while it signs too. */
  readonly previousSecretSealed: Uint8Array | null;
  readonly previousUntil: Date | null;
  readonly version: number;
  readonly createdAt: Date;
}

export type EndpointSettings = Pick<WebhookEndpoint, "url" | "description" | "events" | "mode">;

export interface NewWebhookEndpoint extends EndpointSettings {
  readonly id: string;
  readonly secretSealed: Uint8Array;
}

/** False when there are `most` already. */
export async function insertWebhookEndpoint(
  sql: Sql,
  tenantId: string,
  endpoint: NewWebhookEndpoint,
  most: number,
): Promise<boolean> {
  const tenant = uuidOf("tenant", tenantId);
  const rows = await sql`
    insert into webhook_endpoint (tenant_id, id, url, description, events, mode, secret_sealed)
    select ${tenant}, ${uuidOf("endpoint", endpoint.id)}, ${endpoint.url}, ${endpoint.description},
      ${textArray(endpoint.events)}::text[], ${endpoint.mode}, ${endpoint.secretSealed}
    where (select count(*) from webhook_endpoint where tenant_id = ${tenant}) < ${most}::int`;
  return rows.count === 1;
}

export async function getWebhookEndpoint(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<WebhookEndpoint | null> {
  const [endpoint] = await sql<WebhookEndpoint[]>`
    select ${columns(sql)} from webhook_endpoint
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("endpoint", id)}`;
  return endpoint ?? null;
}

/** Newest first. `before` is the id of the last one already seen. */
export async function listWebhookEndpoints(
  sql: Sql,
  tenantId: string,
  { limit, before }: { readonly limit: number; readonly before?: string | undefined },
): Promise<WebhookEndpoint[]> {
  return await sql<WebhookEndpoint[]>`
    select ${columns(sql)} from webhook_endpoint
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${before === undefined ? sql`` : sql`and webhook_endpoint.id < ${uuidOf("endpoint", before)}`}
    order by webhook_endpoint.id desc
    limit ${limit}`;
}

/** False when its version is not the `expected` one any more; a null `expected` is any. */
export async function updateWebhookEndpoint(
  sql: Sql,
  tenantId: string,
  id: string,
  change: EndpointSettings & { readonly status: "enabled" | "disabled" },
  expected: number | null,
): Promise<boolean> {
  const isEnabled = change.status === "enabled";
  const rows = await sql`
    update webhook_endpoint set url = ${change.url}, description = ${change.description},
      events = ${textArray(change.events)}::text[], mode = ${change.mode},
      failing_since = case when ${isEnabled} and status = 'disabled' then null
        else failing_since end,
      slow_until = case when ${isEnabled} and status = 'disabled' then null else slow_until end,
      disabled_reason = case when ${isEnabled} then null
        else coalesce(disabled_reason, 'Disabled by hand') end,
      status = ${change.status}, version = version + 1
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("endpoint", id)}
      and (${expected}::int is null or version = ${expected})`;
  return rows.count === 1;
}

/** The one before signs too for `overlapMs` from now; 0: no more. False when the endpoint was changed since. */
export async function updateWebhookSecret(
  sql: Sql,
  tenantId: string,
  id: string,
  secret: {
    readonly sealed: Uint8Array;
    readonly previousSealed: Uint8Array | null;
    readonly overlapMs: number;
    readonly expected: number;
  },
): Promise<boolean> {
  const rows = await sql`
    update webhook_endpoint set secret_sealed = ${secret.sealed},
      previous_secret_sealed = ${secret.previousSealed},
      previous_until = case when ${secret.previousSealed === null} then null
        else app_now() + ${secret.overlapMs}::float8 * interval '1 millisecond' end,
      version = version + 1
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("endpoint", id)}
      and version = ${secret.expected}`;
  return rows.count === 1;
}

/** With its deliveries. */
export async function deleteWebhookEndpoint(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<boolean> {
  const rows = await sql`
    delete from webhook_endpoint
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("endpoint", id)}`;
  return rows.count === 1;
}

/** What an attempt has shown of its endpoint. */
export type Health =
  | { readonly type: "well" }
  /** `quietMs`: nothing is sent to it for so long. */
  | { readonly type: "failing"; readonly quietMs: number }
  | { readonly type: "gone" };

/**
 * Returns why it is disabled from now on; null: it stays as it is. It is disabled when it is gone, and
 * when it has failed for `failingMs` without one success.
 */
export async function updateEndpointHealth(
  sql: Sql,
  tenantId: string,
  id: string,
  health: Health,
  failingMs: number,
): Promise<string | null> {
  const key = sql`
    tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("endpoint", id)}
      and status = 'enabled'`;
  if (health.type === "well") {
    await sql`
      update webhook_endpoint set failing_since = null, slow_until = null
      where ${key} and (failing_since is not null or slow_until is not null)`;
    return null;
  }
  const isGone = health.type === "gone";
  const quietMs = health.type === "failing" ? health.quietMs : 0;
  const [row] = await sql<{ isOver: boolean }[]>`
    update webhook_endpoint set failing_since = coalesce(failing_since, app_now()),
      slow_until = case when ${quietMs}::float8 = 0 then slow_until
        else greatest(slow_until, app_now() + ${quietMs}::float8 * interval '1 millisecond') end
    where ${key}
    returning failing_since <= app_now() - ${failingMs}::float8 * interval '1 millisecond'
      as is_over`;
  if (row === undefined || !(isGone || row.isOver)) return null;
  const reason = isGone ? "It answered 410 Gone" : "It failed for five days without one success";
  await sql`
    update webhook_endpoint set status = 'disabled', disabled_reason = ${reason},
      version = version + 1
    where ${key}`;
  return reason;
}

function textArray(texts: readonly string[]): string {
  return `{${texts.map((text) => JSON.stringify(text)).join(",")}}`;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'endpoint_' || id as id, url, description, array_to_json(events) as events, mode,
    status, disabled_reason, failing_since, secret_sealed,
    case when previous_until > app_now() then previous_secret_sealed end as previous_secret_sealed,
    case when previous_until > app_now() then previous_until end as previous_until,
    version, created_at`;
}
