/** How much caller audio goes to a recogniser at once. Each piece costs the same, so it is more where a machine has many calls. */

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
