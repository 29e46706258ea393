/** The database: PostgreSQL at a URL or the embedded one, in transactions bound to their tenants. */

import type { Clock } from "@/lib/clock.ts";
import { type IdPrefix, uuidOf } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import { type Embedded, startEmbedded } from "./embedded.ts";
import { newPool, type Pool, type Work } from "./pool.ts";
import { embeddedSession, postgresSession } from "./session.ts";

export type { Sql, WithCommit, Work } from "./pool.ts";

/** Connections of each pool on PostgreSQL: separate, so that a report cannot starve a call. */
const POOL_SIZES = { calls: 8, rest: 6, jobs: 3 } as const;
export type PoolName = keyof typeof POOL_SIZES;

export interface DatabaseOptions {
  readonly at: { readonly url: string } | { readonly embedded: { readonly dir: string | null } } | {
    readonly started: Embedded;
  };
  readonly clock: Clock;
  readonly log: Log;
}

export interface Database extends AsyncDisposable {
  /** True when it is PGlite in this process: one session, one transaction at a time. */
  readonly isEmbedded: boolean;
  /**
   * A transaction that sees and writes rows of these tenants and of no others. Nothing but SQL may be
   * awaited in `work`: on the embedded database an open transaction stops all others.
   * Throws AppError("database_unavailable") past the deadline; see `Pool.run`.
   */
  asTenant<T>(
    pool: PoolName,
    tenantIds: string | readonly string[],
    deadlineMs: number,
    work: Work<T>,
  ): Promise<T>;
  /**
   * A transaction of one person, who sees and writes what is theirs alone (sessions, tokens), and of
   * the tenants that have been found to be theirs.
   */
  asPerson<T>(
    pool: PoolName,
    who: { readonly personId: string; readonly tenantIds: readonly string[] },
    deadlineMs: number,
    work: Work<T>,
  ): Promise<T>;
  /** A transaction without a tenant: it sees no rows, and may ask the functions of `lookups.ts`. */
  lookup<T>(pool: PoolName, deadlineMs: number, work: Work<T>): Promise<T>;
  /** A transaction as the login role, which owns the schema. For migrations. */
  asOwner<T>(deadlineMs: number, work: Work<T>): Promise<T>;
  /** Lets what runs come to its end, then closes every connection and the embedded database. */
  close(): Promise<void>;
}

/** Connections are opened when they are needed. Throws AppError("data_dir_locked"). */
export async function connect(options: DatabaseOptions): Promise<Database> {
  const { at, clock, log } = options;
  if ("url" in at) {
    const open = postgresSession(at.url);
    const pool = (size: number): Pool => newPool({ size, clock, open });
    const { calls, rest, jobs } = POOL_SIZES;
    const pools = { calls: pool(calls), rest: pool(rest), jobs: pool(jobs), owner: pool(1) };
    return database(pools, false, () => Promise.resolve());
  }
  const embedded = "started" in at ? at.started : await startEmbedded({ ...at.embedded, log });
  const pool = newPool({ size: 1, clock, open: embeddedSession(embedded) });
  const pools = { calls: pool, rest: pool, jobs: pool, owner: pool };
  return database(pools, true, async () => {
    if (!("started" in at)) await embedded.close();
  });
}

function database(
  pools: Readonly<Record<PoolName | "owner", Pool>>,
  isEmbedded: boolean,
  closed: () => Promise<void>,
): Database {
  function bound<T>(
    pool: PoolName,
    { tenantIds = [], personId = null }: {
      readonly tenantIds?: readonly string[];
      readonly personId?: string | null;
    },
    deadlineMs: number,
    work: Work<T>,
  ): Promise<T> {
    const tenants = `{${tenantIds.map((id) => known("tenant", id)).join(",")}}`;
    const person = personId === null ? "" : known("person", personId);
    // Ids that are ids, and a number: there is nothing in it to be escaped.
    // Not by `set_config`: a query is planned, at more than the cost of the three.
    const set = `set local app.tenants = '${tenants}'; set local app.person = '${person}'; ` +
      `set local statement_timeout = ${Math.ceil(deadlineMs)}`;
    return pools[pool].run("app", deadlineMs, work, set);
  }

  async function close(): Promise<void> {
    await Promise.all([...new Set(Object.values(pools))].map((pool) => pool.close()));
    await closed();
  }

  return {
    isEmbedded,
    asTenant(pool, tenants, deadlineMs, work) {
      const tenantIds = typeof tenants === "string" ? [tenants] : tenants;
      return bound(pool, { tenantIds }, deadlineMs, work);
    },
    asPerson: (pool, who, deadlineMs, work) => bound(pool, who, deadlineMs, work),
    lookup: (pool, deadlineMs, work) => bound(pool, {}, deadlineMs, work),
    asOwner: (deadlineMs, work) => pools.owner.run("owner", deadlineMs, work),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function known(prefix: IdPrefix, id: string): string {
  const uuid = uuidOf(prefix, id);
  if (uuid === null) throw new Error(`Not a ${prefix}'s id: "${id}"`);
  return uuid;
}
