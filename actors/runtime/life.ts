/** One life of an actor, from `init` to its crash or stop: its state, what it started, and the `ctx` of its handlers. */

import type {
  Actor,
  Context,
  Kind,
  Message,
  Outcome,
  Ref,
  Restart,
  StopReason,
  StreamItem,
} from "./actor.ts";
import { type Blamed, inNameOf } from "./blame.ts";
import { type Cell, startCell } from "./cell.ts";
import type { Origin } from "./envelope.ts";
import { type AnyActor, anyMake, entryOf } from "./host.ts";
import { stop } from "./supervisor.ts";
import { startRun, startStream, startTimer, type Work } from "./work.ts";

/**
 * The context belongs to one life: after a crash or stop nothing that the life has started reaches
 * the actor any more. Guarded callbacks do nothing, and their queued messages are not handled.
 */
export class Life implements Context<Message>, Origin, Blamed {
  readonly cell: Cell;
  readonly actor: AnyActor;
  live = true;
  state: unknown = undefined;
  /** False until `init` has returned. */
  hasState = false;
  /** Holds that have not ended: while there is one, control and media wait. */
  holds = 0;
  works: Map<string, Work> | null = null;
  children: Set<Cell> | null = null;

  constructor(cell: Cell, actor: AnyActor) {
    this.cell = cell;
    this.actor = actor;
  }

  get outlivesRestart(): boolean {
    return false;
  }

  get self(): Ref<Message> {
    return this.cell;
  }

  begin(restart: Restart | undefined): void {
    this.state = this.actor.init(this, restart);
    this.hasState = true;
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
    this.#mustLive();
    startRun(this, "run", name, work, toMessage);
  }

  hold<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    toMessage: (outcome: Outcome<T>) => Message,
  ): void {
    this.#mustLive();
    startRun(this, "hold", name, work, toMessage);
  }

  stream<T>(
    name: string,
    source: (signal: AbortSignal) => AsyncIterable<T>,
    toMessage: (item: StreamItem<T>) => Message,
  ): void {
    this.#mustLive();
    startStream(this, name, source, toMessage);
  }

  timer(name: string, ms: number, message: Message): void {
    this.#mustLive();
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
    this.#mustLive();
    const { stopped } = options;
    const onStopped = stopped === undefined
      ? null
      : (reason: StopReason) => this.#hear(() => stopped(reason));
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
    if (this.live) this.cell.signal({ type: "stop", reason: { type: "done" } });
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

  /** Takes the news of a child's end. */
  #hear(news: () => Message): void {
    if (!this.live) return;
    try {
      this.cell.acceptOwn(news(), this);
    } catch (error) {
      this.fail(error);
    }
  }

  #mustLive(): void {
    if (!this.live) {
      throw new Error(`Context of ${this.cell.kind} "${this.cell.id}" used after its end`);
    }
  }
}
