/** Operators' visits: that one of them acts in a tenant for a while, and why. */

import type { Role } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface NewOperatorVisit {
  readonly id: string;
  /** A prefixed id, or a name. */
  readonly operator: string;
  readonly role: Exclude<Role, "owner">;
  readonly reason: string;
  readonly publicId: string;
  /** `keyHash` of the whole credential. */
  readonly hash: Uint8Array;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export async function insertOperatorVisit(
  sql: Sql,
  tenantId: string,
  visit: NewOperatorVisit,
): Promise<void> {
  await sql`
    insert into operator_visit (tenant_id, id, operator, role, reason, public_id, hash, created_at,
      expires_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("visit", visit.id)}, ${visit.operator},
      ${visit.role}, ${visit.reason}, ${visit.publicId}, ${visit.hash}, ${visit.createdAt},
      ${visit.expiresAt})`;
}

/** False when there is none, or it was ended before. */
export async function updateOperatorVisitEnded(
  sql: Sql,
  tenantId: string,
  visitId: string,
  at: Date,
): Promise<boolean> {
  const rows = await sql`
    update operator_visit set ended_at = ${at}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("visit", visitId)}
      and ended_at is null`;
  return rows.count === 1;
}
