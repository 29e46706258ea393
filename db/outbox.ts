/** Events that leave the house, written in the transaction of what happened. */

import type { EventPayloads, EventType } from "@/lib/event_types.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface OutboxEvent<T extends EventType = EventType> {
  /** `event_…`: the id of the webhook, the same on every retry. */
  readonly id: string;
  readonly type: T;
  readonly payload: EventPayloads[T];
  readonly at: Date;
}

export async function insertOutboxEvent<T extends EventType>(
  sql: Sql,
  tenantId: string,
  event: OutboxEvent<T>,
): Promise<void> {
  await sql`
    insert into outbox (tenant_id, id, type, payload, at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("event", event.id)}, ${event.type},
      ${asJson(sql, event.payload)}, ${event.at})`;
}

/** Up to `limit` events that were dispatched so long ago, with their deliveries; returns how many. */
export async function deleteOutboxEvents(
  sql: Sql,
  tenantId: string,
  { days, limit }: { readonly days: number; readonly limit: number },
): Promise<number> {
  const rows = await sql`
    delete from outbox where tenant_id = ${uuidOf("tenant", tenantId)} and id in (
      select id from outbox
      where tenant_id = ${uuidOf("tenant", tenantId)} and dispatched_at is not null
        and at < app_now() - ${days}::integer * interval '1 day'
      order by at limit ${limit})`;
  return rows.count;
}
