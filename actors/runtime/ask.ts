/** A question that waits for its answer, its deadline or its abort, whichever comes first. */

import { AppError } from "@/lib/errors.ts";
import type { AskOptions, Message, Reply } from "./actor.ts";
import type { Cell } from "./cell.ts";
import type { Origin, Refusal } from "./envelope.ts";
import { Deadline } from "./wheel.ts";

/** How long an ask waits when its asker does not say. */
export const ASK_TIMEOUT_MS = 5_000;

class Ask<T> extends Deadline implements Origin {
  live = true;
  #begun = false;
  readonly #cell: Cell;
  readonly #resolve: (answer: T) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted: (() => void) | undefined;

  constructor(
    cell: Cell,
    resolve: (answer: T) => void,
    reject: (reason: unknown) => void,
    signal: AbortSignal | undefined,
  ) {
    super();
    this.#cell = cell;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal === undefined) return;
    this.#signal = signal;
    this.#aborted = () => this.#giveUp(signal.reason);
    signal.addEventListener("abort", this.#aborted, { once: true });
  }

  answer(answer: T): void {
    if (this.#settle()) this.#resolve(answer);
  }

  fail(reason: unknown): void {
    if (this.#settle()) this.#reject(reason);
  }

  taken(): void {
    this.#begun = true;
  }

  refused(why: Refusal): void {
    const { kind, id } = this.#cell;
    switch (why) {
      case "mailbox_full":
        return this.fail(
          new AppError(why, `Mailbox of ${kind} "${id}" is full`, { retryable: true }),
        );
      case "actor_stopped":
        return this.fail(new AppError(why, `Actor ${kind} "${id}" has stopped`));
      case "draining":
        return this.fail(drainingError());
      case "poison":
        return this.fail(
          new AppError("unknown_outcome", `Handling crashed ${kind} "${id}" too often`),
        );
    }
  }

  override expire(): void {
    this.#cell.entry.host.asksExpired++;
    this.#giveUp(unknownOutcome(this.#cell));
  }

  #giveUp(reason: unknown): void {
    this.fail(reason);
    if (!this.#begun) this.#cell.withdraw(this);
  }

  #settle(): boolean {
    if (!this.live) return false;
    this.live = false;
    this.#cell.entry.host.wheel.disarm(this);
    if (this.#aborted !== undefined) this.#signal?.removeEventListener("abort", this.#aborted);
    return true;
  }
}

/** Puts the question to the actor. See `Ref.ask`. */
export function ask<T>(
  cell: Cell,
  question: (reply: Reply<T>) => Message,
  options: AskOptions = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    if (signal?.aborted === true) return reject(signal.reason);
    const { host } = cell.entry;
    if (options.deadline !== undefined && options.deadline <= host.clock.now()) {
      return reject(unknownOutcome(cell));
    }
    if (cell.isAskedByItself()) {
      return reject(
        new Error(`Actor ${cell.kind} "${cell.id}" asks itself and would wait for ever`),
      );
    }
    const asked = new Ask<T>(cell, resolve, reject, signal);
    function reply(answer: T): void {
      asked.answer(answer);
    }
    reply.fail = (error: AppError): void => asked.fail(error);

    const message = question(reply);
    if (!cell.accept(message, asked)) return;
    const now = host.scheduler.time; // `accept` has woken the scheduler
    const deadline = options.deadline ?? now + (options.timeoutMs ?? ASK_TIMEOUT_MS);
    host.wheel.arm(asked, deadline);
  });
}

export function drainingError(): AppError {
  return new AppError("draining", "This machine takes no new work", { retryable: true });
}

function unknownOutcome(cell: Cell): AppError {
  const text = `No answer from ${cell.kind} "${cell.id}" in time: it may or may not have happened`;
  return new AppError("unknown_outcome", text, { retryable: false });
}
