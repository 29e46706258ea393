/** An act: a change in one transaction, with its audit entry, its events and the jobs that follow from it. */

import type { Clock } from "@/lib/clock.ts";
import type { EventPayloads, EventType } from "@/lib/event_types.ts";
import { newId } from "@/lib/ids.ts";
import { type AuditEntry, insertAuditEntry } from "./audit.ts";
import type { Database, PoolName, Sql, WithCommit } from "./client.ts";
import { insertJob } from "./jobs.ts";
import { insertOutboxEvent } from "./outbox.ts";
import { bumpConfigVersion } from "./tenants.ts";

export interface Act {
  readonly sql: Sql;
  /** `details` are JSON, and hold no secret and no content of a conversation. */
  audit(entry: AuditNote): Promise<void>;
  /** An event that leaves the house: delivered to the tenant's webhooks, at least once. */
  emit<T extends EventType>(type: T, payload: EventPayloads[T]): Promise<void>;
  /** Work that follows from it, done at least once; the same kind and key is the same job. */
  enqueue(job: FollowUp): Promise<void>;
  /** What gates and desks have cached of the tenant is stale from the commit on; returns its version. */
  changeConfig(): Promise<number>;
  /**
   * For the last statement of an act, when nothing in it depends on what comes of it. The promise is not
   * to be returned as it is: that would be to wait for it.
   */
  readonly withCommit: WithCommit;
}

export interface AuditNote {
  /** `agent.published` */
  readonly action: string;
  /** The prefixed id of what was acted on. */
  readonly subjectId: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface FollowUp {
  /** One of `actors/jobs/kinds.ts`. */
  readonly kind: string;
  readonly key: string;
  /** JSON: ids, and no secret. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** At once when absent. */
  readonly runAt?: Date;
}

/** Whose act it is, and by which of their requests. */
export type Actor = Pick<AuditEntry, "actorKind" | "actorId" | "requestId" | "address">;

/** Told after the commit, so that nobody on this machine waits for a poll. */
export interface Committed {
  /** Tells this machine's gate that what it has cached of the tenant is stale. */
  configChanged(tenantId: string): void;
  /** Tells this machine's sealer that there is an audit entry. */
  acted(tenantId: string): void;
  wakeJobs(): void;
  wakeDeliveries(): void;
}

export interface ActOptions {
  readonly database: Pick<Database, "asTenant">;
  readonly clock: Pick<Clock, "date">;
  readonly committed: Committed;
  readonly pool: PoolName;
  readonly deadlineMs: number;
  readonly tenantId: string;
  readonly actor: Actor;
}

/** Nothing but SQL may be awaited in `work`. Entries, events and jobs go out with what follows them. */
export async function act<T>(options: ActOptions, work: (act: Act) => Promise<T>): Promise<T> {
  const { database, clock, committed, pool, deadlineMs, tenantId, actor } = options;
  const told = new Set<keyof Committed>();
  const result = await database.asTenant(pool, tenantId, deadlineMs, (sql, withCommit) => {
    function send(written: Promise<unknown>): Promise<void> {
      withCommit(written);
      return Promise.resolve();
    }

    return work({
      sql,
      withCommit,
      audit({ action, subjectId, details = {} }) {
        told.add("acted");
        const id = newId("audit");
        const entry = { id, at: clock.date(), ...actor, action, subjectId, details };
        return send(insertAuditEntry(sql, tenantId, entry));
      },
      emit(type, payload) {
        told.add("wakeDeliveries");
        const event = { id: newId("event"), type, payload, at: clock.date() };
        return send(insertOutboxEvent(sql, tenantId, event));
      },
      enqueue(job) {
        told.add("wakeJobs");
        return send(insertJob(sql, tenantId, { id: newId("job"), ...job }));
      },
      changeConfig() {
        told.add("configChanged");
        return bumpConfigVersion(sql, tenantId);
      },
    });
  });
  for (const name of told) committed[name](tenantId);
  return result;
}
