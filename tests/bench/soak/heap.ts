/** Short calls, ten at a time in one process, and the heap after each tenth of them: prints MB as a JSON array. */

import { runSoak } from "@/tests/support/soak.ts";

const [calls = 1_000, looks = 10] = Deno.args.map(Number);
const CALLS_AT_ONCE = 10;

function collect(): void {
  const { gc } = globalThis as { readonly gc?: () => void }; // the flag of this process
  if (gc === undefined) throw new Error("Run with --v8-flags=--expose-gc");
  gc();
}

const heapMb: number[] = [];
for (let look = 0; look < looks; look++) {
  for (let from = 0; from < calls / looks; from += CALLS_AT_ONCE) {
    const size = Math.min(CALLS_AT_ONCE, calls / looks - from);
    await runSoak({ calls: size, minutes: 1, seed: look * 1_000 + from });
  }
  collect();
  heapMb.push(Math.round(Deno.memoryUsage().heapUsed / 1_048_576 * 1_000) / 1_000);
}
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(heapMb)));
