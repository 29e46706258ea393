/** People: who logs in. Their rows are theirs alone; fellow members see who they are, not how they log in. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface Person {
  readonly id: string;
  /** In lower case. */
  readonly email: string;
  readonly name: string;
  /** Null once they have left it, and before they have any. */
  readonly primaryTenantId: string | null;
}

export interface PersonRow extends Person {
  readonly isOperator: boolean;
  /** Null: they may log in. */
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
}

/** A person who can log in, as they are before they do. */
export interface Login extends PersonRow {
  /** PHC string. */
  readonly passwordHash: string;
}

/** False when somebody has this address. */
export async function insertPerson(sql: Sql, person: Person): Promise<boolean> {
  const { id, email, name, primaryTenantId } = person;
  const rows = await sql`
    insert into person (id, email, name, primary_tenant_id)
    values (${uuidOf("person", id)}, ${email}, ${name},
      ${primaryTenantId && uuidOf("tenant", primaryTenantId)})
    on conflict do nothing`;
  return rows.count === 1;
}

export async function getPerson(sql: Sql, personId: string): Promise<PersonRow | null> {
  const [person] = await sql<PersonRow[]>`
    select 'person_' || id as id, email, name, 'tenant_' || primary_tenant_id as primary_tenant_id,
      is_operator, disabled_at, created_at
    from person where id = ${uuidOf("person", personId)}`;
  return person ?? null;
}

export async function getLogin(sql: Sql, personId: string): Promise<Login | null> {
  const [login] = await sql<Login[]>`
    select 'person_' || p.id as id, p.email, p.name,
      'tenant_' || p.primary_tenant_id as primary_tenant_id, p.is_operator, p.disabled_at,
      p.created_at, s.password_hash
    from person p join person_secret s on s.person_id = p.id
    where p.id = ${uuidOf("person", personId)}`;
  return login ?? null;
}

export async function updatePerson(
  sql: Sql,
  personId: string,
  change: { readonly name: string; readonly primaryTenantId: string | null },
): Promise<void> {
  const { name, primaryTenantId } = change;
  await sql`
    update person set name = ${name},
      primary_tenant_id = ${primaryTenantId && uuidOf("tenant", primaryTenantId)}
    where id = ${uuidOf("person", personId)}`;
}

export async function insertPassword(sql: Sql, personId: string, hash: string): Promise<void> {
  await sql`
    insert into person_secret (person_id, password_hash)
    values (${uuidOf("person", personId)}, ${hash})`;
}

export async function updatePassword(
  sql: Sql,
  personId: string,
  hash: string,
  at: Date,
): Promise<void> {
  await sql`
    update person_secret set password_hash = ${hash}, changed_at = ${at}
    where person_id = ${uuidOf("person", personId)}`;
}
