/** The audit log: who did what, written in the transaction of the act, never changed. */

import type { Sql } from "./client.ts";
import { uuidOf } from "@/lib/ids.ts";
import { asJson } from "./json.ts";

export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly actorKind: "user" | "key" | "operator" | "system";
  /** A prefixed id, or an operator's name. */
  readonly actorId: string;
  /** `agent.published` */
  readonly action: string;
  /** The prefixed id of what was acted on. */
  readonly subjectId: string;
  /** JSON; no secret and no content of a conversation. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string | null;
  readonly address: string | null;
}

export async function insertAuditEntry(
  sql: Sql,
  tenantId: string,
  entry: AuditEntry,
): Promise<void> {
  await sql`
    insert into audit_entry (tenant_id, id, at, actor_kind, actor_id, action, subject_id, details,
      request_id, address)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("audit", entry.id)}, ${entry.at},
      ${entry.actorKind}, ${entry.actorId}, ${entry.action}, ${entry.subjectId},
      ${asJson(sql, entry.details)}, ${entry.requestId}, ${entry.address})`;
}

/** An entry as it is read; `seq` and `hash` are null for the second that it waits for its seal. */
export interface ReadAuditEntry extends AuditEntry {
  readonly seq: number | null;
  /** SHA-256, hex; see `sealOf`. */
  readonly hash: string | null;
  /** `at` to the microsecond, ISO 8601: where a page ends. */
  readonly atText: string;
}

export interface AuditFilter {
  readonly action?: string | undefined;
  readonly actorId?: string | undefined;
  readonly subjectId?: string | undefined;
  /** From then on. */
  readonly from?: string | undefined;
  /** Before then. */
  readonly to?: string | undefined;
}

/** Newest first. `before` is the last one already seen. */
export async function listAuditEntries(
  sql: Sql,
  tenantId: string,
  { action, actorId, subjectId, from, to }: AuditFilter,
  page: { readonly limit: number; readonly before?: { readonly at: string; readonly id: string } },
): Promise<ReadAuditEntry[]> {
  const { before } = page;
  return await sql<ReadAuditEntry[]>`
    select 'audit_' || e.id as id, e.at, e.actor_kind, e.actor_id, e.action, e.subject_id, e.details,
      e.request_id, e.address, s.seq::float8 as seq, encode(s.hash, 'hex') as hash,
      to_char(e.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at_text
    from audit_entry e
    left join audit_seal s on s.tenant_id = e.tenant_id and s.entry_id = e.id
    where e.tenant_id = ${uuidOf("tenant", tenantId)}
      ${action === undefined ? sql`` : sql`and e.action = ${action}`}
      ${actorId === undefined ? sql`` : sql`and e.actor_id = ${actorId}`}
      ${subjectId === undefined ? sql`` : sql`and e.subject_id = ${subjectId}`}
      ${from === undefined ? sql`` : sql`and e.at >= ${from}::text::timestamptz`}
      ${to === undefined ? sql`` : sql`and e.at < ${to}::text::timestamptz`}
      ${
    before === undefined ? sql`` : sql`and (e.at, e.id) <
        (${before.at}::text::timestamptz, ${uuidOf("audit", before.id)}::uuid)`
  }
    order by e.at desc, e.id desc
    limit ${page.limit}`;
}

/** What an entry says of the oldest entries, when they were removed: the last one's number and hash. */
export const CUT_ACTION = "audit.cut";

/** Whether an entry says that the chain was cut there. */
export async function hasCutEntry(
  sql: Sql,
  tenantId: string,
  { seq, hash }: { readonly seq: number; readonly hash: string },
): Promise<boolean> {
  const found = await sql`
    select 1 from audit_entry
    where tenant_id = ${uuidOf("tenant", tenantId)} and action = ${CUT_ACTION}
      and details ->> 'seq' = ${String(seq)} and details ->> 'hash' = ${hash}
    limit 1`;
  return found.length === 1;
}
