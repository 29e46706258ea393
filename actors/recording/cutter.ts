/** Cuts what comes of a tape into segments, each of them whole, and holds what is not stored yet. */

import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import type { TapePiece } from "@/actors/call/tape.ts";
import { SAMPLE_BYTES, SEGMENT_BYTES } from "@/lib/recording/segments.ts";

/** Segments that wait for the store, those of silence aside: twenty seconds. */
export const WAITING_MAX = 4;

export interface Segment {
  /** From 0. */
  readonly index: number;
  readonly audio: Uint8Array<ArrayBuffer>;
}

/** What is stored already of a recording that goes on: it was another machine's. */
export interface Earlier {
  /** Of the segment that it goes on in, and what there is of that. */
  readonly index: number;
  readonly audio: Uint8Array;
  /** From the recording's beginning until this machine's first piece can begin, by the clocks of both. */
  readonly sinceMs: number;
}

/** Clocks that are apart make the silence between two machines no longer than this. */
const GAP_MAX_MS = 120_000;

/** All silent segments are this one. */
const SILENT = new Uint8Array(SEGMENT_BYTES).fill(SILENCE);

/** Changed in place: it belongs to one recording. */
export class Cutter {
  #waiting: Segment[] = [];
  /** The segment that is being filled; null while it is silent. */
  #open: Uint8Array<ArrayBuffer> | null = null;
  #index = 0;
  /** Behind the last byte that came. */
  #end = 0;
  /** From a piece's samples to the recording's, of one that goes on: known with its first piece. */
  #offset: number | null = 0;
  readonly #sinceMs: number = 0;

  constructor(earlier: Earlier | null = null) {
    if (earlier === null) return;
    const { index, audio, sinceMs } = earlier;
    this.#index = index;
    this.#end = index * SEGMENT_BYTES + audio.length;
    if (audio.length > 0) {
      this.#open = SILENT.slice();
      this.#open.set(audio);
    }
    this.#offset = null;
    this.#sinceMs = sinceMs;
  }

  /** What stands between it and the piece before is silence. False: the store is so slow that more waits than may. */
  add({ at: told, audio }: TapePiece): boolean {
    const at = told + (this.#offset ??= this.#offsetOf(told));
    const from = Math.max(at * SAMPLE_BYTES, this.#end); // another leg's tape may tell of the same time
    let rest = audio.subarray(from - at * SAMPLE_BYTES);
    this.#goTo(from);
    while (rest.length > 0) {
      const offset = this.#end - this.#index * SEGMENT_BYTES;
      const part = rest.subarray(0, SEGMENT_BYTES - offset);
      this.#open ??= SILENT.slice();
      this.#open.set(part, offset);
      this.#goTo(this.#end + part.length);
      rest = rest.subarray(part.length);
    }
    return this.#waiting.filter((it) => it.audio !== SILENT).length <= WAITING_MAX;
  }

  /** The oldest that waits; it is not held any more. */
  next(): Segment | null {
    return this.#waiting.shift() ?? null;
  }

  /** No more comes: what there is of the last segment waits too. */
  finish(): void {
    const bytes = this.#end - this.#index * SEGMENT_BYTES;
    if (bytes === 0) return;
    const audio = (this.#open ?? SILENT).slice(0, bytes);
    this.#waiting.push({ index: this.#index, audio });
    this.#index++;
    this.#end = this.#index * SEGMENT_BYTES;
    this.#open = null;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Behind all that is stored, and not too far. */
  #offsetOf(at: number): number {
    const soonest = Math.ceil(this.#end / SAMPLE_BYTES);
    const due = at + this.#sinceMs * BYTES_PER_MS;
    const placed = Math.min(Math.max(due, soonest), soonest + GAP_MAX_MS * BYTES_PER_MS);
    return Math.round(placed) - at;
  }

  #goTo(end: number): void {
    while (end >= (this.#index + 1) * SEGMENT_BYTES) {
      this.#waiting.push({ index: this.#index, audio: this.#open ?? SILENT });
      this.#open = null;
      this.#index++;
    }
    this.#end = end;
  }
}
