/** What the parts of one actor system share. */

import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import type { Actor, Context, Kind, Message, Restart, StopReason } from "./actor.ts";
import type { Cell } from "./cell.ts";
import type { DeadLetters } from "./dead_letters.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Wheel } from "./wheel.ts";

/** draining: no new work from outside. stopping: nobody can send any more. */
export type Phase = "running" | "draining" | "stopping" | "stopped";

export interface Host {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly scheduler: Scheduler;
  readonly wheel: Wheel;
  readonly deadLetters: DeadLetters;
  readonly kinds: Map<string, KindEntry>;
  readonly trace: ((kind: string, id: string, type: string) => void) | null;
  phase: Phase;
  /** The kinds that outsiders still reach while it drains. */
  serves: ReadonlySet<string>;
  asksExpired: number;
  /** The message that some actor handles right now. */
  handling: Message | null;
}

/** An actor as the runtime handles it: messages are known by their type only. */
export interface AnyActor {
  init(ctx: Context<Message>, restart?: Restart): unknown;
  readonly on: Readonly<
    Record<string, (state: unknown, message: Message, ctx: Context<Message>) => unknown>
  >;
  view?(state: unknown): unknown;
  stopped?(state: unknown, reason: StopReason): void;
}

export type MakeActor = (id: string) => AnyActor;

/** What makes an actor, for a runtime that knows messages by type only: the kind and the ref keep the pair honest. */
export function anyMake<S, M extends Message>(make: (id: string) => Actor<S, M>): MakeActor {
  return make as unknown as MakeActor;
}

/** One kind within a system: its living actors and what they did so far. */
export class KindEntry {
  readonly host: Host;
  readonly kind: Kind<Message>;
  readonly media: ReadonlySet<string> | null;
  readonly cells = new Map<string, Cell>();
  /** Brings an actor of this kind to life when a message comes for it; null when only `spawn` does. */
  make: MakeActor | null = null;
  handled = 0;
  crashes = 0;
  restarts = 0;
  mediaDropped = 0;

  constructor(host: Host, kind: Kind<Message>) {
    this.host = host;
    this.kind = kind;
    this.media = kind.media === undefined ? null : new Set(kind.media.types);
  }
}

/** The entry of a kind, made at its first use. */
export function entryOf(host: Host, kind: Kind<Message>): KindEntry {
  const known = host.kinds.get(kind.name);
  if (known?.kind === kind) return known;
  if (known !== undefined) throw new Error(`Two kinds are named "${kind.name}"`);
  const bounds = [kind.controlMax, kind.media?.max ?? 1, kind.poisonTries];
  if (!bounds.every((bound) => bound >= 1)) {
    throw new Error(`Kind "${kind.name}" has a bound below 1: ${bounds.join(", ")}`);
  }
  const entry = new KindEntry(host, kind);
  host.kinds.set(kind.name, entry);
  return entry;
}
