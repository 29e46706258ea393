/** Members: the people of a tenant, and what each may do there. */

import type { Role, TenantStatus } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

const MEMBERSHIPS_MAX = 100;

export interface NewMember {
  readonly id: string;
  readonly personId: string;
  readonly role: Role;
}

/** A tenant as one of its members sees it. */
export interface Membership {
  readonly tenantId: string;
  readonly tenantName: string;
  readonly tenantStatus: TenantStatus;
  readonly memberId: string;
  readonly role: Role;
}

/** False when the person is a member already. */
export async function insertMember(
  sql: Sql,
  tenantId: string,
  member: NewMember,
): Promise<boolean> {
  const rows = await sql`
    insert into member (tenant_id, id, person_id, role)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("member", member.id)},
      ${uuidOf("person", member.personId)}, ${member.role})
    on conflict do nothing`;
  return rows.count === 1;
}

/** Of one person, in the tenants of this transaction, the first one joined first. */
export async function listMemberships(sql: Sql, personId: string): Promise<Membership[]> {
  return await sql<Membership[]>`
    select 'tenant_' || t.id as tenant_id, t.name as tenant_name, t.status as tenant_status,
      'member_' || m.id as member_id, m.role
    from member m join tenant t on t.id = m.tenant_id
    where m.person_id = ${uuidOf("person", personId)}
    order by m.id
    limit ${MEMBERSHIPS_MAX}`;
}
