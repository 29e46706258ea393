/** Errands on the tenant itself: its name and settings. */

import { getTenant, type TenantRow, updateTenant } from "@/db/tenants.ts";
import type { TenantStatus } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { errand } from "./errand.ts";

/** What a tenant sets for itself; what is absent has the house's default. */
export interface TenantSettings {
  /** IANA name. */
  readonly timezone?: string | undefined;
  /** BCP 47. */
  readonly language?: string | undefined;
  /** Days that calls and their events are kept; null: for ever. */
  readonly callRetentionDays?: number | null | undefined;
  /** Days that audit entries are kept; null: for ever. */
  readonly auditRetentionDays?: number | null | undefined;
  /** True: members of role `agent` see the calls that they placed, and no others. */
  readonly agentsSeeOwnCallsOnly?: boolean | undefined;
}

export interface TenantView {
  readonly id: string;
  readonly name: string;
  readonly status: TenantStatus;
  readonly settings: TenantSettings;
  readonly createdAt: string;
  /** Its ETag. */
  readonly version: number;
}

export interface TenantChange {
  readonly name?: string | undefined;
  /** Merged into what is set; null takes a setting's default. */
  readonly settings?: TenantSettings | undefined;
  /** Of `If-Match`; null: any. */
  readonly expected: number | null;
}

export const tenantErrands = {
  tenant: errand("tenant:read", async ({ read, tenantId }, _: void): Promise<TenantView> => {
    const tenant = await read((sql) => getTenant(sql, tenantId));
    return toView(found(tenant));
  }),

  changeTenant: errand(
    "tenant:write",
    ({ act, tenantId }, change: TenantChange): Promise<TenantView> =>
      act(async ({ sql, audit, changeConfig }) => {
        const before = found(await getTenant(sql, tenantId));
        const settings = { ...before.settings, ...change.settings };
        const name = change.name ?? before.name;
        if (!await updateTenant(sql, tenantId, { name, settings }, change.expected)) throw edited();
        await audit({ action: "tenant.changed", subjectId: tenantId, details: { name, settings } });
        return toView({ ...before, name, settings, configVersion: await changeConfig() });
      }),
  ),
};

function edited(): AppError {
  return new AppError("edit_conflict", "The tenant was changed since", { field: "If-Match" });
}

function found<T>(tenant: T | null): T {
  if (tenant === null) throw new AppError("not_found", "No such tenant");
  return tenant;
}

function toView({ id, name, status, settings, createdAt, configVersion }: TenantRow): TenantView {
  return {
    id,
    name,
    status,
    settings, // written only from a TenantSettings
    createdAt: createdAt.toISOString(),
    version: configVersion,
  };
}
