/** One actor's place in the system: its address, its lanes, and the turn in which it handles them. */

import type { AskOptions, Message, Ref, Reply, StopReason } from "./actor.ts";
import { ask } from "./ask.ts";
import { whoseCode } from "./blame.ts";
import type { DeadReason } from "./dead_letters.ts";
import type { Envelope, Origin, Refusal } from "./envelope.ts";
import type { KindEntry, MakeActor } from "./host.ts";
import type { IdleWatch } from "./idle.ts";
import type { Life } from "./life.ts";
import { Ring } from "./ring.ts";
import type { Runnable } from "./scheduler.ts";
import type { Crashes } from "./supervisor.ts";
import { takeTurn } from "./turn.ts";

/**
 * dormant: an address only, its first message brings it to life (registered kinds); starting: `init` is due;
 * waiting: crashed, `init` follows after the backoff; stopped: for good.
 */
export type CellPhase = "dormant" | "starting" | "live" | "waiting" | "stopped";

/** What rides the system lane: goes before all messages, and is never refused. */
export type Signal =
  | { readonly type: "stop"; readonly reason: StopReason; readonly life?: Life } // from its own life
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
    if (this.entry.host.phase !== "running" && !isReachable(this)) {
      return refuse(this, message, origin, "draining");
    }
    return this.admit(message, origin);
  }

  /** As `accept`, for a message that comes through one of its own guarded callbacks: open while the system drains. */
  admit(message: Message, origin: Origin | null): boolean {
    const { entry } = this;
    if (this.phase === "dormant" || this.phase === "stopped") {
      const target = living(this);
      if (target === null) return refuse(this, message, origin, "stopped");
      if (target !== this) return target.accept(message, origin);
    }
    if (entry.media?.has(message.type) === true) pushMedia(this, message, origin);
    else if (this.control.length < entry.kind.controlMax) push(this, this.control, message, origin);
    else return refuse(this, message, origin, "full");
    return true;
  }

  /** Takes a message of its own making (outcome, timer, child's end): never refused, bounded by what it started. */
  acceptOwn(message: Message, origin: Origin): void {
    if (this.phase === "stopped") return;
    if (this.entry.media?.has(message.type) === true) pushMedia(this, message, origin);
    else push(this, this.control, message, origin);
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
    this.signal({ type: "holdEnded", envelope: { message, origin, at: stamp } });
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
    const { control, media } = present(this);
    if (!control.remove(isIt)) media?.remove(isIt);
  }

  /** True when the code that runs now is this actor's, and the actor cannot take a message before it ends. */
  isAskedByItself(): boolean {
    const who = whoseCode();
    const cell = present(this);
    if (who === undefined) return cell.entry.host.scheduler.current === cell; // a handler's
    return who === cell.life && cell.life.holds > 0; // its work's, while nothing else is handled
  }

  step(budget: number): boolean {
    return takeTurn(this, budget);
  }
}

// Functions and not private methods: those would cost every idle actor a word.

function push(cell: Cell, lane: Ring<Envelope>, message: Message, origin: Origin | null): void {
  const { scheduler } = cell.entry.host;
  scheduler.ready(cell);
  lane.push({ message, origin, at: scheduler.stamp });
}

function pushMedia(cell: Cell, message: Message, origin: Origin | null): void {
  const { entry } = cell;
  cell.media ??= new Ring();
  if (cell.media.length >= (entry.kind.media?.max ?? 0)) {
    entry.mediaDropped++;
    cell.media.drop()?.origin?.refused("mailbox_full");
  }
  push(cell, cell.media, message, origin);
}

/** While the system drains: for an actor's handler, work or guarded callback, and for whom it still serves. */
function isReachable(cell: Cell): boolean {
  const { host, kind } = cell.entry;
  if (host.phase !== "draining") return false;
  const isInside = host.scheduler.current !== null || whoseCode() !== undefined;
  return isInside || host.serves.has(kind.name);
}

/** The cell that takes this address's messages now: it, or one that has its id. */
function present(cell: Cell): Cell {
  if (cell.phase !== "dormant" && cell.phase !== "stopped") return cell;
  return cell.entry.cells.get(cell.id) ?? cell;
}

/** The living actor of this address: it, or one that has its id; null when none lives and none may be brought to life. */
function living(cell: Cell): Cell | null {
  const { entry, id } = cell;
  const known = entry.cells.get(id);
  if (known !== undefined) return known;
  if (entry.make === null) return null;
  if (cell.phase === "stopped") {
    return startCell(entry, id, entry.make, { parent: null, onStopped: null });
  }
  cell.phase = "starting";
  entry.cells.set(id, cell);
  return cell;
}

function refuse(
  cell: Cell,
  message: Message,
  origin: Origin | null,
  reason: keyof typeof REFUSALS,
): false {
  bury(cell, message, reason);
  origin?.refused(REFUSALS[reason]);
  return false;
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
