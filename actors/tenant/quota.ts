/** Whether a tenant may have one more call: its slots and what it has used, against its plan. Pure. */

import { beginningOf, type Usage } from "@/db/quota.ts";
import { isServed } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";

/** A slot that was granted lapses after this, unless its call has begun: an agent, a row and an actor take 5 s at most. */
export const RESERVED_MS = 15_000;

/** A live call, or one that is on its way. */
export interface Slot {
  /** Null once its call has begun; before, when it was granted. */
  readonly reservedAt: number | null;
}

/** By call: a set, so that a call that begins or ends twice counts once. */
export type Slots = ReadonlyMap<string, Slot>;

/** What the database had counted, and the calls let in since. */
export interface Used {
  readonly counted: Usage;
  readonly at: Date;
  readonly since: ReadonlySet<string>;
}

/** Null when the call may be had, else what its asker is told. A call that has its slot already may have it. */
export function refusal(
  plan: TenantPlan,
  { callId, slots, used, date }: {
    readonly callId: string;
    readonly slots: Slots;
    /** Null while the database is away: then its transaction decides alone. */
    readonly used: Used | null;
    readonly date: Date;
  },
): AppError | null {
  if (!isServed(plan.status)) {
    return new AppError("tenant_suspended", "The company's access is off");
  }
  if (slots.has(callId)) return null;
  const { concurrentCalls } = plan.limits;
  if (slots.size >= concurrentCalls) {
    const message = `The plan allows ${concurrentCalls} live calls, ${slots.size} are live`;
    return new AppError("busy", message, { retryable: true });
  }
  return used && overQuota(plan, used, date);
}

function overQuota({ limits }: TenantPlan, used: Used, date: Date): AppError | null {
  const { callsPerDay, callsPerMonth, minutesPerMonth } = limits;
  const today = isSame("day", used.at, date) ? used.counted.callsPerDay : 0;
  const isThisMonth = isSame("month", used.at, date);
  const thisMonth = isThisMonth ? used.counted.callsPerMonth : 0;
  const minutes = isThisMonth ? used.counted.secondsPerMonth / 60 : 0;
  const since = used.since.size;
  if (callsPerDay !== null && today + since >= callsPerDay) {
    return exceeded(`${callsPerDay} calls a day`);
  }
  if (callsPerMonth !== null && thisMonth + since >= callsPerMonth) {
    return exceeded(`${callsPerMonth} calls a month`);
  }
  if (minutesPerMonth !== null && minutes >= minutesPerMonth) {
    return exceeded(`${minutesPerMonth} minutes a month`);
  }
  return null;
}

function isSame(period: "day" | "month", one: Date, other: Date): boolean {
  return beginningOf(period, one).getTime() === beginningOf(period, other).getTime();
}

function exceeded(what: string): AppError {
  return new AppError("quota_exceeded", `The plan allows ${what}: they are used up`);
}

/** The slots whose calls have begun or may still do so. */
export function withoutLapsed(slots: Slots, now: number): Slots {
  return new Map(
    [...slots].filter(([, { reservedAt }]) =>
      reservedAt === null || now - reservedAt < RESERVED_MS
    ),
  );
}

/** The slots after the calls that live have been listed anew: those, and what is on its way. */
export function recounted(slots: Slots, live: Iterable<string>, now: number): Slots {
  const onTheirWay = [...withoutLapsed(slots, now)].filter(([, slot]) => slot.reservedAt !== null);
  return new Map([...onTheirWay, ...[...live].map((callId) => [callId, BEGUN] as const)]);
}

export const BEGUN: Slot = { reservedAt: null };
