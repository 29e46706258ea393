/** Errands of operators on one tenant: what they do here, the tenant reads in its audit log. */

import type { Sql } from "@/db/client.ts";
import { insertOperatorVisit, updateOperatorVisitEnded } from "@/db/operator_visits.ts";
import { getLimitOverrides, updateLimitOverrides } from "@/db/tenant_limits.ts";
import {
  listTenants,
  type TenantSummary,
  updateTenantModels,
  updateTenantStatus,
} from "@/db/tenants.ts";
import { OPERATE, type Role, type TenantStatus } from "@/lib/access.ts";
import { keyHash, newKey, readKey } from "@/lib/api_keys.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import type { LimitOverrides } from "@/lib/limits/plan.ts";
import { errand } from "./errand.ts";

/** What a visit's credential is good for. */
export const VISIT_MS = 15 * 60_000;

export interface OperatedTenant {
  readonly id: string;
  readonly name: string;
  readonly status: TenantStatus;
  readonly memberCount: number;
  readonly agentCount: number;
  readonly liveCallCount: number;
  readonly createdAt: string;
}

export interface OperatedTenantDetails extends OperatedTenant {
  /** Those set for it; the rest is as the house has it. */
  readonly limits: LimitOverrides;
  /** The language models it may use, by name; null: all there are. */
  readonly models: readonly string[] | null;
}

export interface VisitView {
  readonly id: string;
  /** A bearer token for the public API; it is never shown again. */
  readonly credential: string;
  readonly role: Role;
  readonly expiresAt: string;
}

interface Reasoned {
  /** The tenant reads it. */
  readonly reason: string;
}

export const operatorErrands = {
  operatedTenant: errand(
    OPERATE,
    ({ read, tenantId }, _: void): Promise<OperatedTenantDetails> =>
      read((sql) => details(sql, tenantId)),
  ),

  suspendTenant: errand(
    OPERATE,
    ({ act, tenantId }, { reason }: Reasoned): Promise<OperatedTenantDetails> =>
      act(async ({ sql, audit, changeConfig }) => {
        await found(sql, tenantId);
        const change = { from: ["trial", "active"], to: "suspended" } as const;
        if (!await updateTenantStatus(sql, tenantId, change)) throw wrongStatus("suspended");
        await audit({ action: "tenant.suspended", subjectId: tenantId, details: { reason } });
        await changeConfig();
        return await details(sql, tenantId);
      }),
  ),

  resumeTenant: errand(
    OPERATE,
    ({ act, tenantId }, { reason }: Reasoned): Promise<OperatedTenantDetails> =>
      act(async ({ sql, audit, changeConfig }) => {
        await found(sql, tenantId);
        const change = { from: ["suspended"], to: "active" } as const;
        if (!await updateTenantStatus(sql, tenantId, change)) throw wrongStatus("resumed");
        await audit({ action: "tenant.resumed", subjectId: tenantId, details: { reason } });
        await changeConfig();
        return await details(sql, tenantId);
      }),
  ),

  /** Each in place of what was set before; what is absent stays. */
  limitTenant: errand(
    OPERATE,
    (
      { act, tenantId },
      { reason, limits, models }: Reasoned & {
        readonly limits?: LimitOverrides | undefined;
        readonly models?: readonly string[] | null | undefined;
      },
    ): Promise<OperatedTenantDetails> =>
      act(async ({ sql, audit, changeConfig }) => {
        await found(sql, tenantId);
        if (limits !== undefined) await updateLimitOverrides(sql, tenantId, limits);
        if (models !== undefined) await updateTenantModels(sql, tenantId, models);
        const note = { reason, limits, models };
        await audit({ action: "tenant.limited", subjectId: tenantId, details: note });
        await changeConfig();
        return await details(sql, tenantId);
      }),
  ),

  /** A credential that acts in the tenant, as this role at most: see VISIT_SCOPES. */
  visitTenant: errand(OPERATE, async (
    { act, by, tenantId, clock, pepper },
    { reason, role }: Reasoned & { readonly role: Exclude<Role, "owner"> },
  ): Promise<VisitView> => {
    if (pepper === null) {
      throw new AppError("not_configured", "Visits need TOKEN_PEPPER", { field: "TOKEN_PEPPER" });
    }
    const credential = newKey("oper");
    const createdAt = clock.date();
    const visit = {
      ...{ id: newId("visit"), operator: by.id, role, reason, createdAt },
      publicId: readKey(credential)?.publicId ?? "",
      hash: keyHash(pepper, credential),
      expiresAt: new Date(createdAt.getTime() + VISIT_MS),
    };
    const expiresAt = visit.expiresAt.toISOString();
    return await act(async ({ sql, audit }) => {
      await found(sql, tenantId);
      await insertOperatorVisit(sql, tenantId, visit);
      const note = { reason, role, expiresAt };
      await audit({ action: "operator.visited", subjectId: visit.id, details: note });
      return { id: visit.id, credential, role, expiresAt };
    });
  }),

  endVisit: errand(
    OPERATE,
    ({ act, tenantId, clock }, visitId: string): Promise<void> =>
      act(async ({ sql, audit, changeConfig }) => {
        if (!await updateOperatorVisitEnded(sql, tenantId, visitId, clock.date())) {
          throw new AppError("not_found", "No such visit");
        }
        await audit({ action: "operator.left", subjectId: visitId });
        await changeConfig();
      }),
  ),
};

async function found(sql: Sql, tenantId: string): Promise<TenantSummary> {
  const [tenant] = await listTenants(sql, [tenantId]);
  if (tenant === undefined) throw new AppError("not_found", "No such tenant");
  return tenant;
}

async function details(sql: Sql, tenantId: string): Promise<OperatedTenantDetails> {
  const tenant = await found(sql, tenantId);
  const limits = await getLimitOverrides(sql, tenantId) ?? {};
  return { ...tenant, limits, createdAt: tenant.createdAt.toISOString() };
}

function wrongStatus(what: string): AppError {
  return new AppError("conflict", `The tenant cannot be ${what} from the status that it has`);
}
