/** The floor: a growing ring per actor and one microtask for all. No bounds, no supervision, no fairness. */

import type { Contender, Counted } from "./contender.ts";

let ready: Bare[] = [];
let armed = false;

class Bare {
  #slots: (Counted | undefined)[] = [];
  #head = 0;
  #tail = 0;
  #queued = false;
  readonly #handle: (message: Counted) => void;

  constructor(handle: (message: Counted) => void) {
    this.#handle = handle;
  }

  push(message: Counted): void {
    if (this.#tail - this.#head === this.#slots.length) this.#grow();
    this.#slots[this.#tail++ & (this.#slots.length - 1)] = message;
    if (this.#queued) return;
    this.#queued = true;
    ready.push(this);
    if (armed) return;
    armed = true;
    queueMicrotask(drainAll);
  }

  drain(): void {
    while (this.#head !== this.#tail) {
      const index = this.#head++ & (this.#slots.length - 1);
      const message = this.#slots[index];
      this.#slots[index] = undefined;
      if (message !== undefined) this.#handle(message);
    }
    this.#queued = false;
  }

  #grow(): void {
    const length = this.#tail - this.#head;
    const slots = new Array<Counted | undefined>(Math.max(8, length * 2));
    for (let i = 0; i < length; i++) slots[i] = this.#slots[(this.#head + i) & (length - 1)];
    this.#slots = slots;
    this.#head = 0;
    this.#tail = length;
  }
}

function drainAll(): void {
  while (ready.length > 0) {
    const batch = ready;
    ready = [];
    for (const bare of batch) bare.drain();
  }
  armed = false;
}

export const floor: Contender<Bare> = {
  scale: 1,
  spawn: (handle) => new Bare(handle),
  tell: (actor, n) => actor.push({ n }),
  ask: (actor, n) => new Promise((reply) => actor.push({ n, reply })),
};
