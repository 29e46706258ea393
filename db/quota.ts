/** Counters of what a tenant has used, by the minute, day and month (UTC). They change with the rows that they count. */

import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { TenantLimits } from "@/lib/limits/plan.ts";
import type { Sql } from "./client.ts";

/** What is counted, and over which period. */
const PERIOD_OF = {
  callsPerDay: "day",
  callsPerMonth: "month",
  secondsPerMonth: "month",
  dialsPerMinute: "minute",
  dialsPerDay: "day",
} as const;
export type CounterName = keyof typeof PERIOD_OF;
export type Period = typeof PERIOD_OF[CounterName];

/** In the periods of one instant. */
export type Usage = Readonly<Record<CounterName, number>>;

// `Object.keys` forgets that these are all the keys.
const COUNTERS = Object.keys(PERIOD_OF) as readonly CounterName[];
const CALLS = ["callsPerDay", "callsPerMonth"] as const;
const DIALS = ["dialsPerDay", "dialsPerMinute"] as const;
/** Minutes are kept for an hour: nobody reads them later. */
const MINUTES_KEPT_MS = 3_600_000;

/** When the period that holds this instant began. */
export function beginningOf(period: Period, at: Date): Date {
  const month = [at.getUTCFullYear(), at.getUTCMonth()] as const;
  switch (period) {
    case "minute":
      return new Date(Math.floor(at.getTime() / 60_000) * 60_000);
    case "day":
      return new Date(Date.UTC(...month, at.getUTCDate()));
    case "month":
      return new Date(Date.UTC(...month, 1));
  }
}

export async function getUsage(sql: Sql, tenantId: string, at: Date): Promise<Usage> {
  const { counted, periods } = arrays(COUNTERS, at);
  const rows = await sql<{ name: CounterName; used: number }[]>`
    select name, used::float8 as used from quota_counter
    where tenant_id = ${uuidOf("tenant", tenantId)} and (name, period) in (
      select * from unnest(${counted}::text[], ${periods}::timestamptz[]))`;
  const used = new Map(rows.map((row) => [row.name, row.used]));
  const usage = COUNTERS.map((name) => [name, used.get(name) ?? 0]);
  return Object.fromEntries(usage) as Usage; // of all counters
}

/**
 * Counts a new call, in the transaction of its row. Throws AppError("quota_exceeded") where the tenant's
 * limits allow no more, and nothing of the transaction remains: so they hold with any number of machines.
 */
export async function countCall(
  sql: Sql,
  tenantId: string,
  call: { readonly direction: "inbound" | "outbound"; readonly startedAt: Date },
  limits: TenantLimits,
): Promise<void> {
  const names = call.direction === "outbound" ? [...CALLS, ...DIALS] : CALLS;
  await countWithin(sql, tenantId, { names, at: call.startedAt }, limits);
}

/** Counts a number that is dialed for a caller who is handed over, as a call that is placed. Throws as `countCall`. */
export async function countDial(
  sql: Sql,
  tenantId: string,
  at: Date,
  limits: TenantLimits,
): Promise<void> {
  await countWithin(sql, tenantId, { names: DIALS, at }, limits);
}

async function countWithin(
  sql: Sql,
  tenantId: string,
  { names, at }: {
    readonly names: readonly (typeof CALLS | typeof DIALS)[number][];
    readonly at: Date;
  },
  limits: TenantLimits,
): Promise<void> {
  const used = await add(sql, tenantId, names, { at, amount: 1 });
  for (const name of names) {
    const limit = limits[name];
    if (limit !== null && (used.get(name) ?? 0) > limit) throw exceeded(name, limit);
  }
  if (used.get("dialsPerMinute") === 1) await deleteMinutes(sql, tenantId, at);
}

/** Counts how long an answered call was, in the transaction that ends its row. */
export async function countSeconds(
  sql: Sql,
  tenantId: string,
  seconds: number,
  at: Date,
): Promise<void> {
  await add(sql, tenantId, ["secondsPerMonth"], { at, amount: Math.max(0, Math.ceil(seconds)) });
}

/** What each counter has come to. They are changed in the order given, the same for all: no two wait for each other. */
async function add(
  sql: Sql,
  tenantId: string,
  names: readonly CounterName[],
  { at, amount }: { readonly at: Date; readonly amount: number },
): Promise<ReadonlyMap<CounterName, number>> {
  const { counted, periods } = arrays(names, at);
  const rows = await sql<{ name: CounterName; used: number }[]>`
    insert into quota_counter (tenant_id, name, period, used)
    select ${uuidOf("tenant", tenantId)}, name, period, ${amount}
    from unnest(${counted}::text[], ${periods}::timestamptz[]) as c (name, period)
    on conflict (tenant_id, name, period) do update set used = quota_counter.used + excluded.used
    returning name, used::float8 as used`;
  return new Map(rows.map(({ name, used }) => [name, used]));
}

/** As array literals: neither has a character that would have to be escaped. */
function arrays(
  names: readonly CounterName[],
  at: Date,
): { readonly counted: string; readonly periods: string } {
  const periods = names.map((name) => beginningOf(PERIOD_OF[name], at).toISOString());
  return { counted: `{${names.join(",")}}`, periods: `{${periods.join(",")}}` };
}

async function deleteMinutes(sql: Sql, tenantId: string, at: Date): Promise<void> {
  const before = new Date(at.getTime() - MINUTES_KEPT_MS);
  await sql`
    delete from quota_counter
    where tenant_id = ${uuidOf("tenant", tenantId)} and name = 'dialsPerMinute'
      and period < ${before}`;
}

/** What a limit is called to the tenant. */
const SENTENCES = {
  callsPerDay: "calls a day",
  callsPerMonth: "calls a month",
  secondsPerMonth: "seconds a month",
  dialsPerMinute: "calls placed a minute",
  dialsPerDay: "calls placed a day",
} as const satisfies Record<CounterName, string>;

function exceeded(name: CounterName, limit: number): AppError {
  return new AppError("quota_exceeded", `The plan allows ${limit} ${SENTENCES[name]}`, {
    retryable: true,
  });
}
