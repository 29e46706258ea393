/** A simulated caller of a call that the carrier hears and speaks for: says its lines in words, and reads what it hears. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import { type RelayStream, WORD_MS } from "./twilio_relay.ts";

export interface RelayCallerOptions {
  readonly clock: Clock;
  readonly relay: Pick<RelayStream, "heard" | "say">;
  readonly lines: readonly string[];
  /** Says its first line so long after the agent began to speak, whether it has finished or not. */
  readonly bargeInAtMs?: number;
  /** Nothing is left to say, and the agent has been silent for LINGER_MS. */
  hangUp(): void;
}

export interface RelayCaller {
  stop(): void;
}

const POLL_MS = 20;
/** Behind the end of a word another may follow; people answer about half a second after the other has stopped. */
const ANSWER_MS = WORD_MS + 500;
/** An agent that says nothing is spoken to after this. */
const PATIENCE_MS = 3_000;
const LINGER_MS = 4_000;

export function newRelayCaller(options: RelayCallerOptions): RelayCaller {
  const { clock, relay } = options;
  const waiting = [...options.lines];
  let cancel: Cancel = clock.timer(POLL_MS, poll);
  let silentSince = clock.now();
  let count = 0;
  /** When the agent began to speak, as far as its first word tells; null: it has not since the last line. */
  let agentBeganAt: number | null = null;
  let hasSpoken = false;

  function poll(): void {
    cancel = clock.timer(POLL_MS, poll);
    const now = clock.now();
    const heard = relay.heard().length;
    if (heard > count) {
      agentBeganAt ??= now - WORD_MS;
      silentSince = now;
      count = heard;
    }
    if (now < silentSince) return; // it is speaking itself
    if (waiting.length === 0) {
      if (now - silentSince < LINGER_MS) return;
      cancel();
      return options.hangUp();
    }
    if (isMyTurn(now)) say(now);
  }

  function isMyTurn(now: number): boolean {
    const { bargeInAtMs } = options;
    if (bargeInAtMs !== undefined && !hasSpoken && agentBeganAt !== null) {
      return now - agentBeganAt >= bargeInAtMs;
    }
    return now - silentSince >= (agentBeganAt === null ? PATIENCE_MS : ANSWER_MS);
  }

  function say(now: number): void {
    const text = waiting.shift();
    if (text === undefined) return;
    relay.say(text);
    hasSpoken = true;
    agentBeganAt = null;
    silentSince = now + text.split(" ").length * WORD_MS;
  }

  return { stop: () => cancel() };
}
