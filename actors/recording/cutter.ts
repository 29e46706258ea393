/** Cuts what comes of a tape into segments, each of them whole, and holds what is not stored yet. */

import { SILENCE } from "@/lib/audio/frame.ts";
import type { TapePiece } from "@/actors/call/tape.ts";
import { SAMPLE_BYTES, SEGMENT_BYTES } from "@/lib/recording/segments.ts";

/** Segments that wait for the store, those of silence aside: twenty seconds. */
export const WAITING_MAX = 4;

export interface Segment {
  /** From 0. */
  readonly index: number;
  readonly audio: Uint8Array<ArrayBuffer>;
}

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

  /** What stands between it and the piece before is silence. False: the store is so slow that more waits than may. */
  add({ at, audio }: TapePiece): boolean {
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

  #goTo(end: number): void {
    while (end >= (this.#index + 1) * SEGMENT_BYTES) {
      this.#waiting.push({ index: this.#index, audio: this.#open ?? SILENT });
      this.#open = null;
      this.#index++;
    }
    this.#end = end;
  }
}
