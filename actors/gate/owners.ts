/** Whose number is called: asked of the database, or said again for a second while no caller can be taken anyway. */

import type { Database } from "@/db/client.ts";
import { type NumberOwner, numberOwner, type TenantRoute, tenantRoute } from "@/db/lookups.ts";
import type { Clock } from "@/lib/clock.ts";
import { newRecent } from "./recent.ts";

const LOOKUP_MS = 1_000;
/** As of all that the gate has found. */
const AGAIN_MS = 1_000;
/** Long enough to refuse by: whoever is refused by it would be refused as well by what has changed since. */
const LATELY_MS = 60_000;
const HELD_MAX = 10_000;

export interface Owners {
  /** Null: nobody's here. */
  ofNumber(number: string): Promise<NumberOwner | null>;
  /** Whose it was within the last minute, at once; null: nobody's here, or not known. To refuse by, and nothing else. */
  lately(number: string): NumberOwner | null;
  /** Null: there is no such tenant. The id must be one of a tenant. */
  routeOf(tenantId: string, number: string): Promise<TenantRoute | null>;
}

export function newOwners({ database, clock, isFull }: {
  readonly database: Database;
  readonly clock: Clock;
  /** All lines are taken, or callers are shed: what is asked now ends in a refusal. */
  isFull(): boolean;
}): Owners {
  /** What was found may be that there is nothing, so it stands in an object. */
  type Found<T> = { readonly found: T };
  const bounds = { clock, maxAgeMs: AGAIN_MS, max: HELD_MAX };
  const owners = newRecent<Found<NumberOwner | null>>(bounds);
  const routes = newRecent<Found<TenantRoute | null>>(bounds);

  /** By number, the oldest first. */
  const known = new Map<string, { readonly owner: NumberOwner; readonly atMs: number }>();

  function learn(number: string, owner: NumberOwner | null): void {
    known.delete(number);
    if (owner === null) return;
    const [oldest] = known.keys();
    if (known.size === HELD_MAX && oldest !== undefined) known.delete(oldest);
    known.set(number, { owner, atMs: clock.now() });
  }

  async function look<T>(
    recent: ReturnType<typeof newRecent<Found<T>>>,
    name: string,
    find: () => Promise<T>,
  ): Promise<T> {
    if (!isFull()) return await find();
    const answer = await recent.ask(name, async () => ({
      value: { found: await find() },
      untilMs: null,
    }));
    return answer.found;
  }

  return {
    async ofNumber(number) {
      const found = await look(
        owners,
        number,
        () => database.lookup("calls", LOOKUP_MS, (sql) => numberOwner(sql, number)),
      );
      learn(number, found);
      return found;
    },
    lately(number) {
      const found = known.get(number);
      return found === undefined || clock.now() - found.atMs > LATELY_MS ? null : found.owner;
    },
    routeOf: (tenantId, number) =>
      look(
        routes,
        `${tenantId} ${number}`,
        () => database.lookup("calls", LOOKUP_MS, (sql) => tenantRoute(sql, tenantId, number)),
      ),
  };
}
