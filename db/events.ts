/** What happened in conversations, in order. Append-only: transcripts and reports are views of it. */

import { PROGRESS_TYPES } from "@/lib/conversation/transcript.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface ConversationEvent {
  /** From 1, without gaps within a conversation; given by the actor that owns it. */
  readonly seq: number;
  readonly type: string;
  /** JSON; its shape belongs to the type. */
  readonly payload: unknown;
  readonly at: Date;
}

export interface NewEvent extends ConversationEvent {
  readonly tenantId: string;
  /** The id of the conversation, for now always a call's. */
  readonly conversationId: string;
}

/** Of any tenants that the transaction is bound to. One that is there already stays as it is. */
export async function appendEvents(sql: Sql, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map(({ tenantId, conversationId, seq, type, payload, at }) => ({
    tenant_id: uuidOf("tenant", tenantId),
    conversation_id: uuidOf("call", conversationId),
    seq,
    type,
    payload,
    at,
  }));
  await sql`
    insert into conversation_event (tenant_id, conversation_id, seq, type, payload, at)
    select tenant_id, conversation_id, seq, type, payload, at
    from jsonb_to_recordset(${asJson(sql, rows)})
      as row (tenant_id uuid, conversation_id uuid, seq integer, type text, payload jsonb,
        at timestamptz)
    on conflict (tenant_id, conversation_id, seq) do nothing`;
}

/** Those after `after`, oldest first; 0 begins at the beginning. `isSettled`: without those of what was under way. */
export async function listEvents(
  sql: Sql,
  tenantId: string,
  conversationId: string,
  page: { readonly after: number; readonly limit: number; readonly isSettled?: true },
): Promise<ConversationEvent[]> {
  const settled = page.isSettled
    ? sql`and type not in (select jsonb_array_elements_text(${asJson(sql, PROGRESS_TYPES)}))`
    : sql``;
  return await sql<ConversationEvent[]>`
    select seq, type, payload, at
    from conversation_event
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and conversation_id = ${uuidOf("call", conversationId)} and seq > ${page.after}
      ${settled}
    order by seq
    limit ${page.limit}`;
}
