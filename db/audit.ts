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
