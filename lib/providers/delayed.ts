/** Latency for simulated providers: what a source says, a while later, while it goes on. */

import { type Clock, sleep } from "@/lib/clock.ts";

/** Items that have come and whose time has not; past this the source is not read on. */
const AHEAD_MAX = 64;

export interface DelayOptions {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal: AbortSignal;
}

/** An item, when it is due, and the one after it if that is already asked for. */
interface Link<T> {
  readonly result: IteratorResult<T>;
  readonly dueMs: number;
  readonly next: Promise<Link<T>> | null;
}

/** The items of `source`, each `ms` after it came. An abort throws the signal's reason at once. */
export async function* delayed<T>(
  source: AsyncIterator<T>,
  options: DelayOptions,
): AsyncGenerator<T, void, undefined> {
  const { clock, ms, signal } = options;
  let ahead = 0;

  function ask(): Promise<Link<T>> {
    const link = source.next().then((result) => {
      const next = !result.done && ++ahead < AHEAD_MAX ? ask() : null;
      return { result, dueMs: clock.now() + ms, next };
    });
    link.catch(() => {}); // thrown where it is awaited, which may be later
    return link;
  }

  for (let link = await ask();; link = await (link.next ?? ask())) {
    if (link.result.done) return;
    const waitMs = link.dueMs - clock.now();
    if (waitMs > 0) await sleep(clock, waitMs, signal);
    ahead--;
    yield link.result.value;
  }
}
