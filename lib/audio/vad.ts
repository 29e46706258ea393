/** Voice activity on a telephone line: tells speech from noise frame by frame, by level over a floor that it learns. */

import { levelDbfs } from "./energy.ts";
import { FRAME_MS } from "./frame.ts";

/** Speech stands so far above the line's own noise. */
const OVER_FLOOR_DB = 9;
/** Below this nothing is speech, however quiet the line: a quiet talker is near -35. */
const LEAST_DBFS = -45;
/** The floor of a line that has said nothing yet: it is quiet until it is heard. */
const FIRST_FLOOR_DBFS = -55;
/** Digital silence is no floor: the first noise after it would be speech. */
const FLOOR_MIN_DBFS = -65;
/** The floor is the quietest frame of the last second and a half: between two words even a talker is silent. */
const BUCKETS = 5;
const BUCKET_FRAMES = 15;
/** A click is one loud frame; speech is so many of the last ones. */
const LOUD_MIN = 3;
const WINDOW = 5;
/** Between two words there is silence; speech goes on over it. */
const HANGOVER_FRAMES = 12;

/** One line's ear. It is changed in place, fifty times a second a call. */
export class Vad {
  /** The quietest frame of each of the last stretches of 300 ms; the last one is being filled. */
  readonly #quietest = new Float64Array(BUCKETS).fill(FIRST_FLOOR_DBFS);
  #filled = 0;
  #floor = FIRST_FLOOR_DBFS;
  /** The last WINDOW frames, one bit each: was it loud? */
  #recent = 0;
  #quiet = 0;
  #frames = 0;

  /** Takes 20 ms of µ-law; returns for how many milliseconds speech has gone on, 0 while there is none. */
  take(frame: Uint8Array): number {
    const level = levelDbfs(frame);
    const isLoud = level > Math.max(this.#floor + OVER_FLOOR_DB, LEAST_DBFS);
    this.#learn(level);
    this.#recent = ((this.#recent << 1) | (isLoud ? 1 : 0)) & ((1 << WINDOW) - 1);
    if (this.#frames === 0) {
      if (bits(this.#recent) < LOUD_MIN) return 0;
      this.#frames = LOUD_MIN;
      this.#quiet = 0;
      return this.#frames * FRAME_MS;
    }
    this.#quiet = isLoud ? 0 : this.#quiet + 1;
    if (this.#quiet > HANGOVER_FRAMES) {
      this.#frames = 0;
      this.#recent = 0;
      return 0;
    }
    return ++this.#frames * FRAME_MS;
  }

  /** Milliseconds since its last loud frame, while speech goes on over them. */
  get quietMs(): number {
    return this.#quiet * FRAME_MS;
  }

  #learn(level: number): void {
    const last = BUCKETS - 1;
    if (++this.#filled > BUCKET_FRAMES) {
      this.#filled = 1;
      this.#quietest.copyWithin(0, 1);
      this.#quietest[last] = level;
    } else this.#quietest[last] = Math.min(this.#quietest[last] ?? level, level);
    let floor = Infinity; // by hand: to spread them would make an array a frame
    for (const quietest of this.#quietest) floor = Math.min(floor, quietest);
    this.#floor = Math.max(FLOOR_MIN_DBFS, floor);
  }
}

function bits(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}
