/** The deliveries of a machine: makes them from events, and sends those that are due, of one tenant after the other. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import { claimDeliveries, tenantsToDispatch } from "@/db/claims.ts";
import { dispatchEvents, type LeasedDelivery, listLeasedDeliveries } from "@/db/deliveries.ts";
import { attemptDelivery, type AttemptDeps, type AttemptEnd, SEND_MS } from "./attempt.ts";

/** Attempts under way on a machine; each waits for a stranger, and holds little but a socket. */
export const IN_FLIGHT_MAX = 64;
/** Of one tenant, on all machines together. */
export const OF_TENANT_MAX = 5;
const POLL_MS = 500;
const SQL_MS = 5_000;
/** An attempt, and the time to write it down: longer, and its machine has died. */
export const LEASE_MS = SEND_MS + 15_000;
/** Events and tenants whose deliveries are made in one pass. */
const EVENTS_MAX = 200;
const TENANTS_MAX = 50;

export type DeliveriesMessage =
  /** From this machine, after a commit: there is an event. A hint, which may be lost. */
  | { type: "wake" }
  /** From itself: it has been quiet for a while. */
  | { type: "poll" }
  | { type: "claimed"; outcome: Outcome<Taken> }
  | { type: "ended"; name: string; outcome: Outcome<AttemptEnd> }
  /** From the house as it closes. Answered when all that was under way is let go; nothing is taken any more. */
  | { type: "drain"; reply: Reply<void> };

interface Taken {
  readonly deliveries: readonly LeasedDelivery[];
  /** The tenant whose events were dispatched last; null: there were none. */
  readonly lastDispatched: string | null;
  /** There may be more events to dispatch. */
  readonly isMore: boolean;
}

export const deliveriesKind: Kind<DeliveriesMessage> = {
  name: "deliveries",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 100, maxMs: 10_000 },
  poisonTries: 1,
};

export interface DeliveriesState {
  /** A claim that is under way; `again`: a wake came since, which may have been too late for it. */
  readonly claim: "none" | "underWay" | "again";
  /** By `lease/id`. */
  readonly running: ReadonlySet<string>;
  readonly lastServed: string | null;
  readonly lastDispatched: string | null;
  /** Who waits for the drain; null: it is not draining. */
  readonly drained: readonly Reply<void>[] | null;
  readonly deliveredCount: number;
  readonly failedCount: number;
}

export function deliveries(deps: AttemptDeps): Actor<DeliveriesState, DeliveriesMessage> {
  const { database, log } = deps.services;
  const draining = new AbortController();

  async function take(state: Readonly<DeliveriesState>): Promise<Taken> {
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
    if (claimed.length === 0) return { deliveries: [], lastDispatched, isMore };
    const tenants = [...new Set(claimed.map(({ tenantId }) => tenantId))];
    const leased = await database.asTenant(
      "jobs",
      tenants,
      SQL_MS,
      (sql) => listLeasedDeliveries(sql, claimed, lease),
    );
    return { deliveries: leased, lastDispatched, isMore };
  }

  function claim(
    state: Readonly<DeliveriesState>,
    ctx: Context<DeliveriesMessage>,
  ): DeliveriesState {
    if (state.drained !== null) return state;
    if (state.claim !== "none") return { ...state, claim: "again" };
    ctx.cancel("poll");
    ctx.run("claim", () => take(state), (outcome) => ({ type: "claimed", outcome }));
    return { ...state, claim: "underWay" };
  }

  function start(delivery: LeasedDelivery, ctx: Context<DeliveriesMessage>): string {
    const name = `${delivery.lease}/${delivery.id}`;
    ctx.run(
      name,
      (signal) => attemptDelivery(deps, delivery, AbortSignal.any([signal, draining.signal])),
      (outcome) => ({ type: "ended", name, outcome }),
    );
    return name;
  }

  return {
    init(ctx) {
      ctx.timer("poll", 0, { type: "poll" });
      return {
        claim: "none",
        running: new Set(),
        lastServed: null,
        lastDispatched: null,
        drained: null,
        deliveredCount: 0,
        failedCount: 0,
      };
    },
    view: ({ running, drained, deliveredCount, failedCount }) => ({
      isDraining: drained !== null,
      running: running.size,
      deliveredCount,
      failedCount,
    }),
    stopped: () => draining.abort(),
    on: {
      wake: (state, _, ctx) => claim(state, ctx),
      poll: (state, _, ctx) => claim(state, ctx),
      claimed(state, { outcome }, ctx) {
        if (!outcome.ok) {
          log.warn("cannot take deliveries: will try again", { error: outcome.error });
        }
        const taken = outcome.ok ? outcome.value : null;
        const started = taken?.deliveries.map((delivery) => start(delivery, ctx)) ?? [];
        const next: DeliveriesState = {
          ...state,
          claim: "none",
          running: state.running.union(new Set(started)),
          lastServed: taken?.deliveries.at(-1)?.tenantId ?? state.lastServed,
          lastDispatched: taken?.lastDispatched ?? state.lastDispatched,
        };
        if (next.drained !== null) return answerDrained(next);
        ctx.timer("poll", POLL_MS, { type: "poll" });
        return state.claim === "again" || taken?.isMore ? claim(next, ctx) : next;
      },
      ended(state, { name, outcome }, ctx) {
        const isDelivered = outcome.ok && outcome.value === "delivered";
        const next: DeliveriesState = {
          ...state,
          running: state.running.difference(new Set([name])),
          deliveredCount: state.deliveredCount + (isDelivered ? 1 : 0),
          failedCount: state.failedCount + (isDelivered ? 0 : 1),
        };
        if (!outcome.ok) log.warn("delivery not recorded", { error: outcome.error }); // its lease will end
        return next.drained !== null ? answerDrained(next) : claim(next, ctx);
      },
      drain(state, { reply }, ctx) {
        draining.abort();
        ctx.cancel("poll");
        return answerDrained({ ...state, drained: [...state.drained ?? [], reply] });
      },
    },
  };
}

function answerDrained(state: DeliveriesState): DeliveriesState {
  if (state.running.size > 0 || state.claim !== "none") return state;
  for (const reply of state.drained ?? []) reply();
  return { ...state, drained: [] };
}
