/** The entry of operators who look over all tenants. */

import { tenantsOfHouse } from "@/db/lookups.ts";
import { listTenants, type TenantSummary } from "@/db/tenants.ts";
import type { TenantStatus } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { entry } from "./entry.ts";

const ENTRY_MS = 10_000;

export interface TenantsPage {
  readonly limit: number;
  /** The id of the last one already seen. */
  readonly cursor?: string | undefined;
  readonly status?: TenantStatus | undefined;
  /** A part of the name, whatever its case. */
  readonly name?: string | undefined;
}

export interface TenantItem extends Omit<TenantSummary, "createdAt" | "models"> {
  readonly createdAt: string;
}

export const tenantEntries = {
  /** Newest first. Throws AppError("forbidden") anywhere but on the operators' listener. */
  houseTenants: entry(async (
    { database, operator },
    { limit, cursor, status, name }: TenantsPage,
  ): Promise<{ items: TenantItem[]; next: string | null }> => {
    if (operator === null) throw new AppError("forbidden", "This is for operators");
    const page = { limit, before: cursor ?? null, status: status ?? null, name: name ?? null };
    const ids = await database.lookup("rest", ENTRY_MS, (sql) => tenantsOfHouse(sql, page));
    const rows = ids.length === 0
      ? []
      : await database.asTenant("rest", ids, ENTRY_MS, (sql) => listTenants(sql, ids));
    const items = rows.map(({ models: _, ...row }) => ({
      ...row,
      createdAt: row.createdAt.toISOString(),
    }));
    return { items, next: ids.length < limit ? null : ids.at(-1) ?? null };
  }),
};
