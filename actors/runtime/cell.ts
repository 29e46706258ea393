/** One actor's place in the system: its address, its lanes, and the turn in which it handles them. */

import type { AskOptions, Message, Ref, Reply, StopReason } from "./actor.ts";
import { ask } from "./ask.ts";
import { whoseCode } from "./blame.ts";
import type { DeadReason } from "./dead_letters.ts";
import type { Envelope, Origin, Refusal } from "./envelope.ts";
import type { KindEntry, MakeActor } from "./host.ts";
import { IdleWatch } from "./idle.ts";
import { Life } from "./life.ts";
import { Ring } from "./ring.ts";
import type { Runnable } from "./scheduler.ts";
import { crash, type Crashes, stop } from "./supervisor.ts";

/**
 * dormant: an address only, its first message brings it to life (registered kinds); starting: `init` is due;
 * waiting: crashed, `init` follows after the backoff; stopped: for good.
 */
export type CellPhase = "dormant" | "starting" | "live" | "waiting" | "stopped";

/** What rides the system lane: goes before all messages, and is never refused. */
export type Signal =
  | { readonly type: "stop"; readonly reason: StopReason }
  | { readonly type: "crash"; readonly life: Life; readonly error: unknown }
  | { readonly type: "holdEnded"; readonly envelope: Envelope };

export class Cell implements Ref<Message>, Runnable {
  readonly entry: KindEntry;
  readonly id: string;
  readonly parent: Cell | null;
  readonly make: MakeActor;
  /** Told once, when it stops for good. */
  readonly onStopped: ((reason: StopReason) => void) | null;
  phase: CellPhase;
  queued = false;
  control = new Ring<Envelope>();
  media: Ring<Envelope> | null = null;
  signals: Signal[] | null = null;
  /** What lives here between `init` and a crash or stop. */
  life: Life | null = null;
  crashes: Crashes | null = null;
  idle: IdleWatch | null = null;
  /** The type of the message being handled. */
  handling: string | null = null;

  constructor(
    entry: KindEntry,
    id: string,
    make: MakeActor,
    place: Place & { readonly phase: CellPhase },
  ) {
    this.entry = entry;
    this.id = id;
    this.make = make;
    this.parent = place.parent;
    this.phase = place.phase;
    this.onStopped = place.onStopped;
  }

  get kind(): string {
    return this.entry.kind.name;
  }

  send(message: Message): boolean {
    return this.accept(message, null);
  }

  ask<T>(question: (reply: Reply<T>) => Message, options?: AskOptions): Promise<T> {
    return ask(this, question, options);
  }

  /** Takes a message from outside: bounded by its lane, refused when it cannot be handled. */
  accept(message: Message, origin: Origin | null): boolean {
    if (this.entry.host.phase !== "running" && !this.#isReachable()) {
      return this.#refuse(message, origin, "draining");
    }
    return this.admit(message, origin);
  }

  /** As `accept`, for a message that comes through one of its own guarded callbacks: open while the system drains. */
  admit(message: Message, origin: Origin | null): boolean {
    const { entry } = this;
    if (this.phase === "dormant" || this.phase === "stopped") {
      const target = this.#revive();
      if (target === null) return this.#refuse(message, origin, "stopped");
      if (target !== this) return target.accept(message, origin);
    }
    if (entry.media?.has(message.type) === true) this.#pushMedia(message, origin);
    else if (this.control.length < entry.kind.controlMax) this.#push(this.control, message, origin);
    else return this.#refuse(message, origin, "full");
    return true;
  }

  /** Takes a message of its own making (outcome, timer, child's end): never refused, bounded by what it started. */
  acceptOwn(message: Message, origin: Origin): void {
    if (this.phase === "stopped") return;
    if (this.entry.media?.has(message.type) === true) this.#pushMedia(message, origin);
    else this.#push(this.control, message, origin);
  }

  /** Puts a signal on the system lane. */
  signal(signal: Signal): void {
    if (this.phase === "stopped" || this.phase === "dormant") return;
    (this.signals ??= []).push(signal);
    this.entry.host.scheduler.ready(this);
  }

  /** Takes the last message of a hold, which the shut lanes must not keep back. */
  endHold(message: Message, origin: Origin): void {
    const { stamp } = this.entry.host.scheduler;
    this.signal({ type: "holdEnded", envelope: { message, origin, at: stamp, tries: 0 } });
  }

  /** Empties the mailbox and forgets what it had held. */
  empty(): Envelope[] {
    const waiting = [...this.control.waiting(), ...this.media?.waiting() ?? []];
    this.control = new Ring();
    this.media = null;
    return waiting;
  }

  /** Takes a message that has not begun out of the queue. */
  withdraw(origin: Origin): void {
    const isIt = (envelope: Envelope): boolean => envelope.origin === origin;
    if (!this.control.remove(isIt)) this.media?.remove(isIt);
  }

  /** True when the code that runs now is this actor's, and the actor cannot take a message before it ends. */
  isAskedByItself(): boolean {
    if (this.entry.host.scheduler.current === this) return true;
    return this.life !== null && this.life.holds > 0 && whoseCode() === this.life;
  }

  step(budget: number): boolean {
    const { entry } = this;
    const { scheduler } = entry.host;
    for (let left = budget;;) {
      if (this.signals !== null) this.#obey(this.signals);
      if (this.phase === "starting") this.#begin();
      if (this.signals !== null) continue;
      const { life } = this;
      if (this.phase !== "live" || life === null || life.holds > 0) return false;
      if (left-- === 0) return this.control.length > 0 || (this.media?.length ?? 0) > 0;
      const envelope = this.control.shift() ?? this.media?.shift();
      if (envelope === undefined) return false;
      this.#handle(life, envelope);
      if (scheduler.spend()) left = 0;
    }
  }

  #handle(life: Life, envelope: Envelope): void {
    const { message, origin } = envelope;
    if (origin !== null) {
      if (!origin.live) return;
      origin.taken();
    }
    const { entry } = this;
    entry.handled++;
    if (this.idle !== null) this.idle.lastAt = entry.host.scheduler.stamp;
    entry.host.trace?.(entry.kind.name, this.id, message.type);
    this.handling = message.type;
    try {
      const handler = life.actor.on[message.type];
      if (handler === undefined) throw new Error(`No handler for "${message.type}"`);
      const next = handler(life.state, message, life);
      if (next !== undefined) life.state = next;
    } catch (error) {
      crash(this, error, envelope);
    }
    this.handling = null;
  }

  /** Handles the system lane. */
  #obey(signals: readonly Signal[]): void {
    this.signals = null;
    for (const signal of signals) {
      if (signal.type === "stop") stop(this, signal.reason);
      else if (signal.type === "holdEnded") {
        if (this.life !== null) this.#handle(this.life, signal.envelope);
      } else if (signal.life === this.life) crash(this, signal.error, null);
    }
  }

  #begin(): void {
    this.phase = "live";
    try {
      const life = new Life(this, this.make(this.id));
      this.life = life;
      life.begin(this.crashes?.restart);
      this.#watchIdle();
    } catch (error) {
      crash(this, error, null);
    }
  }

  #watchIdle(): void {
    const { passivateAfterMs } = this.entry.kind;
    if (passivateAfterMs !== undefined) this.idle ??= new IdleWatch(this, passivateAfterMs);
  }

  #push(lane: Ring<Envelope>, message: Message, origin: Origin | null): void {
    const { scheduler } = this.entry.host;
    scheduler.ready(this);
    lane.push({ message, origin, at: scheduler.stamp, tries: 0 });
  }

  #pushMedia(message: Message, origin: Origin | null): void {
    const { entry } = this;
    this.media ??= new Ring();
    if (this.media.length >= (entry.kind.media?.max ?? 0)) {
      entry.mediaDropped++;
      this.media.drop()?.origin?.refused("mailbox_full");
    }
    this.#push(this.media, message, origin);
  }

  #isReachable(): boolean {
    const { host, kind } = this.entry;
    if (host.phase !== "draining") return false;
    return host.scheduler.current !== null || host.serves.has(kind.name);
  }

  /** The living actor of this address: this one, or the one that has taken its place; null when there is none. */
  #revive(): Cell | null {
    const { entry } = this;
    const living = entry.cells.get(this.id);
    if (living !== undefined) return living;
    if (entry.make === null) return null;
    this.phase = "starting";
    this.crashes = null;
    entry.cells.set(this.id, this);
    return this;
  }

  #refuse(message: Message, origin: Origin | null, reason: keyof typeof REFUSALS): false {
    bury(this, message, reason);
    origin?.refused(REFUSALS[reason]);
    return false;
  }
}

const REFUSALS = {
  full: "mailbox_full",
  stopped: "actor_stopped",
  draining: "draining",
} as const satisfies Partial<Record<DeadReason, Refusal>>;

/** Makes a dead letter of a message to this actor. */
export function bury(cell: Cell, message: Message, reason: DeadReason): void {
  const { host, kind } = cell.entry;
  const at = host.clock.date().toISOString();
  host.deadLetters.add({ at, kind: kind.name, id: cell.id, type: message.type, reason });
}

export interface Place {
  readonly parent: Cell | null;
  readonly onStopped: ((reason: StopReason) => void) | null;
}

/** Brings a new actor into the system; its `init` runs in its first turn. */
export function startCell(entry: KindEntry, id: string, make: MakeActor, place: Place): Cell {
  const { kind, cells, host } = entry;
  if (cells.has(id)) throw new Error(`Actor ${kind.name} "${id}" is alive already`);
  if (kind.passivateAfterMs !== undefined && entry.make === null) {
    throw new Error(
      `Kind "${kind.name}" passivates but is not registered: nothing would bring it back`,
    );
  }
  const cell = new Cell(entry, id, make, { ...place, phase: "starting" });
  cells.set(id, cell);
  host.scheduler.ready(cell);
  return cell;
}
