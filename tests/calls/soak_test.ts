/** A soak as small as a test may be; `SOAK_MINUTES` and `SOAK_CALLS` make it longer, and `bench soak` prints its figures. */

import assert from "node:assert/strict";
import { DEAD_AIR_MS, runSoak } from "@/tests/support/soak.ts";

const size = (name: string, usual: number): number => Number(Deno.env.get(name) ?? usual);

Deno.test("callers who talk, interrupt, hum, press keys and lose their line never wait in silence, and transcripts hold", async () => {
  const calls = size("SOAK_CALLS", 4);
  const { turns, deadAirMaxMs, missingWords: _, resumes: _resumes, ...rest } = await runSoak({
    ...{ calls, minutes: size("SOAK_MINUTES", 5) },
    seed: size("SOAK_SEED", 7),
  });
  assert.ok(turns > calls * 20, `${turns} turns`);
  assert.ok(deadAirMaxMs <= DEAD_AIR_MS, `${deadAirMaxMs} ms of dead air`);
  assert.deepEqual(rest, {
    ...{ calls, extraWords: 0, missingUnexcused: 0, framesAfterEnd: 0, deadAir: 0 },
    ...{ notEndedOnce: 0, actorsLeft: 0, timersLeft: 0 },
  });
});
