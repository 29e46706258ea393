/** Audio of one utterance on its way to the carrier: whole frames, at real time with a bounded lead. */

import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { START_MARK_BYTE } from "./ledger.ts";

/**
 * Audio sent ahead of real time. Larger survives a longer stall of ours; it costs nothing at a
 * barge-in, since `clear` drops it (voice.md 0.9: 200–400 ms).
 */
export const LEAD_MS = 400;
/**
 * Frames leave together, in one message: each message costs the same. It takes as much of the lead away
 * from the stalls that it survives.
 */
export const PIECE_MS = 100;
/** Audio that may wait: a reply of ten minutes. More is a synthesiser gone wrong. */
export const WAITING_MAX_BYTES = 600_000 * BYTES_PER_MS;

/**
 * What goes to the carrier, in order. Frames stay whole, since carriers that speak this protocol ask for
 * multiples of 160 bytes and leave gaps for less; a mark within a frame stands behind it, 20 ms late at most.
 */
export type Playable =
  /** One or more of them. */
  | { readonly type: "frames"; readonly audio: Uint8Array }
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

  /** When `take` has something to give, if nothing changes; Infinity when it waits for more. */
  get dueAt(): number {
    const mark = this.#marks[0];
    if (mark !== undefined && mark.atByte <= this.#sent) return -Infinity; // it came late
    if (!this.#hasFrame()) return this.#ended && mark !== undefined ? -Infinity : Infinity;
    if (this.#origin === null) return -Infinity;
    return this.#origin + this.#sent / BYTES_PER_MS + PIECE_MS - LEAD_MS;
  }

  /** What may be sent at `now`. */
  take(now: number): Playable[] {
    const out: Playable[] = [];
    this.#takeMarks(out); // those that came late
    if (this.#hasFrame()) {
      this.#keepTime(now);
      if (now >= this.dueAt) { while (this.#takeFrames(out, now)); }
    }
    if (this.#ended && this.#waiting === 0) this.#takeMarks(out, Infinity);
    return out;
  }

  #hasFrame(): boolean {
    return this.#waiting >= FRAME_BYTES || (this.#ended && this.#waiting > 0);
  }

  /** When the carrier has run dry, the time of what follows begins now. */
  #keepTime(now: number): void {
    const sentMs = this.#sent / BYTES_PER_MS;
    if (this.#origin === null || now - this.#origin > sentMs) this.#origin = now - sentMs;
  }

  /** Those that are due, up to the next mark; false when there are none. */
  #takeFrames(out: Playable[], now: number): boolean {
    const aheadMs = this.#sent / BYTES_PER_MS - (now - (this.#origin ?? now));
    const due = Math.floor((LEAD_MS - aheadMs) / FRAME_MS);
    const waiting = this.#waiting / FRAME_BYTES;
    const frames = Math.min(due, this.#ended ? Math.ceil(waiting) : Math.floor(waiting));
    if (frames < 1) return false;
    const upTo = Math.ceil(((this.#marks[0]?.atByte ?? Infinity) - this.#sent) / FRAME_BYTES);
    const bytes = Math.min(frames, upTo) * FRAME_BYTES;
    out.push({ type: "frames", audio: this.#next(bytes) });
    this.#sent += bytes;
    this.#takeMarks(out);
    return true;
  }

  #next(bytes: number): Uint8Array {
    const audio = new Uint8Array(bytes);
    let filled = 0;
    while (filled < bytes) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const piece = chunk.subarray(this.#chunkOffset, this.#chunkOffset + bytes - filled);
      audio.set(piece, filled);
      filled += piece.length;
      this.#chunkOffset += piece.length;
      if (this.#chunkOffset < chunk.length) continue;
      this.#chunks.shift();
      this.#chunkOffset = 0;
    }
    audio.fill(SILENCE, filled);
    this.#waiting -= filled;
    return audio;
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
