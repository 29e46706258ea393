/** A simulated caller: says its lines when the agent has fallen silent, or over it, and hangs up at the end. */

import { speak } from "@/lib/audio/modem.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { MediaStream } from "./twilio_media.ts";

export interface CallerOptions {
  readonly clock: Clock;
  readonly stream: Pick<MediaStream, "player" | "startedAtMs" | "say">;
  readonly lines: readonly string[];
  /** Says its first line so long after the agent began to speak, whether it has finished or not. */
  readonly bargeInAtMs?: number;
  /** An agent that says nothing is spoken to after this; 3 s when absent. */
  readonly patienceMs?: number;
  /** What to say now, in place of the lines; null: nothing. Asked when it is their turn. */
  next?(): string | null;
  /** True: the agent has spoken already, on the stream before. */
  readonly isTheirTurn?: boolean;
  /** Nothing is left to say, and the agent has been silent for LINGER_MS. */
  hangUp(): void;
  said?(line: Line): void;
}

export interface Line {
  readonly text: string;
  /** µ-law. */
  readonly audio: Uint8Array;
  readonly startedAtMs: number;
  readonly endsAtMs: number;
}

export interface Caller {
  readonly lines: readonly Line[];
  /** The agent has said all that it was about to, and waits. */
  readonly isTheirTurn: boolean;
  stop(): void;
}

const POLL_MS = 20;
/** People answer about half a second after the other has stopped. */
const ANSWER_MS = 500;
const PATIENCE_MS = 3_000;
const LINGER_MS = 4_000;

export function newCaller(options: CallerOptions): Caller {
  const { clock, stream } = options;
  const waiting = [...options.lines];
  const lines: Line[] = [];
  let cancel: Cancel = clock.timer(POLL_MS, poll);
  let heardUntil = stream.startedAtMs;
  let agentBeganAt: number | null = null;
  let hasHeard = options.isTheirTurn ?? false;
  /** Until when the agent had been heard when there was nothing to say. */
  let speechlessAt: number | null = null;

  function poll(): void {
    cancel = clock.timer(POLL_MS, poll);
    const now = clock.now();
    const endsAt = stream.player.endsAtMs();
    if (endsAt > now) {
      agentBeganAt ??= now;
      hasHeard = true;
    }
    heardUntil = Math.max(heardUntil, Math.min(endsAt, now));
    const spokeUntil = lines.at(-1)?.endsAtMs ?? stream.startedAtMs;
    if (now < spokeUntil) return;
    const silentFor = now - Math.max(heardUntil, spokeUntil);
    if (mayHaveMore()) {
      if (isMyTurn(now, silentFor)) say(now);
    } else if (silentFor >= Math.max(LINGER_MS, options.patienceMs ?? 0)) finish();
  }

  function mayHaveMore(): boolean {
    return options.next === undefined ? waiting.length > 0 : speechlessAt !== heardUntil;
  }

  function isMyTurn(now: number, silentFor: number): boolean {
    const { bargeInAtMs } = options;
    if (bargeInAtMs !== undefined && lines.length === 0 && agentBeganAt !== null) {
      return now - agentBeganAt >= bargeInAtMs;
    }
    return silentFor >= (hasHeard ? ANSWER_MS : options.patienceMs ?? PATIENCE_MS);
  }

  function say(now: number): void {
    const text = options.next === undefined ? waiting.shift() : options.next() ?? undefined;
    if (text === undefined) return void (speechlessAt = heardUntil);
    const { audio } = speak(text);
    const line = { text, audio, startedAtMs: now, endsAtMs: now + audio.length / 8 };
    lines.push(line);
    hasHeard = false; // what comes now answers this line
    void stream.say(audio);
    options.said?.(line);
  }

  function finish(): void {
    cancel();
    options.hangUp();
  }

  return {
    lines,
    get isTheirTurn() {
      return hasHeard && stream.player.endsAtMs() <= clock.now();
    },
    stop: () => cancel(),
  };
}
