/** One timer wheel for the deadlines of all asks: arming and disarming costs a list link, not a timer. */

import type { Cancel, Clock } from "@/lib/clock.ts";

/** How coarse a deadline is: it passes up to this much late, never early. */
export const WHEEL_TICK_MS = 10;
const SLOTS = 512; // 5.12 s a round; what is due later stays for another round

/** Something that is due at a time, unless it is disarmed before. */
export abstract class Deadline {
  /** On the clock of the wheel. */
  at = 0;
  /** Neighbours in its slot; both null when it is not armed. */
  previous: Deadline | null = null;
  next: Deadline | null = null;

  abstract expire(): void;
}

/** The fixed member of a slot's circle. */
class Slot extends Deadline {
  override previous: Deadline = this;
  override next: Deadline = this;

  expire(): void {}
}

export class Wheel {
  readonly #clock: Clock;
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => new Slot());
  #armed = 0;
  #tick = 0; // the last tick whose slot was gone through
  #cancel: Cancel | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many deadlines are armed. */
  get size(): number {
    return this.#armed;
  }

  arm(deadline: Deadline, at: number): void {
    if (this.#cancel === null) this.#start();
    deadline.at = at;
    const tick = Math.max(Math.ceil(at / WHEEL_TICK_MS), this.#tick + 1);
    const slot = this.#slot(tick);
    deadline.previous = slot.previous;
    deadline.next = slot;
    slot.previous.next = deadline;
    slot.previous = deadline;
    this.#armed++;
  }

  disarm(deadline: Deadline): void {
    if (deadline.previous === null || deadline.next === null) return;
    deadline.previous.next = deadline.next;
    deadline.next.previous = deadline.previous;
    deadline.previous = null;
    deadline.next = null;
    this.#armed--;
  }

  /** Lets go of the clock. Armed deadlines never pass. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #slot(tick: number): Slot {
    const slot = this.#slots[tick % SLOTS];
    if (slot === undefined) throw new RangeError(`No slot for tick ${tick}`);
    return slot;
  }

  #start(): void {
    this.#tick = Math.floor(this.#clock.now() / WHEEL_TICK_MS);
    this.#cancel = this.#clock.timer(WHEEL_TICK_MS, () => this.#turn());
  }

  #turn(): void {
    const now = this.#clock.now();
    const last = Math.floor(now / WHEEL_TICK_MS);
    // After a long pause of the process one round visits every slot: no need for more.
    const first = Math.max(this.#tick + 1, last - SLOTS + 1);
    this.#tick = last;
    for (let tick = first; tick <= last; tick++) this.#expire(this.#slot(tick), now);
    // It stops when nothing is armed, so that an idle system lets the process end.
    if (this.#armed === 0) this.#cancel = null;
    else this.#cancel = this.#clock.timer(WHEEL_TICK_MS, () => this.#turn());
  }

  #expire(slot: Slot, now: number): void {
    for (let deadline: Deadline = slot.next; deadline !== slot;) {
      const { next } = deadline;
      if (deadline.at <= now) {
        this.disarm(deadline);
        deadline.expire();
      }
      if (next === null) break;
      deadline = next;
    }
  }
}
