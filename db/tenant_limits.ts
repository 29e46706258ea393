/** What a tenant may use: its status, and the limits that operators have set for it. */

import { z } from "zod";
import { type LimitOverrides, limitsWith, type TenantPlan } from "@/lib/limits/plan.ts";
import type { TenantStatus } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

const count = z.int().min(0).max(1_000_000_000);
const rate = z.object({
  capacity: z.int().min(1).max(1_000_000),
  perSecond: z.number().min(1 / 86_400).max(100_000),
}).optional();
const Overrides = z.object({
  concurrentCalls: count.optional(),
  callsPerDay: count.nullable().optional(),
  callsPerMonth: count.nullable().optional(),
  minutesPerMonth: count.nullable().optional(),
  dialsPerMinute: count.optional(),
  dialsPerDay: count.optional(),
  rates: z.object({ read: rate, write: rate, dial: rate, export: rate }).optional(),
}) satisfies z.ZodType<LimitOverrides>;

export async function getTenantPlan(sql: Sql, tenantId: string): Promise<TenantPlan | null> {
  const [row] = await sql<{ status: TenantStatus; limits: unknown; configVersion: number }[]>`
    select status, limits, config_version::int as config_version
    from tenant where id = ${uuidOf("tenant", tenantId)}`;
  if (row === undefined) return null;
  const { status, limits, configVersion } = row;
  return { status, configVersion, limits: limitsWith(Overrides.parse(limits)) };
}

export async function getLimitOverrides(
  sql: Sql,
  tenantId: string,
): Promise<LimitOverrides | null> {
  const [row] = await sql<{ limits: unknown }[]>`
    select limits from tenant where id = ${uuidOf("tenant", tenantId)}`;
  return row === undefined ? null : Overrides.parse(row.limits);
}

/** In place of those set before; what is absent is as the house has it. False: there is no such tenant. */
export async function updateLimitOverrides(
  sql: Sql,
  tenantId: string,
  overrides: LimitOverrides,
): Promise<boolean> {
  const rows = await sql`
    update tenant set limits = ${asJson(sql, Overrides.parse(overrides))}
    where id = ${uuidOf("tenant", tenantId)}`;
  return rows.count === 1;
}
