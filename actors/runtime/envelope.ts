/** A message on its way, with where it came from. */

import type { Message } from "./actor.ts";

/** What a message belongs to: an ask, a piece of work, or the life of an actor that made a guarded callback. */
export interface Origin {
  /** False: nobody waits for this message any more, it must not be handled. */
  readonly live: boolean;
  /** The message is about to be handled. */
  taken(): void;
  /** The message will never be handled. `why` is said to whoever waits for an answer. */
  refused(why: Refusal): void;
}

export type Refusal = "mailbox_full" | "actor_stopped" | "draining" | "poison";

export interface Envelope {
  readonly message: Message;
  /** Null for a plain send. */
  readonly origin: Origin | null;
  /** The scheduler's `stamp` when it was sent. */
  readonly at: number;
}
