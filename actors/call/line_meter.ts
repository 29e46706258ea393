/** Measures a media socket's line: what has come in on it, and how evenly. */

/** Half of the time that is looked back on. */
const HALF_FRAMES = 250; // five seconds

/** Changed in place: it belongs to one leg, and sees fifty frames a second. */
export class LineMeter {
  #frames = 0;
  #now = { earliest: Infinity, latest: -Infinity };
  #before = { earliest: Infinity, latest: -Infinity };

  /** A frame came in at `now`, stamped `atMs` by the carrier. Two clocks: only differences count. */
  frame(now: number, atMs: number): void {
    if (this.#frames++ % HALF_FRAMES === 0) {
      this.#before = this.#now;
      this.#now = { earliest: Infinity, latest: -Infinity };
    }
    const delay = now - atMs;
    this.#now.earliest = Math.min(this.#now.earliest, delay);
    this.#now.latest = Math.max(this.#now.latest, delay);
  }

  /** The least of arrival less stamp, lately; Infinity before anything came. */
  get earliestMs(): number {
    return Math.min(this.#now.earliest, this.#before.earliest);
  }

  /** Frames so far; and how much their delay has varied lately, Infinity before anything is known. */
  get reading(): { readonly frames: number; readonly jitterMs: number } {
    const latest = Math.max(this.#now.latest, this.#before.latest);
    const earliest = Math.min(this.#now.earliest, this.#before.earliest);
    const frames = this.#frames;
    return { frames, jitterMs: frames === 0 ? Infinity : latest - earliest };
  }
}
