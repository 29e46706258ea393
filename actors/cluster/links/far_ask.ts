/** An ask of an actor on another machine: it waits for its answer, its deadline or its abort, whichever comes first. */

import { Deadline, type Wheel } from "@/actors/runtime/wheel.ts";
import { AppError } from "@/lib/errors.ts";
import type { Asker, Parcel, Wire } from "./wire.ts";

/** An ask of an actor elsewhere. Settles once. */
export class FarAsk<T> extends Deadline implements Asker {
  readonly parcel: Parcel;
  readonly deadline: number;
  readonly #wheel: Wheel;
  readonly #resolve: (answer: T) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted: (() => void) | undefined;
  #isSettled = false;
  #wire: Wire | null = null;
  #number = 0;
  hops = 0;

  constructor(
    parcel: Parcel,
    deadline: number,
    { wheel, signal, resolve, reject }: {
      readonly wheel: Wheel;
      readonly signal: AbortSignal | undefined;
      readonly resolve: (answer: T) => void;
      readonly reject: (reason: unknown) => void;
    },
  ) {
    super();
    this.parcel = parcel;
    this.deadline = deadline;
    this.#wheel = wheel;
    this.#resolve = resolve;
    this.#reject = reject;
    wheel.arm(this, deadline);
    if (signal === undefined) return;
    this.#signal = signal;
    this.#aborted = () => this.fail(signal.reason);
    signal.addEventListener("abort", this.#aborted, { once: true });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** On its way over this wire. False: it was refused. */
  over(wire: Wire): boolean {
    const number = wire.ask(this);
    if (number === null) return false;
    this.#wire = wire;
    this.#number = number;
    return true;
  }

  /** It is not on its way any more: an answer came, that it is elsewhere. */
  returned(): void {
    this.#wire = null;
  }

  answer(answer: T): void {
    this.returned();
    if (this.#settle()) this.#resolve(answer);
  }

  fail(reason: unknown): void {
    if (this.#settle()) this.#reject(reason);
  }

  lost(): void {
    this.returned();
    const { kind, id } = this.parcel.address;
    const text =
      `The link to the machine of ${kind} "${id}" was lost: it may or may not have happened`;
    this.fail(new AppError("unknown_outcome", text));
  }

  unsent(): void {
    this.returned();
    this.fail(this.#outOfReach());
  }

  override expire(): void {
    if (this.#wire?.hasLeft(this.#number) === false) return this.fail(this.#outOfReach());
    const { kind, id } = this.parcel.address;
    const text = `No answer from ${kind} "${id}" in time: it may or may not have happened`;
    this.fail(new AppError("unknown_outcome", text));
  }

  #outOfReach(): AppError {
    const { kind, id } = this.parcel.address;
    const text = `The machine of ${kind} "${id}" is out of reach`;
    return new AppError("actor_stopped", text, { retryable: true });
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#wheel.disarm(this);
    if (this.#aborted !== undefined) this.#signal?.removeEventListener("abort", this.#aborted);
    this.#wire?.forget(this.#number);
    this.#wire = null;
    return true;
  }
}
