/** Errands on limits: what the tenant may use, and what it uses now. */

import { getUsage } from "@/db/quota.ts";
import { getTenantPlan } from "@/db/tenant_limits.ts";
import { AppError } from "@/lib/errors.ts";
import type { Rate, RateClass } from "@/lib/limits/plan.ts";
import { errand } from "./errand.ts";

/** A null limit: none. */
export interface Meter {
  readonly limit: number | null;
  readonly used: number;
}

/** Days and months are of UTC. */
export interface LimitsView {
  readonly concurrentCalls: Meter;
  readonly callsPerDay: Meter;
  readonly callsPerMonth: Meter;
  /** Begun ones count. */
  readonly minutesPerMonth: Meter;
  readonly dialsPerMinute: Meter;
  readonly dialsPerDay: Meter;
  readonly rates: Readonly<Record<RateClass, Rate>>;
}

export const limitErrands = {
  limits: errand(
    "tenant:read",
    async ({ read, tenantId, clock, liveCalls }, _: void): Promise<LimitsView> => {
      const used = await liveCalls(tenantId);
      const [plan, usage] = await read(async (sql) => [
        await getTenantPlan(sql, tenantId),
        await getUsage(sql, tenantId, clock.date()),
      ]);
      if (plan === null) throw new AppError("not_found", "No such tenant");
      const { rates, concurrentCalls, minutesPerMonth, ...limits } = plan.limits;
      return {
        concurrentCalls: { limit: concurrentCalls, used },
        callsPerDay: { limit: limits.callsPerDay, used: usage.callsPerDay },
        callsPerMonth: { limit: limits.callsPerMonth, used: usage.callsPerMonth },
        minutesPerMonth: { limit: minutesPerMonth, used: Math.ceil(usage.secondsPerMonth / 60) },
        dialsPerMinute: { limit: limits.dialsPerMinute, used: usage.dialsPerMinute },
        dialsPerDay: { limit: limits.dialsPerDay, used: usage.dialsPerDay },
        rates,
      };
    },
  ),
};
