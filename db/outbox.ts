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
