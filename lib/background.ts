/** Work that no answer waits for, as a mail on its way: bounded, logged when it fails, and ended at the close. */

import { type Clock, deadline } from "./clock.ts";
import { AppError } from "./errors.ts";
import type { Log } from "./log.ts";

/** Of all kinds together; one more is dropped and logged. */
export const RUNNING_MAX = 256;
const WORK_MS = 60_000;
/** What still runs at the close has this long. */
const CLOSE_MS = 5_000;

export interface Background {
  /** Lost with the process: for what its asker can ask for again. */
  start(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /** Waits for what runs, then aborts it. */
  close(): Promise<void>;
}

export function newBackground(options: { readonly clock: Clock; readonly log: Log }): Background {
  const { clock, log } = options;
  const running = new Set<Promise<void>>();
  const closing = new AbortController();

  async function run(
    name: string,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const late = () => new AppError("unknown_outcome", `"${name}" took over ${WORK_MS} ms`);
    const life = deadline(clock, WORK_MS, late);
    try {
      await work(AbortSignal.any([life.signal, closing.signal]));
    } catch (error) {
      log.error("background work failed", { work: name, error });
    } finally {
      life.cancel();
    }
  }

  return {
    start(name, work) {
      if (running.size >= RUNNING_MAX || closing.signal.aborted) {
        return log.error("background work dropped", { work: name });
      }
      const done = run(name, work).finally(() => running.delete(done));
      running.add(done);
    },
    async close() {
      const closed = () => new AppError("draining", "The house is closing");
      const cancel = clock.timer(CLOSE_MS, () => closing.abort(closed()));
      await Promise.all(running);
      cancel();
      closing.abort(closed());
    },
  };
}
