/** Ends this process when its event loop stands still, so that others bury the machine and go on with its calls. */

import type { Cancel, Clock } from "./clock.ts";
import { TICKS, type ToWatchdog } from "./watchdog_beats.ts";

export interface WatchdogOptions {
  readonly clock: Clock;
  /** The loop may stand still for so long; 0: for as long as it likes, as under a debugger. */
  readonly stuckMs: number;
}

/** Beats until it is cancelled; a Worker of its own sees when the beats stay away. */
export function watchOver({ clock, stuckMs }: WatchdogOptions): Cancel {
  if (stuckMs === 0) return () => {};
  const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const worker = new Worker(new URL("./watchdog_worker.ts", import.meta.url), { type: "module" });
  const message: ToWatchdog = { beats, stuckMs };
  worker.postMessage(message);
  let cancel = clock.timer(0, beat);
  function beat(): void {
    Atomics.add(beats, 0, 1);
    cancel = clock.timer(stuckMs / TICKS / 2, beat);
  }
  return () => {
    cancel();
    worker.terminate();
  };
}
