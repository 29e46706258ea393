/** Loaded before a server that a load measures: at each SIGUSR2 it collects all garbage and prints the bytes that are left. */

import { systemClock } from "@/lib/clock.ts";

/** What finalisers let go of is garbage of the next round. */
const ROUNDS = 3;
const PAUSE_MS = 20;

/** There with `--v8-flags=--expose-gc`. */
const { gc } = globalThis as unknown as { gc(): void };

function collect(left: number): void {
  gc();
  if (left > 0) return void systemClock.timer(PAUSE_MS, () => collect(left - 1));
  const { heapUsed, external } = Deno.memoryUsage();
  Deno.stdout.writeSync(new TextEncoder().encode(`held ${heapUsed + external}\n`));
}

Deno.addSignalListener("SIGUSR2", () => collect(ROUNDS - 1));
