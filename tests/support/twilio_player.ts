/** What Twilio plays to the caller: a queue of audio and marks, drained at 8,000 bytes a second. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";

export interface PlayerOptions {
  readonly clock: Clock;
  /** Clock time of byte 0 of `played`; now when absent. */
  readonly originMs?: number;
  /** A mark is due: the audio before it has played, or was cleared. Called within the same instant. */
  mark(name: string): void;
}

export interface Player {
  audio(audio: Uint8Array): void;
  mark(name: string): void;
  /** Drops what has not played; all pending marks are due at once, in order. */
  clear(): void;
  /** What the caller has heard so far, byte by byte from the origin, silence where nothing played. */
  played(): Uint8Array;
  /** The same as pieces with the clock time at which each began. A piece is audio that came in one message. */
  pieces(): readonly PlayedPiece[];
  /** Clock time at which the queue runs dry; now or earlier when it has. */
  endsAtMs(): number;
  /** The stream is over: nothing more plays, no mark is due any more, and `played` ends here. */
  stop(): void;
}

export interface PlayedPiece {
  readonly atMs: number;
  readonly audio: Uint8Array;
}

/** Positions are whole samples from the origin, so nothing drifts. */
interface Piece {
  readonly start: number;
  readonly audio: Uint8Array;
}
interface PendingMark {
  readonly name: string;
  readonly at: number;
}

/** Binary fractions of a millisecond do not add up exactly: far below a sample, far above the error. */
const ROUNDING_SAMPLES = 1e-5;

export function newPlayer(options: PlayerOptions): Player {
  const { clock } = options;
  const origin = options.originMs ?? clock.now();
  const pieces: Piece[] = [];
  const marks: PendingMark[] = [];
  let end = 0; // where the queued audio ends
  let cancel: Cancel | undefined;
  let stoppedAt = Infinity; // position at which the stream ended

  /** Samples whose last instant has passed. */
  function position(): number {
    const now = Math.floor((clock.now() - origin) * BYTES_PER_MS + ROUNDING_SAMPLES);
    return Math.min(now, stoppedAt);
  }

  /** Tells the marks that are due, and wakes for the next. */
  function tell(): void {
    cancel?.();
    cancel = undefined;
    while (true) {
      const next = marks[0];
      if (next === undefined) return;
      const waitSamples = next.at - (clock.now() - origin) * BYTES_PER_MS;
      if (waitSamples > ROUNDING_SAMPLES) {
        cancel = clock.timer(waitSamples / BYTES_PER_MS, tell);
        return;
      }
      marks.shift();
      options.mark(next.name);
    }
  }

  /** Forgets what is queued behind the position. */
  function truncate(): void {
    const now = position();
    while ((pieces.at(-1)?.start ?? -1) >= now) pieces.pop();
    const last = pieces.at(-1);
    if (last !== undefined && last.start + last.audio.length > now) {
      pieces[pieces.length - 1] = { ...last, audio: last.audio.slice(0, now - last.start) };
    }
    end = Math.min(end, now);
  }

  return {
    audio(audio) {
      if (stoppedAt < Infinity || audio.length === 0) return;
      const now = Math.ceil((clock.now() - origin) * BYTES_PER_MS - ROUNDING_SAMPLES);
      const start = Math.max(end, now);
      pieces.push({ start, audio });
      end = start + audio.length;
    },
    mark(name) {
      if (stoppedAt < Infinity) return;
      marks.push({ name, at: end });
      if (marks.length === 1) tell();
    },
    clear() {
      truncate();
      cancel?.();
      cancel = undefined;
      for (const { name } of marks.splice(0)) options.mark(name);
    },
    played() {
      const heard = new Uint8Array(Math.max(0, position())).fill(SILENCE);
      for (const { start, audio } of pieces) {
        if (start < heard.length) heard.set(audio.subarray(0, heard.length - start), start);
      }
      return heard;
    },
    pieces() {
      const now = position();
      return pieces.filter(({ start }) => start < now).map(({ start, audio }) => ({
        atMs: origin + start / BYTES_PER_MS,
        audio: audio.subarray(0, now - start),
      }));
    },
    endsAtMs: () => origin + end / BYTES_PER_MS,
    stop() {
      stoppedAt = position();
      truncate();
      marks.length = 0;
      cancel?.();
      cancel = undefined;
    },
  };
}
