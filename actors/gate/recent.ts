/** Answers of the last second: looked up once however many ask, and dropped when they are stale. */

import type { Clock } from "@/lib/clock.ts";

export interface Answer<T> {
  readonly value: T;
  /** Milliseconds of the wall clock from which on it is wrong; null: from none that is known. */
  readonly untilMs: number | null;
}

export interface Recent<T> {
  /** The answer that is held, or the look-up that is on its way; null: neither. */
  get(name: string): T | Promise<T> | null;
  /** Looks up, unless `get` has it. A failure is told to all who wait for it, and not held. */
  ask(name: string, find: () => Promise<Answer<T>>): T | Promise<T>;
  /** Drops what is stale, and what is on its way: it may have read what was there before. */
  drop(isStale: (value: T) => boolean): void;
}

export interface RecentOptions {
  readonly clock: Clock;
  /** Of an answer, from the moment at which its look-up began. */
  readonly maxAgeMs: number;
  /** Answers held at once; the oldest goes first. */
  readonly max: number;
}

interface Held<T> {
  readonly since: number;
  readonly asked: Promise<T>;
  /** Null while it is on its way. */
  answer: Answer<T> | null;
}

export function newRecent<T>({ clock, maxAgeMs, max }: RecentOptions): Recent<T> {
  /** In the order in which they were asked for. */
  const held = new Map<string, Held<T>>();

  function isOver({ since, answer }: Held<T>): boolean {
    if (clock.now() - since >= maxAgeMs) return true;
    const until = answer?.untilMs ?? null;
    return until !== null && clock.date().getTime() >= until;
  }

  function get(name: string): T | Promise<T> | null {
    const found = held.get(name);
    if (found === undefined || isOver(found)) return null;
    return found.answer === null ? found.asked : found.answer.value;
  }

  /** Makes room: by what is over, and by the oldest where that is not enough. */
  function shrink(): void {
    for (const [name, one] of held) {
      if (held.size <= max && clock.now() - one.since < maxAgeMs) return;
      held.delete(name);
    }
  }

  function ask(name: string, find: () => Promise<Answer<T>>): T | Promise<T> {
    const found = get(name);
    if (found !== null) return found;
    const { promise: asked, resolve, reject } = Promise.withResolvers<T>();
    const one: Held<T> = { since: clock.now(), asked, answer: null };
    held.delete(name); // so that it stands last
    held.set(name, one);
    shrink();
    find().then((answer) => {
      one.answer = answer;
      resolve(answer.value);
    }, (error) => {
      if (held.get(name) === one) held.delete(name);
      reject(error);
    });
    return asked;
  }

  return {
    get,
    ask,
    drop(isStale) {
      for (const [name, { answer }] of held) {
        if (answer === null || isStale(answer.value)) held.delete(name);
      }
    },
  };
}
