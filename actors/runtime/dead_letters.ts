/** Messages that nobody will handle: the last ones, and how many there were for each reason. */

import { Ring } from "./ring.ts";

const KEPT = 1000;

/**
 * full: its lane was at its bound; stopped: nobody was there; poison: it crashed its actor too often; lost: the
 * machine that it was for did not get it.
 */
export type DeadReason = "full" | "stopped" | "draining" | "poison" | "lost";

/** Never the payload. */
export interface DeadLetter {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly kind: string;
  readonly id: string;
  readonly type: string;
  readonly reason: DeadReason;
}

export class DeadLetters {
  readonly counts: Record<DeadReason, number> = {
    full: 0,
    stopped: 0,
    draining: 0,
    poison: 0,
    lost: 0,
  };
  readonly #last = new Ring<DeadLetter>();

  add(letter: DeadLetter): void {
    this.counts[letter.reason]++;
    if (this.#last.length === KEPT) this.#last.drop();
    this.#last.push(letter);
  }

  /** Newest first. */
  list(): DeadLetter[] {
    return this.#last.waiting().reverse();
  }
}
