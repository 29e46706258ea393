/** A database whose `app_now()` is a manual clock's, and that says when nobody waits for it. */

import type { Database, Work } from "@/db/client.ts";
import type { ManualClock } from "./manual_clock.ts";

export interface VirtualDatabase {
  readonly database: Database;
  /** Lets everything run that needs no time to pass: the actors, and the transactions they wait for. */
  settle(): Promise<void>;
  /** Moves the clock on by `ms` in steps, after each of which all settles. */
  advance(ms: number, stepMs?: number): Promise<void>;
}

export function virtualDatabase(real: Database, clock: ManualClock): VirtualDatabase {
  const waited = new Set<Promise<unknown>>();

  function tracked<T>(promise: Promise<T>): Promise<T> {
    const settled = promise.then(() => {}, () => {}).finally(() => waited.delete(settled));
    waited.add(settled);
    return promise;
  }

  function timed<T>(work: Work<T>): Work<T> {
    return async (sql, withCommit) => {
      await sql`select set_config('app.now', ${clock.date().toISOString()}, true)`;
      return await work(sql, withCommit);
    };
  }

  async function settle(): Promise<void> {
    do {
      await Promise.all(waited);
      await clock.settle();
    } while (waited.size > 0);
  }

  return {
    settle,
    async advance(ms, stepMs = ms) {
      await settle();
      for (const end = clock.now() + ms; clock.now() < end;) {
        await clock.advance(Math.min(stepMs, end - clock.now()));
        await settle();
      }
    },
    database: {
      ...real,
      asTenant: (pool, tenants, deadlineMs, work) =>
        tracked(real.asTenant(pool, tenants, deadlineMs, timed(work))),
      asPerson: (pool, who, deadlineMs, work) =>
        tracked(real.asPerson(pool, who, deadlineMs, timed(work))),
      lookup: (pool, deadlineMs, work) => tracked(real.lookup(pool, deadlineMs, timed(work))),
    },
  };
}
