/** Whose code runs: follows an actor's callbacks and work through their promises, so that a stray rejection finds its actor. */

import { AsyncLocalStorage } from "node:async_hooks";

/** Who takes the blame for what its code throws. */
export interface Blamed {
  fail(error: unknown): void;
}

const blamed = new AsyncLocalStorage<Blamed | undefined>();

/** Runs `body`, and what it starts, in this name. */
export function inNameOf<T>(who: Blamed, body: () => T): T {
  return blamed.run(who, body);
}

/** Runs `body` in nobody's name: the scheduler is often woken by somebody's work, but serves all. */
export function inNobodysName(body: () => void): void {
  if (blamed.getStore() === undefined) body();
  else blamed.run(undefined, body);
}

/** In whose name this code runs; undefined in a handler, whose throws need no name. */
export function whoseCode(): Blamed | undefined {
  return blamed.getStore();
}
