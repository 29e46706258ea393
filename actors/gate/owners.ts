/** Whose number is called: asked of the database, or said again for a second while no caller can be taken anyway. */

import type { Database } from "@/db/client.ts";
import { type NumberOwner, numberOwner, type TenantRoute, tenantRoute } from "@/db/lookups.ts";
import type { Clock } from "@/lib/clock.ts";
import { newRecent } from "./recent.ts";

const LOOKUP_MS = 1_000;
/** As of all that the gate has found. */
const AGAIN_MS = 1_000;
/** Old answers refuse as well: whoever is refused by one has it looked up again for the next. */
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

  function again<T>(
    recent: ReturnType<typeof newRecent<Found<T>>>,
    name: string,
    find: () => Promise<T>,
  ): Found<T> | Promise<Found<T>> {
    return recent.ask(name, async () => ({ value: { found: await find() }, untilMs: null }));
  }

  async function find(number: string): Promise<NumberOwner | null> {
    const found = await database.lookup("calls", LOOKUP_MS, (sql) => numberOwner(sql, number));
    learn(number, found);
    return found;
  }

  return {
    async ofNumber(number) {
      if (!isFull()) return await find(number);
      return (await again(owners, number, () => find(number))).found;
    },
    lately(number) {
      const found = known.get(number);
      const ageMs = found === undefined ? Infinity : clock.now() - found.atMs;
      if (found === undefined || ageMs > LATELY_MS) return null;
      if (ageMs >= AGAIN_MS) {
        void Promise.resolve(again(owners, number, () => find(number))).catch(() => {}); // it is asked again, and told then
      }
      return found.owner;
    },
    async routeOf(tenantId, number) {
      const find = () =>
        database.lookup("calls", LOOKUP_MS, (sql) => tenantRoute(sql, tenantId, number));
      if (!isFull()) return await find();
      return (await again(routes, `${tenantId} ${number}`, find)).found;
    },
  };
}
