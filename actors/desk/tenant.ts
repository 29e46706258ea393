/** Errands on the tenant itself: its name and settings. */

import { getTenant, type TenantRow, updateTenant } from "@/db/tenants.ts";
import type { TenantStatus } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { merged } from "@/lib/merge.ts";
import { errand } from "./errand.ts";

/** What a tenant's calls are held with where the agent does not say. What is absent is the house's. */
export interface CallDefaults {
  /** A language model, by its provider's name: one of those that operators allow. */
  readonly model?: string | undefined;
  /** The speech provider's voice id. */
  readonly voice?: string | undefined;
  /** BCP 47; absent: the tenant's own language. */
  readonly language?: string | undefined;
}

/** What a tenant sets for itself; what is absent has the house's default. */
export interface TenantSettings {
  /** IANA name. */
  readonly timezone?: string | undefined;
  /** BCP 47. */
  readonly language?: string | undefined;
  /** Days that calls and their events are kept; null: for ever. */
  readonly callRetentionDays?: number | null | undefined;
  /** Days that recordings of calls are kept, and no longer than the calls; null: as long as those. */
  readonly recordingRetentionDays?: number | null | undefined;
  /** Days that audit entries are kept; null: for ever. */
  readonly auditRetentionDays?: number | null | undefined;
  /** True: members of role `agent` see the calls that they placed, and no others. */
  readonly agentsSeeOwnCallsOnly?: boolean | undefined;
  readonly defaults?: CallDefaults | undefined;
}

export interface TenantView {
  readonly id: string;
  readonly name: string;
  readonly status: TenantStatus;
  /** The language models that operators let it use; null: all there are. */
  readonly models: readonly string[] | null;
  readonly settings: TenantSettings;
  readonly createdAt: string;
  /** Its ETag. */
  readonly version: number;
}

export interface TenantChange {
  readonly name?: string | undefined;
  /** Merged into what is set, and `defaults` into those; null takes a setting's default. */
  readonly settings?: SettingsChange | undefined;
  /** Of `If-Match`; null: any. */
  readonly expected: number | null;
}

interface SettingsChange extends Omit<TenantSettings, "defaults"> {
  readonly defaults?:
    | { readonly [name in keyof CallDefaults]: CallDefaults[name] | null }
    | undefined;
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
        const settings = changedSettings(before, change.settings ?? {});
        const name = change.name ?? before.name;
        if (!await updateTenant(sql, tenantId, { name, settings }, change.expected)) throw edited();
        await audit({ action: "tenant.changed", subjectId: tenantId, details: { name, settings } });
        return toView({ ...before, name, settings, configVersion: await changeConfig() });
      }),
  ),
};

function changedSettings(
  { settings, models }: TenantRow,
  { defaults, ...change }: SettingsChange,
): TenantRow["settings"] {
  const all = { ...settings, ...change };
  if (defaults === undefined) return all;
  const model = defaults.model ?? null;
  if (model !== null && models !== null && !models.includes(model)) {
    const field = "settings.defaults.model";
    const message = `Wrong input in "${field}": not one of the models that operators allow`;
    throw new AppError("invalid", message, { field });
  }
  const before: TenantSettings = settings;
  return { ...all, defaults: merged({ ...before.defaults }, defaults) };
}

function edited(): AppError {
  return new AppError("edit_conflict", "The tenant was changed since", { field: "If-Match" });
}

function found<T>(tenant: T | null): T {
  if (tenant === null) throw new AppError("not_found", "No such tenant");
  return tenant;
}

function toView(tenant: TenantRow): TenantView {
  const { id, name, status, models, settings, createdAt, configVersion } = tenant;
  return {
    id,
    name,
    status,
    models,
    settings, // written only from a TenantSettings
    createdAt: createdAt.toISOString(),
    version: configVersion,
  };
}
