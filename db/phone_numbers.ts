/** Phone numbers of tenants: E.164, each once in the whole database. */

import { uuidOf } from "@/lib/ids.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import type { Sql } from "./client.ts";

export interface NewPhoneNumber {
  readonly id: string;
  /** E.164. */
  readonly number: string;
  /** Who answers it; null while nobody does. */
  readonly agentId: string | null;
  /** How its calls are held; null or absent: as the agent says. */
  readonly leg?: NumberLeg | null;
  /** What its callers are offered while no line is free; absent: the busy tone. */
  readonly whenFull?: WhenFull;
}

/** What is not named stays as it is. */
export interface NumberChange {
  readonly agentId?: string | null | undefined;
  readonly leg?: NumberLeg | null | undefined;
  readonly whenFull?: WhenFull | undefined;
}

export interface PhoneNumber extends NewPhoneNumber {
  readonly leg: NumberLeg | null;
  readonly whenFull: WhenFull;
  readonly createdAt: Date;
}

/** False when the number is taken, by this tenant or by another. */
export async function insertPhoneNumber(
  sql: Sql,
  tenantId: string,
  phoneNumber: NewPhoneNumber,
): Promise<boolean> {
  const { id, number, agentId, leg = null, whenFull = "busy" } = phoneNumber;
  const rows = await sql`
    insert into phone_number (tenant_id, id, number, agent_id, leg, when_full)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("number", id)}, ${number},
      ${agentId === null ? null : uuidOf("agent", agentId)}, ${leg}, ${whenFull})
    on conflict do nothing`;
  return rows.count === 1;
}

export async function getPhoneNumber(
  sql: Sql,
  tenantId: string,
  numberId: string,
): Promise<PhoneNumber | null> {
  const [number] = await sql<PhoneNumber[]>`
    select ${columns(sql)} from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("number", numberId)}`;
  return number ?? null;
}

/** How calls over this number are held; null: as the agent says, or the number is not the tenant's. */
export async function getNumberLeg(
  sql: Sql,
  tenantId: string,
  number: string,
): Promise<NumberLeg | null> {
  const [row] = await sql<{ leg: NumberLeg | null }[]>`
    select leg from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)} and number = ${number}`;
  return row?.leg ?? null;
}

/** Newest first. `before` is the id of the last one already seen: ids sort by the time they were made. */
export async function listPhoneNumbers(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string; readonly agentId?: string },
): Promise<PhoneNumber[]> {
  const { limit, before, agentId } = page;
  return await sql<PhoneNumber[]>`
    select ${columns(sql)} from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${before === undefined ? sql`` : sql`and phone_number.id < ${uuidOf("number", before)}`}
      ${agentId === undefined ? sql`` : sql`and agent_id = ${uuidOf("agent", agentId)}`}
    order by phone_number.id desc
    limit ${limit}`;
}

export async function countAgentNumbers(
  sql: Sql,
  tenantId: string,
  agentId: string,
): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)} and agent_id = ${uuidOf("agent", agentId)}`;
  return row?.count ?? 0;
}

/** False when it is not there (any more). The agent must be one of the tenant's. */
export async function updatePhoneNumber(
  sql: Sql,
  tenantId: string,
  numberId: string,
  { agentId, leg, whenFull }: NumberChange,
): Promise<boolean> {
  const answeredBy = agentId === null ? null : uuidOf("agent", agentId ?? "");
  const rows = await sql`
    update phone_number
    set agent_id = ${agentId === undefined ? sql`agent_id` : sql`${answeredBy}`},
      leg = ${leg === undefined ? sql`leg` : sql`${leg}`},
      when_full = coalesce(${whenFull ?? null}, when_full)
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("number", numberId)}`;
  return rows.count === 1;
}

/** Gives the number free for anyone. The number it was; null when it is not there (any more). */
export async function deletePhoneNumber(
  sql: Sql,
  tenantId: string,
  numberId: string,
): Promise<string | null> {
  const [row] = await sql<{ number: string }[]>`
    delete from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("number", numberId)}
    returning number`;
  return row?.number ?? null;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'number_' || phone_number.id as id, number, 'agent_' || agent_id as agent_id,
    leg, when_full, created_at`;
}
