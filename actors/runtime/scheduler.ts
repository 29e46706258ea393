/** Decides which actor takes its turn: one ready list, one microtask, and a yield to the event loop by budget. */

import { setImmediate } from "node:timers";
import type { Clock } from "@/lib/clock.ts";
import { inNobodysName } from "./blame.ts";
import { Ring } from "./ring.ts";

/** Messages one actor handles before others have their turn. */
const ACTOR_BUDGET = 64;
/** Messages handled before timers and sockets have their turn… */
const LOOP_BUDGET = 1024;
/** …or this much time, whichever comes first. */
const LOOP_MS = 1;
/** The clock is read once for so many messages: reading it costs more than handling one. */
const CLOCK_EVERY = 16;

/** What the scheduler runs. */
export interface Runnable {
  /** True while it stands in the ready list. */
  queued: boolean;
  /** Handles messages until none is left, `budget` is used up or `scheduler.spend()` says stop. True: there is more. */
  step(budget: number): boolean;
}

export interface SchedulerOptions {
  /** Index of the ready actor that goes next, of `count`. Then each goes for one message only. First come, first served when absent. */
  readonly pick?: (count: number) => number;
  /** Hands the event loop back and calls again after it. `setImmediate` when absent: 1.3 M a second, `setTimeout(0)` gives 500. */
  readonly yieldTo?: (resume: () => void) => void;
}

export class Scheduler {
  /** What runs right now; null between turns. */
  current: Runnable | null = null;
  /** The clock's time, up to CLOCK_EVERY messages old. */
  time: number;
  /** `time` in whole milliseconds. */
  stamp: number;
  yields = 0;

  readonly #clock: Clock;
  readonly #pick: ((count: number) => number) | null;
  readonly #yieldTo: (resume: () => void) => void;
  readonly #budget: number;
  readonly #ready = new Ring<Runnable>();
  readonly #run = (): void => inNobodysName(() => this.#turn());
  #armed = false;
  /** Messages handled since the event loop was last known to have turned. */
  #spent = 0;
  /** When the loop must be handed back; Infinity until we watch for its turn. */
  #loopEnds = Infinity;

  constructor(clock: Clock, options: SchedulerOptions = {}) {
    this.#clock = clock;
    this.#pick = options.pick ?? null;
    this.#yieldTo = options.yieldTo ?? ((resume) => void setImmediate(resume));
    this.#budget = options.pick === undefined ? ACTOR_BUDGET : 1;
    this.time = clock.now();
    this.stamp = Math.floor(this.time);
  }

  /** Gives it a turn soon. */
  ready(runnable: Runnable): void {
    if (runnable.queued) return;
    runnable.queued = true;
    this.#ready.push(runnable);
    if (this.#armed) return;
    this.#armed = true;
    if (this.#loopEnds === Infinity) this.#readClock(); // else it was read in this turn of the loop
    queueMicrotask(this.#run);
  }

  /** Counts one handled message. True when the event loop must be handed back. */
  spend(): boolean {
    if (++this.#spent % CLOCK_EVERY === 0) {
      this.#readClock();
      if (this.#loopEnds === Infinity) this.#watchLoop();
    }
    return this.#isOver();
  }

  /**
   * Learns when the event loop turns by itself. Budgets count from there and not from the start of
   * our microtask: actors and promises that wake each other chain microtasks for ever.
   */
  #watchLoop(): void {
    this.#loopEnds = this.time + LOOP_MS;
    this.#yieldTo(() => {
      this.#spent = 0;
      this.#loopEnds = Infinity;
    });
  }

  #isOver(): boolean {
    return this.#spent >= LOOP_BUDGET || this.time >= this.#loopEnds;
  }

  #readClock(): void {
    this.time = this.#clock.now();
    this.stamp = Math.floor(this.time);
  }

  #turn(): void {
    let isBroken = true;
    try {
      while (!this.#isOver()) {
        const runnable = this.#next();
        if (runnable === undefined) {
          this.#armed = false;
          isBroken = false;
          return;
        }
        runnable.queued = false;
        this.current = runnable;
        const more = runnable.step(this.#budget);
        this.current = null;
        if (more) this.ready(runnable);
      }
      isBroken = false;
      this.yields++;
      this.#yieldTo(this.#run); // comes after the watch, which resets the budget
    } finally {
      if (isBroken) this.#goOn();
    }
  }

  /** Actors contain their throws, so this one is a bug of the runtime: it is thrown, but others do not stand still. */
  #goOn(): void {
    this.current = null;
    this.#yieldTo(this.#run);
  }

  #next(): Runnable | undefined {
    if (this.#pick === null || this.#ready.length < 2) return this.#ready.shift();
    return this.#ready.takeAt(this.#pick(this.#ready.length));
  }
}
