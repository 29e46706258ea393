/** A carrier's word on a call without an actor: however often and in whatever order it comes, it comes to the same. */

import assert from "node:assert/strict";
import { join, type Report, type Standing } from "@/actors/call/standing.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { randomHistory } from "@/tests/support/carrier_reports.ts";

const RUNS = Number(Deno.env.get("F7_RUNS") ?? 100_000);
const SEED = Number(Deno.env.get("F7_SEED") ?? 7);

const START = new Date("2026-01-05T09:00:00Z");
const LATER = new Date("2026-01-05T10:00:00Z");
const ringing: Standing = { phase: "open", startedAt: START, wasAnswered: false };
const answered: Standing = { ...ringing, wasAnswered: true };

Deno.test(`in ${RUNS} sequences of late, repeated and disordered reports a call ends as in order and once`, () => {
  const random = prng(SEED);
  for (let run = 0; run < RUNS; run++) {
    const { told, arriving } = randomHistory(random, START);
    const open: Standing = random() < 0.5 ? ringing : answered;
    const once: Standing = told.reduce<Standing>(
      (it, report) => join(it, report, report.at ?? START),
      open,
    );
    const got: Standing = arriving.reduce<Standing>(
      (it, { report, arrivedAt }) => join(it, report, arrivedAt),
      open,
    );
    assert.deepEqual(got, once, `F7_SEED=${SEED}, run ${run}`);
  }
});

Deno.test("what an end means depends on whether anybody had answered", () => {
  const report = (progress: Report["progress"]): Report => ({ progress, at: LATER });
  const rows = [
    [ringing, "completed", "failed", "never_connected"],
    [ringing, "busy", "busy", "carrier_ended"],
    [ringing, "no_answer", "no_answer", "carrier_ended"],
    [ringing, "canceled", "no_answer", "carrier_ended"],
    [ringing, "failed", "failed", "carrier_ended"],
    [answered, "completed", "failed", "crashed"],
  ] as const;
  for (const [standing, progress, outcome, reason] of rows) {
    const ended = join(standing, report(progress), LATER);
    assert.deepEqual(ended, { phase: "ended", ending: { outcome, reason }, endedAt: LATER });
  }
  for (const progress of ["queued", "ringing", "in_progress"] as const) {
    assert.equal(join(ringing, report(progress), LATER), ringing);
  }
});

Deno.test("an end is never before the start, nor in the future, and now when no time is told", () => {
  const ended = (at: Date | null) => join(ringing, { progress: "busy", at }, LATER);
  const endedAt = (at: Date | null) => {
    const it = ended(at);
    return it.phase === "ended" ? it.endedAt : null;
  };
  assert.deepEqual(endedAt(new Date(0)), START);
  assert.deepEqual(endedAt(new Date(+LATER + 1)), LATER);
  assert.deepEqual(endedAt(null), LATER);
});
