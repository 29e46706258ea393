/**
 * What becomes of live calls when a machine fails: `faults --kind kill9 [--calls 10] [--nodes 3] [--times 1]`. Of so
 * many times `--a-round` strike the same calls, one after the other.
 * Whole machines, a real PostgreSQL, the simulated carrier; each caller hears, and says again what nobody has taken.
 */

import { parseArgs } from "node:util";
import { connect } from "@/db/client.ts";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import type { Fallen } from "@/tests/load/faults/calls.ts";
import { isFault, type KindOfFault, KINDS } from "@/tests/load/faults/kinds.ts";
import { failures, judge } from "@/tests/load/faults/record.ts";
import { round, type Strike } from "@/tests/load/faults/round.ts";
import { failed, watchMachines } from "@/tests/load/faults/watch.ts";
import { startMachines } from "./machines.ts";

const SCRIPT = { graph: demoAgent, lines: demoCaller };
const CALLS_MAX = 300;
/** A call of the demo lasts for no more of them. */
const STRIKES_MAX = 4;
const TALK_MS = 3_000;

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kind: { type: "string", default: "kill9" },
      calls: { type: "string", default: "10" },
      nodes: { type: "string", default: "3" },
      times: { type: "string", default: "1" },
      "a-round": { type: "string", default: "1" },
      leases: { type: "string", default: "1.5" },
      seconds: { type: "string", default: "5" },
      log: { type: "string", default: "error" },
    },
  });
  const { kind: name } = values;
  if (!isFault(name)) {
    const field = "--kind";
    throw new AppError("invalid", `${field} takes ${Object.keys(KINDS).join(", ")}`, { field });
  }
  const calls = whole("--calls", values.calls, CALLS_MAX);
  const nodes = whole("--nodes", values.nodes, 9);
  const times = whole("--times", values.times, 1_000);
  const aRound = whole("--a-round", values["a-round"], STRIKES_MAX);
  const leases = positive("--leases", values.leases, 100);
  const awayMs = positive("--seconds", values.seconds, 3_600) * 1_000;
  const kind: KindOfFault = KINDS[name];
  const { needs = {} } = kind;
  const env = { MAX_CALLS: String(2 * calls), LOG_LEVEL: values.log };
  const machines = await startMachines({ nodes, port: 0, env, needs });
  const database = await connect({
    at: { url: machines.postgres.url },
    clock: systemClock,
    log: silentLog,
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => void machines.close(0).then(() => Deno.exit(1)));
  }
  const all: Fallen[] = [];
  const watch = watchMachines(machines);
  try {
    const planned = Array.from({ length: times }, (_, nth): Strike => ({
      ...{ kind, victim: 1 + nth % nodes, leases, awayMs },
    }));
    for (let from = 0; from < times; from += aRound) {
      const strikes = planned.slice(from, from + aRound);
      const options = { calls, script: SCRIPT, strikes, talkMs: TALK_MS, watch };
      all.push(...await round(machines, options));
    }
    const verdict = await judge(database, all);
    const watched = await watch.close();
    return {
      kind: name,
      times,
      ...verdict,
      watched,
      failed: failures(verdict) + failed(watched, kind),
    };
  } finally {
    await database.close();
    await machines.close();
  }
}

function whole(field: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new AppError("invalid", `${field} takes a whole number from 1 to ${max}`, { field });
}

function positive(field: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= max) return value;
  throw new AppError("invalid", `${field} takes a number up to ${max}`, { field });
}
