/** Audio of one utterance on its way to the carrier: frame by frame, at real time with a bounded lead. */

import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { START_MARK_BYTE } from "./ledger.ts";

/**
 * Audio sent ahead of real time. Larger survives a longer stall of ours; it costs nothing at a
 * barge-in, since `clear` drops it (voice.md 0.9: 200–400 ms).
 */
export const LEAD_MS = 300;
/** Audio that may wait: a reply of ten minutes. More is a synthesiser gone wrong. */
export const WAITING_MAX_BYTES = 600_000 * BYTES_PER_MS;

/**
 * What goes to the carrier, in order. Frames stay whole, since carriers that speak this protocol ask for
 * multiples of 160 bytes and leave gaps for less; a mark within a frame stands behind it, 20 ms late at most.
 */
export type Playable =
  | { readonly type: "frame"; readonly audio: Uint8Array }
  | { readonly type: "mark"; readonly name: string };

interface PlacedMark {
  readonly atByte: number;
  readonly name: string;
}

/**
 * The queue of one utterance. It is changed in place: it belongs to one incarnation of one speaker, and
 * a copy a frame would be a copy fifty times a second a call.
 */
export class Playout {
  #chunks: Uint8Array[] = [];
  #chunkOffset = 0;
  #waiting = 0;
  #sent = 0;
  #marks: PlacedMark[] = [];
  #ended = false;
  /** When the first byte would have been sent with no lead; moved when the queue has run dry. */
  #origin: number | null = null;

  /** False when the queue is at its bound and the audio was not taken. */
  add(audio: Uint8Array): boolean {
    if (this.#waiting + audio.length > WAITING_MAX_BYTES) return false;
    this.#chunks.push(audio);
    this.#waiting += audio.length;
    return true;
  }

  /** A mark for when `atByte` bytes have played: it goes out behind the frame of the last of them. That of the start, at 0, has a place of its own. */
  mark(atByte: number, name: string): void {
    this.#marks.push({ atByte: atByte === 0 ? START_MARK_BYTE : atByte, name });
  }

  /**
   * No more audio comes: the last frame is filled up with silence, and `name` marks its end. When all
   * was said, marks past the audio are of its end (word times may be estimates); when it broke off,
   * they are of words that have no audio, and go.
   */
  end(name: string, isComplete: boolean): void {
    this.#ended = true;
    const total = this.#sent + this.#waiting;
    if (!isComplete) this.#marks = this.#marks.filter((mark) => mark.atByte <= total);
    this.mark(Infinity, name);
  }

  /** True when everything, the last mark included, has been taken. */
  get isDone(): boolean {
    return this.#ended && this.#waiting === 0 && this.#marks.length === 0;
  }

  /** Bytes taken so far. */
  get sentBytes(): number {
    return this.#sent;
  }

  /** What may be sent at `now`. */
  take(now: number): Playable[] {
    const out: Playable[] = [];
    this.#takeMarks(out); // those that came late
    while (this.#hasFrame() && this.#isDue(now)) this.#takeFrame(out);
    if (this.#ended && this.#waiting === 0) this.#takeMarks(out, Infinity);
    return out;
  }

  #hasFrame(): boolean {
    return this.#waiting >= FRAME_BYTES || (this.#ended && this.#waiting > 0);
  }

  #isDue(now: number): boolean {
    const sentMs = this.#sent / BYTES_PER_MS;
    if (this.#origin === null || now - this.#origin > sentMs) this.#origin = now - sentMs; // it ran dry
    return sentMs + FRAME_MS <= now - this.#origin + LEAD_MS;
  }

  #takeFrame(out: Playable[]): void {
    out.push({ type: "frame", audio: this.#nextFrame() });
    this.#sent += FRAME_BYTES;
    this.#takeMarks(out);
  }

  #nextFrame(): Uint8Array {
    const frame = new Uint8Array(FRAME_BYTES);
    let filled = 0;
    while (filled < FRAME_BYTES) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const piece = chunk.subarray(this.#chunkOffset, this.#chunkOffset + FRAME_BYTES - filled);
      frame.set(piece, filled);
      filled += piece.length;
      this.#chunkOffset += piece.length;
      if (this.#chunkOffset < chunk.length) continue;
      this.#chunks.shift();
      this.#chunkOffset = 0;
    }
    frame.fill(SILENCE, filled);
    this.#waiting -= filled;
    return frame;
  }

  /** The marks that stand at or before the last byte sent, or before `end`. */
  #takeMarks(out: Playable[], end = this.#sent): void {
    for (;;) {
      const mark = this.#marks[0];
      if (mark === undefined || mark.atByte > end) return;
      this.#marks.shift();
      out.push({ type: "mark", name: mark.name });
    }
  }
}
