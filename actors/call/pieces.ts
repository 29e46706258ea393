/** How much caller audio goes to a listener and its recogniser at once. Each piece costs the same, so it is more where a machine has many calls. */

import { sharedBytes } from "@/lib/audio/shared_bytes.ts";
import type { Cancel } from "@/lib/clock.ts";

/** With so few calls a frame waits for nothing. */
const FEW = 50;
/** With so many, as long as other runtimes always wait; providers take 20 to 250 ms. https://developers.deepgram.com/docs/measuring-streaming-latency */
const MANY = 200;

/** Counts who listens on a machine. */
export interface Pieces {
  /** Frames that make a piece now. */
  readonly frames: number;
  /** One more listens, until it is cancelled. */
  enter(): Cancel;
}

export function newPieces(): Pieces {
  let count = 0;
  return {
    get frames() {
      if (count <= FEW) return 1;
      return count <= MANY ? 2 : 3;
    },
    enter() {
      let isIn = true;
      count++;
      return () => {
        if (isIn) count--;
        isIn = false;
      };
    },
  };
}

/** Frames on their way into one piece. Changed in place. */
export class Joiner {
  #place = new Uint8Array(0);
  #filled = 0;
  #count = 0;

  /** The piece that this frame completes, where one takes so many; else null. */
  add(frame: Uint8Array, frames: number): Uint8Array | null {
    if (this.#count === 0 && frames <= 1) return frame;
    const end = this.#filled + frame.length;
    if (end > this.#place.length) {
      const held = this.#place.subarray(0, this.#filled);
      this.#place = sharedBytes(end + frame.length * Math.max(0, frames - this.#count - 1));
      this.#place.set(held);
    }
    this.#place.set(frame, this.#filled);
    this.#filled = end;
    return ++this.#count < frames ? null : this.take();
  }

  /** What there is, as a piece; none of it is given again. */
  take(): Uint8Array {
    const piece = this.#place.subarray(0, this.#filled);
    this.#place = new Uint8Array(0);
    this.#filled = 0;
    this.#count = 0;
    return piece;
  }
}
