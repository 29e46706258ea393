/** Tickets for talking to an agent from a page: each lets one page in, once, within a minute. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface TalkTicket {
  readonly agentId: string;
  /** The origin of the page that may show it; null: the house's own. */
  readonly origin: string | null;
  readonly expiresAt: Date;
}

/** Tickets of one tenant that expired are forgotten whenever it gets another: so many at a time. */
const EXPIRED_MAX = 100;

export async function insertTalkTicket(
  sql: Sql,
  tenantId: string,
  ticket: TalkTicket & { readonly hash: Uint8Array; readonly now: Date },
): Promise<void> {
  const tenant = uuidOf("tenant", tenantId);
  const { hash, agentId, origin, expiresAt, now } = ticket;
  await sql`
    delete from talk_ticket
    where tenant_id = ${tenant} and hash in (
      select hash from talk_ticket where tenant_id = ${tenant} and expires_at <= ${now}
      order by expires_at limit ${EXPIRED_MAX})`;
  await sql`
    insert into talk_ticket (tenant_id, hash, agent_id, origin, expires_at)
    values (${tenant}, ${hash}, ${uuidOf("agent", agentId)}, ${origin}, ${expiresAt})`;
}

/** Spends a ticket, whatever then becomes of it; null: there is none, or somebody else was faster. */
export async function takeTalkTicket(
  sql: Sql,
  tenantId: string,
  hash: Uint8Array,
): Promise<TalkTicket | null> {
  const [ticket] = await sql<TalkTicket[]>`
    delete from talk_ticket
    where tenant_id = ${uuidOf("tenant", tenantId)} and hash = ${hash}
    returning 'agent_' || agent_id as agent_id, origin, expires_at`;
  return ticket ?? null;
}
