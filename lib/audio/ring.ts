/** The last seconds of a stream of audio, in one buffer: frames that are kept one by one cost the collector more than the call. */

/** Changed in place. Places are bytes since the stream's beginning. */
export class AudioRing {
  readonly #buffer: Uint8Array;
  #received = 0;

  /** Keeps `bytes`, of which none is taken before it is written. */
  constructor(bytes: number) {
    this.#buffer = new Uint8Array(bytes);
  }

  /** All that has been pushed. */
  get received(): number {
    return this.#received;
  }

  /** The place of the oldest byte that is kept. */
  get from(): number {
    return Math.max(0, this.#received - this.#buffer.length);
  }

  push(audio: Uint8Array): void {
    const place = this.#received % this.#buffer.length;
    if (place + audio.length <= this.#buffer.length) { // as almost always
      this.#buffer.set(audio, place);
      this.#received += audio.length;
      return;
    }
    const kept = audio.length > this.#buffer.length ? audio.subarray(-this.#buffer.length) : audio;
    const skipped = audio.length - kept.length;
    const at = (this.#received + skipped) % this.#buffer.length;
    const first = kept.subarray(0, this.#buffer.length - at);
    this.#buffer.set(first, at);
    if (first.length < kept.length) this.#buffer.set(kept.subarray(first.length), 0);
    this.#received += audio.length;
  }

  /** A copy of what is kept from `place` on. */
  since(place: number): Uint8Array<ArrayBuffer> {
    const from = Math.max(this.from, place);
    const copy = new Uint8Array(Math.max(0, this.#received - from));
    const at = from % this.#buffer.length;
    const first = this.#buffer.subarray(at, at + copy.length);
    copy.set(first);
    if (first.length < copy.length) {
      copy.set(this.#buffer.subarray(0, copy.length - first.length), first.length);
    }
    return copy;
  }
}
