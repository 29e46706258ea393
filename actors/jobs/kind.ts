/** A kind of job: what is done, how often it is tried, and how long a run of it may take. */

import type { ZodType } from "zod";
import type { Act } from "@/db/act.ts";
import type { Sql } from "@/db/client.ts";
import type { Services } from "@/actors/desk/office.ts";

/** What a run works with. Everything in it is bound to the job's tenant. */
export interface JobContext extends Services {
  readonly tenantId: string;
  /** `attempt` counts from 1. */
  readonly job: {
    readonly id: string;
    readonly kind: string;
    readonly key: string;
    readonly attempt: number;
  };
  /** Aborted when the machine drains, the lease is lost, or the run has taken too long. */
  readonly signal: AbortSignal;
  /** One transaction of the tenant. Nothing but SQL may be awaited in it. */
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** A change, by the house itself: the actor of its audit entry is the kind of the job. */
  act<T>(work: (act: Act) => Promise<T>): Promise<T>;
}

export interface JobKind<P> {
  /** What does not fit it is dead at once: no later try would mend it. */
  readonly payload: ZodType<P>;
  /**
   * Done at least once: it may run again after any crash, also while an older run of it has not yet
   * noticed that its lease is lost. Whatever it throws is a failed attempt; `retryAfterS` of an AppError is heeded.
   */
  run(context: JobContext, payload: P): Promise<void>;
  /** After so many it is dead, and waits to be replayed. */
  readonly attempts: number;
  /** How soon another machine takes over from one that has died. Renewed while it runs. */
  readonly leaseMs: number;
  /** The longest a run may take; RUN_MS when absent. */
  readonly maxMs?: number;
  /** How many of it run on one machine at a time; all that a machine runs when absent. */
  readonly room?: number;
  /** One job for each tenant at every tick, with the tick as its key and no payload. */
  readonly cron?: Cron;
}

export interface Cron {
  /** As crontab(5), in UTC unless a zone is named: `0 3 * * *`. */
  readonly pattern: string;
  readonly timezone?: string;
}

/** Work of the house, which is no tenant's: once a tick, on one machine. */
export interface HouseCron extends Cron {
  /** Must end within HOUSE_RUN_MS. When it throws, it is tried again, until the next tick. */
  run(services: Services, signal: AbortSignal): Promise<void>;
}

/** A kind with its payload checked and forgotten: what a table of kinds holds. */
export interface AnyKind extends Omit<JobKind<never>, "payload" | "run"> {
  /** Null: the payload does not fit. */
  prepare(payload: unknown): ((context: JobContext) => Promise<void>) | null;
}

export function jobKind<P>({ payload: schema, run, ...bounds }: JobKind<P>): AnyKind {
  return {
    ...bounds,
    prepare(payload) {
      const parsed = schema.safeParse(payload);
      return parsed.success ? (context) => run(context, parsed.data) : null;
    },
  };
}
