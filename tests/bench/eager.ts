/** What replies made in advance save, and what wrong guesses cost, at virtual time: `eager [--turns 100] [--seed 1]`. */

import { parseArgs } from "node:util";
import { type PausingResult, runPausing } from "@/tests/support/pausing_caller.ts";

/** Of the turns, those in which the caller pauses long enough for a wrong guess. */
const PAUSE_SHARE = 0.3;

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      turns: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
    },
  });
  const turns = Number(values.turns);
  const options = { seed: Number(values.seed), turns, pauseShare: PAUSE_SHARE };
  const patient = await runPausing({ ...options, isEager: false });
  const eager = await runPausing({ ...options, isEager: true });
  const patientGapMs = median(patient.gapsMs);
  const eagerGapMs = median(eager.gapsMs);
  return {
    turns,
    patientGapMs,
    eagerGapMs,
    savedMs: Math.round((patientGapMs - eagerGapMs) * 10) / 10,
    wastedReplies: eager.wastedReplies,
    wastedTokens: eager.wastedTokens,
    sideEffects: sideEffectsOf(eager),
    missedTurns: 2 * turns - patient.callerTurns - eager.callerTurns,
  };
}

/** Functions that no turn of the caller asked for. */
function sideEffectsOf({ functionsCalled, callerTurns }: PausingResult): number {
  return functionsCalled - callerTurns;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
