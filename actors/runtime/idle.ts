/** Watches whether an actor has had nothing to do for so long that it is better stopped. */

import type { Cancel } from "@/lib/clock.ts";
import type { Cell } from "./cell.ts";
import { stop } from "./supervisor.ts";

/** Idle is: no message for so long, and nothing of its own under way (run, hold, stream, timer, child). */
export class IdleWatch {
  /** The scheduler's `stamp` of its last message. */
  lastAt: number;
  readonly #cell: Cell;
  readonly #afterMs: number;
  #cancel: Cancel;

  constructor(cell: Cell, afterMs: number) {
    this.#cell = cell;
    this.#afterMs = afterMs;
    this.lastAt = cell.entry.host.scheduler.stamp;
    this.#cancel = this.#lookIn(afterMs);
  }

  stop(): void {
    this.#cancel();
  }

  #lookIn(ms: number): Cancel {
    return this.#cell.entry.host.clock.timer(ms, () => this.#look());
  }

  #look(): void {
    const quietMs = Math.floor(this.#cell.entry.host.clock.now()) - this.lastAt;
    if (quietMs < this.#afterMs) this.#cancel = this.#lookIn(this.#afterMs - quietMs);
    else if (this.#isBusy()) this.#cancel = this.#lookIn(this.#afterMs);
    else stop(this.#cell, { type: "idle" }); // at once: a message between look and stop would be lost
  }

  #isBusy(): boolean {
    const { life, phase, control, media, signals } = this.#cell;
    if (phase !== "live" || life === null || signals !== null) return true;
    if (control.length > 0 || (media?.length ?? 0) > 0) return true;
    return (life.works?.size ?? 0) > 0 || (life.children?.size ?? 0) > 0;
  }
}
