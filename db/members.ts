/** Members: the people of a tenant, and what each may do there. */

import type { Role, TenantStatus } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

const MEMBERSHIPS_MAX = 100;
/** More owners than anybody has: any two of them show that neither is the last. */
const OWNERS_MAX = 1_000;

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

/** A member as fellow members see them. */
export interface Member {
  readonly id: string;
  readonly personId: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
}

export async function getMember(
  sql: Sql,
  tenantId: string,
  memberId: string,
): Promise<Member | null> {
  const [member] = await sql<Member[]>`
    ${selectMembers(sql)}
    where m.tenant_id = ${uuidOf("tenant", tenantId)} and m.id = ${uuidOf("member", memberId)}`;
  return member ?? null;
}

/** Null: nobody with this address (in lower case) is a member. */
export async function getMemberByEmail(
  sql: Sql,
  tenantId: string,
  email: string,
): Promise<Member | null> {
  const [member] = await sql<Member[]>`
    ${selectMembers(sql)}
    where m.tenant_id = ${uuidOf("tenant", tenantId)} and p.email = ${email}`;
  return member ?? null;
}

/** The first one joined first. `after` is the id of the last one already seen. */
export async function listMembers(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly after?: string },
): Promise<Member[]> {
  return await sql<Member[]>`
    ${selectMembers(sql)}
    where m.tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.after ? sql`and m.id > ${uuidOf("member", page.after)}` : sql``}
    order by m.id
    limit ${page.limit}`;
}

/**
 * The ids of the owners, who stay so until the end of the transaction: of two that would each take
 * away the other's last fellow owner, the second sees what the first has done.
 */
export async function lockOwners(sql: Sql, tenantId: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select 'member_' || id as id from member
    where tenant_id = ${uuidOf("tenant", tenantId)} and role = 'owner'
    order by member.id
    limit ${OWNERS_MAX}
    for update`;
  return rows.map(({ id }) => id);
}

export async function updateMemberRole(
  sql: Sql,
  tenantId: string,
  memberId: string,
  role: Role,
): Promise<boolean> {
  const rows = await sql`
    update member set role = ${role}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("member", memberId)}`;
  return rows.count === 1;
}

/** False when they are gone already. */
export async function deleteMember(
  sql: Sql,
  tenantId: string,
  memberId: string,
): Promise<boolean> {
  const rows = await sql`
    delete from member
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("member", memberId)}`;
  return rows.count === 1;
}

/** Where the tenant's owners are reached by mail, who joined first before others. */
export async function listOwnerEmails(
  sql: Sql,
  tenantId: string,
  limit: number,
): Promise<string[]> {
  const rows = await sql<{ email: string }[]>`
    select p.email from member m join person p on p.id = m.person_id
    where m.tenant_id = ${uuidOf("tenant", tenantId)} and m.role = 'owner'
    order by m.id limit ${limit}`;
  return rows.map(({ email }) => email);
}

function selectMembers(sql: Sql) {
  return sql`
    select 'member_' || m.id as id, 'person_' || m.person_id as person_id, p.email, p.name, m.role,
      m.created_at
    from member m join person p on p.id = m.person_id`;
}
