/** One life of an actor, from `init` to its crash or stop: its state, what it started, and the `ctx` of its handlers. */

import type {
  Actor,
  Context,
  Kind,
  Message,
  Outcome,
  Ref,
  StopReason,
  StreamItem,
} from "./actor.ts";
import { type Blamed, inNameOf } from "./blame.ts";
import { type Cell, startCell } from "./cell.ts";
import type { Origin } from "./envelope.ts";
import { type AnyActor, anyMake, entryOf } from "./host.ts";
import { stop } from "./supervisor.ts";
import { startRun, startStream, startTimer, type Work } from "./work.ts";

/** The state before `init` has returned. */
export const NO_STATE = Symbol("no state");

/**
 * The context belongs to one life: after a crash or stop nothing that the life has started reaches
 * the actor any more. Guarded callbacks do nothing, and their queued messages are not handled.
 */
export class Life implements Context<Message>, Origin, Blamed {
  readonly cell: Cell;
  readonly actor: AnyActor;
  state: unknown = NO_STATE;
  /** Holds that have not ended: while there is one, control and media wait. */
  holds = 0;
  works: Map<string, Work> | null = null;
  children: Set<Cell> | null = null;

  constructor(cell: Cell, actor: AnyActor) {
    this.cell = cell;
    this.actor = actor;
  }

  get live(): boolean {
    return this.cell.life === this;
  }

  get self(): Ref<Message> {
    return this.cell;
  }

  /** Crashes this life, before the actor handles anything else. A life crashes once. */
  fail(error: unknown): void {
    const { kind, id } = this.cell;
    if (this.live) this.cell.signal({ type: "crash", life: this, error });
    else this.cell.entry.host.log.warn("error from an ended life of an actor", { kind, id, error });
  }

  taken(): void {}

  refused(): void {}

  now(): number {
    return this.cell.entry.host.clock.now();
  }

  date(): Date {
    return this.cell.entry.host.clock.date();
  }

  run<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    toMessage: (outcome: Outcome<T>) => Message,
  ): void {
    mustLive(this);
    startRun(this, "run", name, work, toMessage);
  }

  hold<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    toMessage: (outcome: Outcome<T>) => Message,
  ): void {
    mustLive(this);
    startRun(this, "hold", name, work, toMessage);
  }

  stream<T>(
    name: string,
    source: (signal: AbortSignal) => AsyncIterable<T>,
    toMessage: (item: StreamItem<T>) => Message,
  ): void {
    mustLive(this);
    startStream(this, name, source, toMessage);
  }

  timer(name: string, ms: number, message: Message): void {
    mustLive(this);
    startTimer(this, name, ms, message);
  }

  cancel(name: string): boolean {
    const work = this.works?.get(name);
    if (work === undefined) return false;
    work.cancel();
    return true;
  }

  spawn<N extends Message, T>(
    kind: Kind<N>,
    id: string,
    make: () => Actor<T, N>,
    options: { readonly stopped?: (reason: StopReason) => Message } = {},
  ): Ref<N> {
    mustLive(this);
    const { stopped } = options;
    const onStopped = stopped === undefined
      ? null
      : (reason: StopReason) => hear(this, () => stopped(reason));
    const entry = entryOf(this.cell.entry.host, kind);
    const child = startCell(entry, id, anyMake(make), { parent: this.cell, onStopped });
    (this.children ??= new Set()).add(child);
    return child;
  }

  stopChild(ref: { readonly kind: string; readonly id: string }, why: string): void {
    const child = this.cell.entry.host.kinds.get(ref.kind)?.cells.get(ref.id);
    if (child !== undefined && this.children?.has(child) === true) {
      stop(child, { type: "asked", why });
    }
  }

  stop(): void {
    if (!this.live) return;
    this.cell.signal({ type: "stop", reason: { type: "done" }, life: this });
  }

  guard<A extends readonly unknown[]>(
    callback: (...args: A) => Message | void,
  ): (...args: A) => void {
    return (...args) => {
      if (!this.live) return;
      try {
        const message = inNameOf(this, () => callback(...args));
        if (message !== undefined) this.cell.admit(message, this);
      } catch (error) {
        this.fail(error);
      }
    };
  }
}

/** Takes the news of a child's end. */
function hear(life: Life, news: () => Message): void {
  if (!life.live) return;
  try {
    life.cell.acceptOwn(news(), life);
  } catch (error) {
    life.fail(error);
  }
}

function mustLive(life: Life): void {
  const { kind, id } = life.cell;
  if (!life.live) throw new Error(`Context of ${kind} "${id}" is used after its end`);
}
