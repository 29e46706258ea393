/** The gate: turns what an outsider shows (a number, a key, a token, a password) into a tenant or a person. */

import type { Actor, Context, Kind, Reply } from "@/actors/runtime/actor.ts";
import type { NumberOwner } from "@/db/lookups.ts";
import type { Principal, SignedIn } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Authenticator, KeyUse } from "./authenticate.ts";
import type { Webhook } from "./carrier_door.ts";
import type { Entry } from "./entry.ts";
import type { Lobby, Visitor } from "./lobby.ts";

export type { NumberOwner } from "@/db/lookups.ts";

/** What a request shows. */
export interface Shown {
  /** The bearer token: an access token or an API key. */
  readonly token: string;
  /** `X-Tenant-ID`; null: the key's tenant, or the person's primary one. */
  readonly tenantId: string | null;
}

export type GateMessage =
  /** Whose number is this (E.164)? Null: nobody's here. */
  | { type: "numberOwner"; number: string; reply: Reply<NumberOwner | null> }
  /** Whose number is this, says a carrier account of the tenant's? Fails with forbidden when it does not. */
  | { type: "webhook"; webhook: Webhook; reply: Reply<NumberOwner | null> }
  /** Who is this? Fails with unauthenticated, forbidden (a foreign tenant) or tenant_suspended. */
  | { type: "authenticate"; shown: Shown; reply: Reply<Principal> }
  /** Which person is this, whatever tenants they are in? Fails with unauthenticated, for keys too. */
  | { type: "signedIn"; token: string; reply: Reply<SignedIn> }
  /** One of `entries.ts`: what is done before there is a tenant, as signing up. */
  | { type: "entry"; name: string; input: unknown; visitor: Visitor; reply: Reply<unknown> }
  /** What is cached of this tenant is stale. */
  | { type: "configChanged"; tenantId: string }
  /** What is cached of this person (their sessions, that they are disabled) is stale. */
  | { type: "personChanged"; personId: string }
  /** A key was used: that is written beside what it was used for. */
  | { type: "keyUsed"; use: KeyUse }
  | { type: "found"; name: string; deliver: () => void }
  | { type: "joined"; deliver: () => void }
  | { type: "useWritten" };

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
/** Writes of a last use on their way; one more is left to the key's next use. */
const USES_MAX = 16;

export interface GateDeps {
  numberOwner(number: string, signal: AbortSignal): Promise<NumberOwner | null>;
  /** As `ownerOfWebhook`. */
  webhookOwner(webhook: Webhook, signal: AbortSignal): Promise<NumberOwner | null>;
  readonly authenticator: Authenticator;
  writeKeyUse(use: KeyUse, signal: AbortSignal): Promise<void>;
  readonly entries: Readonly<Record<string, Entry<never, unknown>>>;
  lobby(visitor: Visitor, signal: AbortSignal): Lobby;
  readonly log: Log;
}

interface State {
  readonly lookups: number;
  readonly asked: number;
  readonly uses: number;
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
    return { ...state, lookups: state.lookups + 1, asked: state.asked + 1 };
  }

  /** What is known is told at once, and a look-up that is on its way is not made again. */
  function authenticate(
    state: Readonly<State>,
    ctx: Context<GateMessage>,
    { shown, reply }: Extract<GateMessage, { type: "authenticate" }>,
  ): State | void {
    const known = deps.authenticator.known(shown);
    if (known === null) {
      return lookUp(state, ctx, reply, async () => await deps.authenticator.principal(shown));
    }
    if (!(known instanceof Promise)) return reply(known);
    ctx.run(`lookup ${state.asked}`, () => known, (outcome) => ({
      type: "joined",
      deliver: () => outcome.ok ? reply(outcome.value) : reply.fail(outcome.error),
    }));
    return { ...state, asked: state.asked + 1 };
  }

  /** A bug in one entry is told to its asker; it must not shut the gate for the others. */
  async function runEntry(
    { name, input, visitor }: Extract<GateMessage, { type: "entry" }>,
    signal: AbortSignal,
  ): Promise<unknown> {
    const entry = deps.entries[name];
    try {
      if (entry === undefined) throw new Error(`No entry "${name}"`);
      // The input's type was checked where it was asked for, by the entry's name.
      return await entry.run(deps.lobby(visitor, signal), input as never);
    } catch (error) {
      if (error instanceof AppError) throw error;
      deps.log.error("entry crashed", { entry: name, requestId: visitor.request.requestId, error });
      throw new AppError("internal", `Entry "${name}" crashed`, { cause: error });
    }
  }

  return {
    init: () => ({ lookups: 0, asked: 0, uses: 0 }),
    on: {
      numberOwner: (state, { number, reply }, ctx) =>
        lookUp(state, ctx, reply, (signal) => deps.numberOwner(number, signal)),
      webhook: (state, { webhook, reply }, ctx) =>
        lookUp(state, ctx, reply, (signal) => deps.webhookOwner(webhook, signal)),
      authenticate: (state, message, ctx) => authenticate(state, ctx, message),
      signedIn: (state, { token, reply }, ctx) =>
        lookUp(state, ctx, reply, () => deps.authenticator.person(token)),
      entry: (state, message, ctx) =>
        lookUp(state, ctx, message.reply, (signal) => runEntry(message, signal)),
      configChanged(_, { tenantId }) {
        deps.authenticator.forget(tenantId);
      },
      personChanged(_, { personId }) {
        deps.authenticator.forgetPerson(personId);
      },
      keyUsed(state, { use }, ctx) {
        if (state.uses === USES_MAX) return state;
        const name = `use ${state.asked}`;
        ctx.run(name, (signal) => deps.writeKeyUse(use, signal), () => ({ type: "useWritten" }));
        return { ...state, uses: state.uses + 1, asked: state.asked + 1 };
      },
      found(state, { deliver }) {
        deliver();
        return { ...state, lookups: state.lookups - 1 };
      },
      joined(_, { deliver }) {
        deliver();
      },
      useWritten: (state) => ({ ...state, uses: state.uses - 1 }),
    },
    view: (state) => state,
  };
}
