/**
 * A tape of one leg: what the caller said on the left, what they heard on the right, in one time.
 *
 * Both are placed by when the carrier's word came in: a frame of the caller ends when it arrived at the
 * soonest, and an utterance of the agent begins a frame before the mark of its first one came back. What
 * was sent behind it follows without a gap, unless it was sent too late; a `clear` ends it when its own
 * mark comes back. So nothing is placed for good before MARKS_MS have passed.
 */

import { BYTES_PER_MS, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { SAMPLE_BYTES } from "@/lib/recording/segments.ts";

/** What is placed waits so long for marks that move it. */
const MARKS_MS = 1_000;
/** It is given out in pieces of so much. */
export const PIECE_MS = 1_000;
const PIECE_SAMPLES = PIECE_MS * BYTES_PER_MS;
/** All that a tape holds: a piece, what waits for marks, and three times the lead of the playout. */
const WINDOW_SAMPLES = 3_000 * BYTES_PER_MS;
/** A frame whose stamp says that it is older than this is placed by its arrival. */
const LATE_MS = 1_000;
/** The line's delay may be known so much better before frames are moved: to move one costs a click. */
const MOVED_MS = 20;
/** A `clear` whose mark has not come back by then has been acted on. */
const CUT_WAIT_MS = 600;
/** Audio of the agent that waits to be placed: many times the lead of its playout. */
const QUEUE_MAX_BYTES = 10_000 * BYTES_PER_MS;

/** Interleaved µ-law; `at` counts samples from the recording's beginning. */
export interface TapePiece {
  readonly at: number;
  readonly audio: Uint8Array<ArrayBuffer>;
}

type Queued =
  | { readonly type: "audio"; readonly audio: Uint8Array; readonly sentAt: number }
  | { readonly type: "start"; readonly name: string }
  | { readonly type: "cut"; readonly name: string; readonly sentAt: number };

/** Changed in place: it belongs to one leg. Times are milliseconds on the system's clock. */
export class Tape {
  readonly #originMs: number;
  readonly #give: (piece: TapePiece) => void;
  readonly #window = new Uint8Array(WINDOW_SAMPLES * SAMPLE_BYTES).fill(SILENCE);
  /** The sample that the window begins with: all before it has been given out. */
  #from: number;
  /** Behind the last sample that is not silence. */
  #written = 0;
  /** Of the caller's frames: arrival less stamp. */
  #offsetMs: number | null = null;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Behind the last sample of the agent that was placed. */
  #agentEnd = 0;
  /** From sending to playing, both ways: the least that a mark has shown. */
  #delayMs: number | null = null;
  /** Samples that stay silent on both sides; the last may go on. */
  #pauses: { readonly from: number; readonly to: number }[] = [];

  /** `originMs` is when the recording began; nothing before `now` is on this tape. */
  constructor(options: {
    readonly originMs: number;
    readonly now: number;
    readonly isPaused: boolean;
    readonly give: (piece: TapePiece) => void;
  }) {
    this.#originMs = options.originMs;
    this.#give = options.give;
    this.#from = Math.max(0, this.#sample(options.now));
    if (options.isPaused) this.pause(options.now);
  }

  /** A frame of the caller, stamped `atMs`. `earliestMs` is the least of arrival less stamp that the line has shown. */
  caller(
    audio: Uint8Array,
    { now, atMs, earliestMs }: {
      readonly now: number;
      readonly atMs: number;
      readonly earliestMs: number;
    },
  ): void {
    this.#advance(now); // the window may have to go a long way
    const offsetMs = this.#offsetMs ?? earliestMs;
    this.#offsetMs = Math.abs(earliestMs - offsetMs) > MOVED_MS ? earliestMs : offsetMs;
    const stamped = this.#offsetMs + atMs;
    const arrived = now - stamped > LATE_MS ? now : stamped;
    this.#write(0, this.#sample(arrived - FRAME_MS), audio);
  }

  /** Audio goes to the carrier. */
  agent(audio: Uint8Array, now: number): void {
    if (this.#queuedBytes > QUEUE_MAX_BYTES) this.#place(Infinity, now);
    this.#queue.push({ type: "audio", audio, sentAt: now });
    this.#queuedBytes += audio.length;
    this.#advance(now);
  }

  /** A mark goes to the carrier, behind the first frame of an utterance. */
  start(name: string): void {
    this.#queue.push({ type: "start", name });
  }

  /** A `clear` goes to the carrier, right behind a mark of this name. */
  cut(name: string, now: number): void {
    this.#queue.push({ type: "cut", name, sentAt: now });
  }

  /** A mark came back. */
  marked(name: string, now: number): void {
    const index = this.#queue.findIndex((it) => it.type !== "audio" && it.name === name);
    const found = this.#queue[index];
    if (found?.type === "cut") return this.#cutAt(this.#sample(now), index);
    const isCut = this.#queue.some(({ type }) => type === "cut"); // then it may be dropped audio's
    if (found?.type === "start" && !isCut) this.#startAt(now, index);
  }

  pause(now: number): void {
    this.#pauses.push({ from: this.#sample(now), to: Infinity });
  }

  resume(now: number): void {
    this.#pauses = this.#pauses.map(({ from, to }) => ({
      from,
      to: to === Infinity ? this.#sample(now) : to,
    }));
  }

  /** The leg is over: gives out all up to now. What has not played by now is not heard. */
  end(now: number): void {
    this.#place(Infinity, now);
    const until = this.#sample(now);
    this.#silence(until);
    while (this.#from + PIECE_SAMPLES <= until) this.#take(PIECE_SAMPLES);
    if (until > this.#from) this.#take(until - this.#from);
  }

  #sample(ms: number): number {
    return Math.round((ms - this.#originMs) * BYTES_PER_MS);
  }

  /** Gives out what no mark can move any more. */
  #advance(now: number): void {
    const until = this.#sample(now - MARKS_MS);
    if (until - this.#from < PIECE_SAMPLES) return;
    this.#place(until, now);
    while (until - this.#from >= PIECE_SAMPLES) {
      if (this.#written > this.#from) this.#take(PIECE_SAMPLES);
      else this.#from = until; // of silence nothing need be said
    }
  }

  /** Puts what waits and begins before `until` where it will have played. */
  #place(until: number, now: number): void {
    let count = 0;
    for (const item of this.#queue) {
      if (item.type === "audio") {
        const at = this.#dueAt(item.sentAt);
        if (at >= until) break;
        this.#lay(item.audio, at);
      } else if (item.type === "cut") {
        if (until !== Infinity && now - item.sentAt < CUT_WAIT_MS) break;
        this.#silence(this.#sample(item.sentAt + (this.#delayMs ?? 0)));
      }
      count++;
    }
    this.#queue.splice(0, count);
  }

  #dueAt(sentAt: number): number {
    return Math.max(this.#agentEnd, this.#sample(sentAt + (this.#delayMs ?? 0)));
  }

  #lay(audio: Uint8Array, at: number): void {
    this.#write(1, at, audio);
    this.#agentEnd = at + audio.length;
    this.#queuedBytes -= audio.length;
  }

  /** The mark of an utterance's beginning stands behind its first frame. */
  #startAt(now: number, index: number): void {
    const before = this.#queue.splice(0, index + 1).flatMap((it) =>
      it.type === "audio" ? [it] : []
    );
    const first = before.pop();
    for (const { audio, sentAt } of before) this.#lay(audio, this.#dueAt(sentAt));
    if (first === undefined) return;
    const delayMs = Math.max(0, now - first.audio.length / BYTES_PER_MS - first.sentAt);
    this.#delayMs = Math.min(this.#delayMs ?? Infinity, delayMs);
    this.#lay(first.audio, Math.max(this.#agentEnd, this.#sample(now) - first.audio.length));
  }

  /** What was sent before a `clear` ends here. */
  #cutAt(at: number, index: number): void {
    for (const item of this.#queue.splice(0, index + 1)) {
      if (item.type === "audio") this.#lay(item.audio, this.#dueAt(item.sentAt));
    }
    this.#silence(at);
  }

  /** The agent's side falls silent from here on. */
  #silence(at: number): void {
    const { start, end } = this.#range(at, this.#agentEnd);
    for (let i = start; i < end; i++) this.#window[i * SAMPLE_BYTES + 1] = SILENCE;
    this.#agentEnd = Math.min(this.#agentEnd, at);
  }

  #write(side: 0 | 1, at: number, audio: Uint8Array): void {
    const { start, end } = this.#range(at, at + audio.length);
    const window = this.#window; // a field that is private costs, eight thousand times a second
    const offset = this.#from - at;
    for (let i = start; i < end; i++) {
      window[i * SAMPLE_BYTES + side] = audio[i + offset] ?? SILENCE;
    }
    if (end > start) this.#written = Math.max(this.#written, this.#from + end);
  }

  /** What of these samples is in the window, as indexes into it. */
  #range(from: number, to: number): { start: number; end: number } {
    const start = Math.max(0, from - this.#from);
    return { start, end: Math.min(WINDOW_SAMPLES, to - this.#from) };
  }

  #take(count: number): void {
    for (const { from, to } of this.#pauses) {
      const { start, end } = this.#range(from, to);
      if (start < end) this.#window.fill(SILENCE, start * SAMPLE_BYTES, end * SAMPLE_BYTES);
    }
    const bytes = count * SAMPLE_BYTES;
    const piece = { at: this.#from, audio: this.#window.slice(0, bytes) };
    this.#window.copyWithin(0, bytes);
    this.#window.fill(SILENCE, this.#window.length - bytes);
    this.#from += count;
    this.#pauses = this.#pauses.filter(({ to }) => to > this.#from);
    this.#give(piece);
  }
}
