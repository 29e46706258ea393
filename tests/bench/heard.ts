/** Words of the transcript against words the caller heard, over seeded barge-ins at virtual time: `--cuts 200 [--seed 1]`. */

import { parseArgs } from "node:util";
import { systemClock } from "@/lib/clock.ts";
import { type CutsResult, runCuts } from "@/tests/support/cuts.ts";

/** Barge-ins of one call; then another with the next seed. */
const CUTS_PER_CALL = 10;
/** The carrier's delay each way: none, or a constant of the call up to this. */
const DELAY_MAX_MS = 80;
/** Added to every single message, order kept; reported apart. */
const JITTER_MS = 40;

interface Words {
  readonly cuts: number;
  readonly extraWords: number;
  readonly missingWords: number;
  readonly missingInFlight: number;
}

/** The figures of all calls, and of each kind of carrier: half of the cuts without delay, half with. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cuts: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
    },
  });
  const cuts = Number(values.cuts);
  const seed = Number(values.seed);
  const startedAt = systemClock.now();
  const atOnce = await cutCalls({ cuts: Math.ceil(cuts / 2), seed, delayMaxMs: 0 });
  const delayed = await cutCalls({ cuts: Math.floor(cuts / 2), seed, delayMaxMs: DELAY_MAX_MS });
  const jittered = await cutCalls({
    cuts: Math.floor(cuts / 2),
    seed,
    delayMaxMs: DELAY_MAX_MS,
    jitterMs: JITTER_MS,
  });
  return {
    ...add(atOnce, delayed),
    atOnce,
    delayed,
    jittered,
    seconds: Math.round((systemClock.now() - startedAt) / 100) / 10,
  };
}

interface Options {
  readonly cuts: number;
  readonly seed: number;
  readonly delayMaxMs: number;
  readonly jitterMs?: number;
}

/** Calls until so many utterances have been cut off. */
async function cutCalls({ cuts, seed, ...carrier }: Options): Promise<Words> {
  let total: Words = { cuts: 0, extraWords: 0, missingWords: 0, missingInFlight: 0 };
  for (let call = 0; total.cuts < cuts; call++) {
    const left = Math.min(CUTS_PER_CALL, cuts - total.cuts);
    total = add(total, wordsOf(await runCuts({ seed: seed + call, cuts: left, ...carrier })));
  }
  return total;
}

function wordsOf({ cuts, extra, missing, missingInFlight }: CutsResult): Words {
  return {
    cuts,
    extraWords: extra.length,
    missingWords: missing.length,
    missingInFlight: missingInFlight.length,
  };
}

function add(a: Words, b: Words): Words {
  return {
    cuts: a.cuts + b.cuts,
    extraWords: a.extraWords + b.extraWords,
    missingWords: a.missingWords + b.missingWords,
    missingInFlight: a.missingInFlight + b.missingInFlight,
  };
}
