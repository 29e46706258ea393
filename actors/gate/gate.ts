/** The gate: turns what an outsider shows (a number; later a key or a token) into a tenant. */

import type { Actor, Context, Kind, Reply } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";

/** A tenant's phone number, and the agent that answers it; null while none is assigned. */
export interface NumberOwner {
  readonly tenantId: string;
  readonly agentId: string | null;
}

export type GateMessage =
  /** Whose number is this (E.164)? Null: nobody's here. */
  | { type: "numberOwner"; number: string; reply: Reply<NumberOwner | null> }
  | { type: "found"; name: string; deliver: () => void };

export const gateKind: Kind<GateMessage> = {
  name: "gate",
  controlMax: 1024,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

/** Look-ups on their way; one more is refused as busy. */
const LOOKUPS_MAX = 256;

export interface GateDeps {
  numberOwner(number: string, signal: AbortSignal): Promise<NumberOwner | null>;
}

interface State {
  readonly lookups: number;
  readonly asked: number;
}

export function gate(deps: GateDeps): Actor<State, GateMessage> {
  /** Looks up beside the mailbox; the answer goes out when the outcome comes back. */
  function lookUp<T>(
    state: Readonly<State>,
    ctx: Context<GateMessage>,
    reply: Reply<T>,
    work: (signal: AbortSignal) => Promise<T>,
  ): State | void {
    if (state.lookups === LOOKUPS_MAX) {
      return reply.fail(
        new AppError("busy", `Cannot look up: ${LOOKUPS_MAX} are on their way`, {
          retryable: true,
        }),
      );
    }
    const name = `lookup ${state.asked}`;
    ctx.run(name, work, (outcome) => ({
      type: "found",
      name,
      deliver: () => outcome.ok ? reply(outcome.value) : reply.fail(outcome.error),
    }));
    return { lookups: state.lookups + 1, asked: state.asked + 1 };
  }

  return {
    init: () => ({ lookups: 0, asked: 0 }),
    on: {
      numberOwner: (state, { number, reply }, ctx) =>
        lookUp(state, ctx, reply, (signal) => deps.numberOwner(number, signal)),
      found(state, { deliver }) {
        deliver();
        return { ...state, lookups: state.lookups - 1 };
      },
    },
    view: (state) => state,
  };
}
