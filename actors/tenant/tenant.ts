/** A tenant in use: the slots of its live calls and what it has used, counted one message at a time. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { Usage } from "@/db/quota.ts";
import type { AppError } from "@/lib/errors.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import { BEGUN, recounted, refusal, type Slots, type Used, withoutLapsed } from "./quota.ts";

/** What the database knows: it outlives this actor. */
export interface Census {
  readonly usage: Usage;
  readonly at: Date;
  /** Calls whose rows have not ended, of other machines. */
  readonly elsewhere: readonly string[];
}

export type TenantMessage =
  /**
   * May there be this call? Fails with tenant_suspended, busy or quota_exceeded. What is granted lapses
   * unless `started` follows in time.
   */
  | { type: "admit"; callId: string; plan: TenantPlan; reply: Reply<null> }
  /** Its actor runs. */
  | { type: "started"; callId: string }
  /** It is over, or never began. May come twice, and of a call that never was. */
  | { type: "ended"; callId: string }
  /** How many slots are taken. */
  | { type: "liveCalls"; reply: Reply<number> }
  | { type: "recount" }
  | { type: "counted"; outcome: Outcome<Census> };

export const tenantKind: Kind<TenantMessage> = {
  name: "tenant",
  controlMax: 4_096,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
  passivateAfterMs: 15 * 60_000,
};

/** While calls live, they are listed anew so often: no lost message keeps a slot taken for longer. */
export const RECOUNT_MS = 30_000;
/** Where the database did not answer. */
const COUNT_AGAIN_MS = 2_000;

export interface TenantDeps {
  /** The tenant's live calls on this machine. */
  live(): readonly string[];
  census(signal: AbortSignal): Promise<Census>;
}

interface State {
  readonly slots: Slots;
  readonly used: Used | null;
  /** Whether a recount is to come. */
  readonly isWatched: boolean;
  readonly refusedCount: number;
}

export function tenant(deps: TenantDeps): Actor<State, TenantMessage> {
  /** With the mailbox shut, so that what begins or ends meanwhile is counted after it, once. */
  function count(ctx: Context<TenantMessage>): void {
    ctx.hold("census", deps.census, (outcome) => ({ type: "counted", outcome }));
  }

  /** From the first slot on, until a recount finds none. */
  function watched(state: Readonly<State>, ctx: Context<TenantMessage>): State {
    if (!state.isWatched) ctx.timer("recount", RECOUNT_MS, { type: "recount" });
    return { ...state, isWatched: true };
  }

  function admit(
    state: Readonly<State>,
    { callId, plan, reply }: Extract<TenantMessage, { type: "admit" }>,
    ctx: Context<TenantMessage>,
  ): State {
    const slots = withoutLapsed(state.slots, ctx.now());
    const { used } = state;
    const refused: AppError | null = refusal(plan, { callId, slots, used, date: ctx.date() });
    if (refused !== null) {
      reply.fail(refused);
      return { ...state, slots, refusedCount: state.refusedCount + 1 };
    }
    reply(null);
    if (slots.has(callId)) return { ...state, slots };
    return {
      ...watched(state, ctx),
      slots: new Map(slots).set(callId, { reservedAt: ctx.now() }),
      used: used && { ...used, since: used.since.union(new Set([callId])) },
    };
  }

  return {
    init(ctx) {
      count(ctx); // then the recounts follow
      return {
        slots: recounted(new Map(), deps.live(), ctx.now()),
        used: null,
        isWatched: true,
        refusedCount: 0,
      };
    },
    on: {
      admit,
      started: (state, { callId }, ctx) =>
        watched({ ...state, slots: new Map(state.slots).set(callId, BEGUN) }, ctx),
      ended(state, { callId }) {
        const slot = state.slots.get(callId);
        if (slot === undefined) return state;
        const slots = new Map(state.slots);
        slots.delete(callId);
        const { used } = state;
        if (used === null || slot.reservedAt === null) return { ...state, slots };
        const since = used.since.difference(new Set([callId])); // it never began
        return { ...state, slots, used: { ...used, since } };
      },
      liveCalls(state, { reply }, ctx) {
        const slots = withoutLapsed(state.slots, ctx.now());
        reply(slots.size);
        return { ...state, slots };
      },
      recount: (_state, _message, ctx) => count(ctx),
      counted(state, { outcome }, ctx) {
        if (!outcome.ok) {
          ctx.timer("recount", COUNT_AGAIN_MS, { type: "recount" });
          return state;
        }
        const { usage: counted, at, elsewhere } = outcome.value;
        const slots = recounted(state.slots, [...deps.live(), ...elsewhere], ctx.now());
        const onTheirWay = [...slots].filter(([, { reservedAt }]) => reservedAt !== null);
        const since = new Set(onTheirWay.map(([callId]) => callId));
        const next = { ...state, slots, used: { counted, at, since }, isWatched: false };
        return slots.size > 0 ? watched(next, ctx) : next;
      },
    },
    view: ({ slots, used, refusedCount }) => ({
      slots: slots.size,
      used: used?.counted ?? null,
      refusedCount,
    }),
  };
}
