/** A machine stands still for longer than its lease, and wakes up: its callers are others' by then. */

import assert from "node:assert/strict";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { KINDS } from "@/tests/load/faults/kinds.ts";
import { failures } from "@/tests/load/faults/record.ts";
import { struck } from "@/tests/support/struck.ts";

/** Of the others: to see it, and to have the carrier come back; on a machine that does other things as well. */
const SLACK_MS = 10_000;

Deno.test("calls of a machine that is stopped for longer than the lease go on elsewhere, and it writes nothing more of them", async () => {
  const strike = { kind: KINDS.sigstop, victim: "busiest", leases: 1.5, awayMs: 0 } as const;
  const verdict = await struck([strike]);
  assert.equal(failures(verdict), 0, JSON.stringify(verdict));
  assert.ok(verdict.struck > 0 && verdict.writes > 0, JSON.stringify(verdict));
  assert.equal(verdict.resumed, verdict.struck);
  assert.ok(Number(verdict.silenceP99Ms) < TIMINGS.ttlMs + SLACK_MS, JSON.stringify(verdict));
});
