/** Movable actors of this machine: claimed at their first message, paused past its own deadline, released when they end. */

import type { Actor, Context, Handlers, Kind, Message, Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { ActorKey } from "@/db/cluster.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";

/** How soon an actor that has paused is let on, once this machine may act again. */
const PAUSED_LOOK_MS = 100;

export interface Movables {
  /** From now on an actor of this kind is made here when a message comes for one that this machine has claimed. */
  register<M extends Message, S>(kind: Kind<M>, make: (id: string) => Actor<S, M>): void;
  /** One that this machine owns; null: others may own it. */
  here<M extends Message>(kind: Kind<M>, id: string): Ref<M> | null;
  /** The kinds that were registered. */
  readonly kinds: ReadonlySet<string>;
  /**
   * For a drain, which stops them and frees their rows in one statement (`movables.ts`): from now on none frees its
   * own. None of them where no other machine may claim: they serve this one to its end.
   */
  drained(): readonly string[];
}

export interface MovablesOptions {
  readonly system: System;
  readonly directory: Pick<Directory, "release">;
  readonly holdings: Holdings;
  /** False: nobody else can be there, and all are this machine's without a claim. */
  readonly isOneOfMany: boolean;
  /** Whether another machine may claim. */
  othersClaim(): boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export function newMovables(options: MovablesOptions): Movables {
  const { system, directory, holdings, isOneOfMany, clock, log } = options;
  const kinds = new Set<string>();
  let isReleasing = false;

  function release(actor: ActorKey): void {
    if (isReleasing) return; // all in one statement
    const fence = holdings.giveUp(actor);
    if (fence === null) return; // somebody else's by now
    directory.release(fence).catch((error) =>
      log.warn("actor not released: its row is this machine's until it ends", { ...actor, error })
    );
  }

  return {
    kinds,
    register(kind, make) {
      kinds.add(kind.name);
      if (!isOneOfMany) return system.register(kind, make);
      system.register(kind, (id) => {
        const actor = { kind: kind.name, id };
        return movable(make(id), {
          mayAct: () => holdings.mayAct(actor, clock.now()),
          async valid(signal) {
            while (!holdings.mayAct(actor, clock.now())) {
              await sleep(clock, PAUSED_LOOK_MS, signal);
            }
          },
          release: () => release(actor),
        });
      });
    },
    here(kind, id) {
      if (isOneOfMany && holdings.fenceOf({ kind: kind.name, id }) === null) return null;
      return isReleasing ? system.find(kind, id) : system.at(kind, id);
    },
    drained() {
      isReleasing = isOneOfMany && options.othersClaim();
      return isReleasing ? [...kinds] : [];
    },
  };
}

export interface Lease {
  /** Whether this machine may act for the actor at this moment. */
  mayAct(): boolean;
  /** Resolves when it may. */
  valid(signal: AbortSignal): Promise<void>;
  /** It has ended here. */
  release(): void;
}

/**
 * As the actor, but no message is handled while its machine may not act: the first one that comes then is held,
 * with the mailbox shut behind it, and the state kept.
 */
export function movable<S, M extends Message>(actor: Actor<S, M>, lease: Lease): Actor<S, M> {
  type Handle = (state: Readonly<S>, message: M, ctx: Context<M>) => S | void;
  const handlers: Record<string, Handle> = { ...actor.on as unknown as Record<string, Handle> }; // each gets its own type of message
  for (const [type, handle] of Object.entries(handlers)) {
    handlers[type] = (state, message, ctx) => {
      if (lease.mayAct()) return handle(state, message, ctx);
      ctx.hold("lease", lease.valid, () => message);
    };
  }
  return {
    ...actor,
    on: handlers as unknown as Handlers<S, M>,
    stopped(state, reason) {
      actor.stopped?.(state, reason);
      // After a crash it comes back here; at the machine's end all its rows go in one statement.
      if (reason.type !== "crashed" && reason.type !== "shutdown") lease.release();
    },
  };
}
