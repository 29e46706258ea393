/** What a tenant may use: the figures of the house, and those that operators have set for one tenant. */

import type { TenantStatus } from "@/lib/access.ts";

/** Requests are limited by what they do. */
export const RATE_CLASSES = ["read", "write", "dial", "export"] as const;
export type RateClass = typeof RATE_CLASSES[number];

/** So many at once, and so many a second from then on. */
export interface Rate {
  readonly capacity: number;
  readonly perSecond: number;
}

/** Null: without limit. Days and months are of UTC. */
export interface TenantLimits {
  /** Inbound and outbound together, from the ring to the end. */
  readonly concurrentCalls: number;
  readonly callsPerDay: number | null;
  readonly callsPerMonth: number | null;
  /** Of answered calls that have ended. */
  readonly minutesPerMonth: number | null;
  readonly dialsPerMinute: number;
  readonly dialsPerDay: number;
  /** Of the whole tenant; of reads and writes one key or person may use half. */
  readonly rates: Readonly<Record<RateClass, Rate>>;
}

/** What operators have set: the rest is as the house has it. */
export type LimitOverrides =
  & { readonly [N in Exclude<keyof TenantLimits, "rates">]?: TenantLimits[N] | undefined }
  & { readonly rates?: { readonly [C in RateClass]?: Rate | undefined } | undefined };

/**
 * A read is a query, 2 ms or so; a list costs more, by its limit. Dials are far below what a carrier takes for
 * one account (Twilio: 1 a second) in the long run, with a burst for a campaign's start.
 */
export const HOUSE_LIMITS: TenantLimits = {
  concurrentCalls: 20,
  callsPerDay: null,
  callsPerMonth: null,
  minutesPerMonth: null,
  dialsPerMinute: 60,
  dialsPerDay: 5_000,
  rates: {
    read: { capacity: 600, perSecond: 100 },
    write: { capacity: 200, perSecond: 20 },
    dial: { capacity: 20, perSecond: 1 },
    export: { capacity: 5, perSecond: 1 / 60 },
  },
};

/** What of a tenant's configuration decides over its use. */
export interface TenantPlan {
  readonly configVersion: number;
  readonly status: TenantStatus;
  readonly limits: TenantLimits;
}

export function limitsWith(overrides: LimitOverrides): TenantLimits {
  const { rates = {}, ...rest } = overrides;
  return {
    ...HOUSE_LIMITS,
    ...given(rest),
    rates: { ...HOUSE_LIMITS.rates, ...given(rates) },
  };
}

/** Without what is undefined. */
function given<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }; // only fewer
}
