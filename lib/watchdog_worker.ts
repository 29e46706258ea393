/** The Worker that watches the main thread's beats, and kills the process when they stay away. */

/// <reference lib="deno.worker" />

import { systemClock } from "./clock.ts";
import { type ToWatchdog, watchBeats } from "./watchdog_beats.ts";

self.onmessage = ({ data }: MessageEvent<ToWatchdog>) =>
  watchBeats(data, { clock: systemClock, stuck: () => end(data.stuckMs) });

/** The main thread writes no more logs, and no signal that it could catch would reach it. */
function end(stuckMs: number): void {
  const line = JSON.stringify({
    time: systemClock.date().toISOString(),
    level: "error",
    message: "the event loop stands still: this process ends",
    stuckMs,
  });
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
  Deno.kill(Deno.pid, "SIGKILL"); // itself: this takes no permission
}
