/**
 * The way to one other machine: what waits for it, and the asks that wait for its answers. Many messages share a
 * frame: what is sent within one turn of the loop goes out together. Changed by its link (`link.ts`) and the router.
 */

import type { Boot } from "@/db/cluster.ts";
import type { Clock } from "@/lib/clock.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import {
  type Address,
  askEntry,
  cancelEntry,
  ENTRY_UNITS_MAX,
  FRAME_UNITS_FULL,
  frameOf,
  sendEntry,
} from "./frames.ts";

/** Messages that may wait to be written, and their length in UTF-16 units. One more is refused: the machine is slow, or away. */
export const QUEUE_MAX = 10_000;
export const QUEUE_UNITS_MAX = 8 * 1024 * 1024;
/** Asks that may wait for an answer. */
export const ASKS_MAX = 10_000;
/** While more than this waits in the socket, nothing is added to it. */
const UNSENT_BYTES_MAX = 1024 * 1024;
const UNSENT_RETRY_MS = 5;
/** A send that has waited for a link for so long is a dead letter. */
export const HELD_MS = 5_000;

/** A message as it is sent: `said` is its address and itself, as JSON. */
export interface Parcel {
  readonly address: Address;
  readonly type: string;
  readonly said: string;
  /** How often it was sent on. */
  readonly hops: number;
}

/** Who asked, and is told exactly one of these; or `moved`, and it asks elsewhere. */
export interface Asker {
  readonly parcel: Parcel;
  /** On the clock of the wire. */
  readonly deadline: number;
  /** The link was lost, and it may or may not have been done. */
  lost(): void;
  /** It was never sent. */
  unsent(): void;
}

interface Item {
  readonly at: number;
  readonly units: number;
  /** What is written; null: nothing any more. */
  text(now: number): string | null;
  /** It is not going to be written. */
  dropped(): void;
}

export interface WireOptions {
  readonly peer: Boot;
  readonly clock: Clock;
  /** A message that nobody will get. */
  undelivered(parcel: Parcel): void;
}

export interface WireView {
  readonly waiting: number;
  readonly asks: number;
  readonly unsentBytes: number;
  readonly frames: number;
}

export class Wire {
  readonly peer: Boot;
  readonly #options: WireOptions;
  #socket: MessageSocket | null = null;
  /** Flushes, through the guarded door of the link's actor. */
  #flush: () => void = () => {};
  #isDue = false;
  #hasEnded = false;
  #queue: Item[] = [];
  #units = 0;
  /** Over the link there is. */
  #frames = 0;
  /** Over all there were. */
  #sent = 0;
  #asked = 0;
  /** By number; those that are not written yet as well. */
  readonly #asks = new Map<number, { readonly asker: Asker; isWritten: boolean }>();

  constructor(options: WireOptions) {
    this.peer = options.peer;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  /** For operators. `frames`: that were ever sent. */
  get view(): WireView {
    const unsentBytes = this.#socket?.bufferedBytes ?? 0;
    const waiting = this.#queue.length;
    return { waiting, asks: this.#asks.size, unsentBytes, frames: this.#sent };
  }

  /** Since when the oldest message waits here; null: none does. */
  get oldestAt(): number | null {
    return this.#queue[0]?.at ?? null;
  }

  /** The link is there. `guarded` calls `flush`, or crashes the link. */
  opened(socket: MessageSocket, guarded: () => void): void {
    this.#socket = socket;
    this.#flush = guarded;
    this.#frames = 0;
    this.#wake();
  }

  /** The link is gone: of what was written nobody knows what became. The rest waits for the next one. */
  closed(): void {
    this.#socket = null;
    for (const [number, { asker, isWritten }] of [...this.#asks]) {
      if (!isWritten) continue;
      this.#asks.delete(number);
      asker.lost();
    }
  }

  /** The machine is gone. */
  ended(): void {
    this.#hasEnded = true;
    this.closed();
    const queue = this.#queue;
    this.#queue = [];
    this.#units = 0;
    for (const item of queue) item.dropped();
  }

  /** False: it was refused, and told to nobody. */
  send(parcel: Parcel): boolean {
    return this.#put({
      at: this.#options.clock.now(),
      units: parcel.said.length,
      text: () => sendEntry(parcel.hops, parcel.said),
      dropped: () => this.#options.undelivered(parcel),
    });
  }

  /** Returns its number, under which `answered` and `forget` know it; null: it was refused. */
  ask(asker: Asker): number | null {
    if (this.#asks.size >= ASKS_MAX) return null;
    const number = ++this.#asked;
    const { parcel, deadline } = asker;
    const isTaken = this.#put({
      at: this.#options.clock.now(),
      units: parcel.said.length,
      text: (now) => {
        const waiting = this.#asks.get(number);
        if (waiting === undefined || deadline <= now) return null;
        waiting.isWritten = true;
        return askEntry(number, deadline - now, parcel.said);
      },
      dropped: () => {
        if (this.#asks.delete(number)) asker.unsent();
      },
    });
    if (!isTaken) return null;
    this.#asks.set(number, { asker, isWritten: false });
    return number;
  }

  /** Who waits for this answer; null: nobody any more. */
  answered(number: number): Asker | null {
    const asker = this.#asks.get(number)?.asker ?? null;
    this.#asks.delete(number);
    return asker;
  }

  /** False: it waits here still, and the other machine knows nothing of it. */
  hasLeft(number: number): boolean {
    return this.#asks.get(number)?.isWritten ?? true;
  }

  /** Nobody waits for it any more: the other machine is told, if it knows of it. */
  forget(number: number): void {
    const waiting = this.#asks.get(number);
    this.#asks.delete(number);
    if (waiting?.isWritten === true) this.tell(cancelEntry(number));
  }

  /** An entry that belongs to this link: without one it is nothing. */
  tell(entry: string): void {
    if (this.#socket === null) return;
    const item = { at: this.#options.clock.now(), units: entry.length, text: () => entry };
    this.#queue.push({ ...item, dropped: () => {} });
    this.#units += entry.length;
    this.#wake();
  }

  /** What has waited for too long while there was no link. */
  sweep(): void {
    if (this.#socket !== null) return;
    const before = this.#options.clock.now() - HELD_MS;
    const late = this.#queue.filter(({ at }) => at <= before);
    if (late.length === 0) return;
    this.#queue = this.#queue.filter(({ at }) => at > before);
    for (const item of late) {
      this.#units -= item.units;
      item.dropped();
    }
  }

  /** Writes what waits, in frames. */
  flush(): void {
    this.#isDue = false;
    const socket = this.#socket;
    if (socket === null) return;
    if (socket.bufferedBytes > UNSENT_BYTES_MAX) {
      this.#isDue = true;
      this.#options.clock.timer(UNSENT_RETRY_MS, this.#flush);
      return;
    }
    const queue = this.#queue;
    this.#queue = [];
    this.#units = 0;
    const now = this.#options.clock.now();
    let entries: string[] = [];
    let units = 0;
    for (const item of queue) {
      const text = item.text(now);
      if (text === null) continue;
      if (entries.length > 0 && units + text.length > FRAME_UNITS_FULL) {
        this.#write(socket, entries);
        entries = [];
        units = 0;
      }
      entries.push(text);
      units += text.length;
    }
    if (entries.length > 0) this.#write(socket, entries);
  }

  #write(socket: MessageSocket, entries: readonly string[]): void {
    this.#sent++;
    socket.send(frameOf(++this.#frames, entries));
  }

  #put(item: Item): boolean {
    if (this.#hasEnded || this.#queue.length >= QUEUE_MAX) return false;
    if (this.#units + item.units > QUEUE_UNITS_MAX) return false;
    this.#queue.push(item);
    this.#units += item.units;
    this.#wake();
    return true;
  }

  #wake(): void {
    if (this.#isDue || this.#socket === null || this.#queue.length === 0) return;
    this.#isDue = true;
    queueMicrotask(this.#flush);
  }
}

/** Throws an Error for what no frame can hold: whoever sends it must not. */
export function checkLength(said: string, type: string): void {
  if (said.length <= ENTRY_UNITS_MAX) return;
  throw new Error(`Message "${type}" cannot cross: it is ${said.length} units long`);
}
