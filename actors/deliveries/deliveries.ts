/** The deliveries of a machine: makes them from events, and sends those that are due, of one tenant after the other. */

import {
  leased,
  type LeasedMessage,
  type LeasedState,
  newLeased,
  type Taken,
  viewLeased,
} from "@/actors/leased.ts";
import type { Actor, Kind } from "@/actors/runtime/actor.ts";
import { claimDeliveries, tenantsToDispatch } from "@/db/claims.ts";
import { dispatchEvents, type LeasedDelivery, listLeasedDeliveries } from "@/db/deliveries.ts";
import { attemptDelivery, type AttemptDeps, type AttemptEnd, SEND_MS } from "./attempt.ts";

/** Attempts under way on a machine; each waits for a stranger, and holds little but a socket. */
export const IN_FLIGHT_MAX = 64;
/** Of one tenant, on all machines together. */
export const OF_TENANT_MAX = 5;
const SQL_MS = 5_000;
/** An attempt, and the time to write it down: longer, and its machine has died. */
export const LEASE_MS = SEND_MS + 15_000;
/** Events and tenants whose deliveries are made in one pass. */
const EVENTS_MAX = 200;
const TENANTS_MAX = 50;

export type DeliveriesMessage = LeasedMessage<TakenDeliveries, AttemptEnd>;

interface TakenDeliveries extends Taken<LeasedDelivery> {
  /** The tenant whose events were dispatched last; null: there were none. */
  readonly lastDispatched: string | null;
}

export const deliveriesKind: Kind<DeliveriesMessage> = {
  name: "deliveries",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 100, maxMs: 10_000 },
  poisonTries: 1,
};

export interface DeliveriesState extends LeasedState<LeasedDelivery> {
  readonly lastDispatched: string | null;
}

export function deliveries(deps: AttemptDeps): Actor<DeliveriesState, DeliveriesMessage> {
  const { database, log } = deps.services;

  async function take(state: Readonly<DeliveriesState>): Promise<TakenDeliveries> {
    const waiting = await database.lookup(
      "jobs",
      SQL_MS,
      (sql) => tenantsToDispatch(sql, { lastServed: state.lastDispatched, limit: TENANTS_MAX }),
    );
    let isMore = waiting.length === TENANTS_MAX;
    for (const tenantId of waiting) {
      const count = await database.asTenant(
        "jobs",
        tenantId,
        SQL_MS,
        (sql) => dispatchEvents(sql, tenantId, EVENTS_MAX),
      );
      isMore ||= count === EVENTS_MAX;
    }
    const lease = crypto.randomUUID();
    const claimed = await database.lookup("jobs", SQL_MS, (sql) =>
      claimDeliveries(sql, {
        lease,
        room: IN_FLIGHT_MAX - state.running.size,
        leaseMs: LEASE_MS,
        tenantMax: OF_TENANT_MAX,
        lastServed: state.lastServed,
      }));
    const lastDispatched = waiting.at(-1) ?? null;
    if (claimed.length === 0) return { items: [], lastDispatched, isMore };
    const tenants = [...new Set(claimed.map(({ tenantId }) => tenantId))];
    const items = await database.asTenant(
      "jobs",
      tenants,
      SQL_MS,
      (sql) => listLeasedDeliveries(sql, claimed, lease),
    );
    return { items, lastDispatched, isMore };
  }

  const { on, stopped } = leased({
    log,
    take,
    taken: (state: DeliveriesState, { lastDispatched }) => ({
      ...state,
      lastDispatched: lastDispatched ?? state.lastDispatched,
    }),
    run: (delivery: LeasedDelivery, signal) => attemptDelivery(deps, delivery, signal),
    isDone: (end) => end === "delivered",
    cannotTake: "cannot take deliveries: will try again",
    noEnd: "delivery not recorded",
  });

  return {
    init: (ctx) => ({ ...newLeased(ctx), lastDispatched: null }),
    view: viewLeased,
    stopped,
    on,
  };
}
