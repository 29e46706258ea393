/** PostgreSQL restarts, and all of three machines are killed, one after the other, while callers talk: nobody is lost. */

import assert from "node:assert/strict";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { KINDS } from "@/tests/load/faults/kinds.ts";
import { failures } from "@/tests/load/faults/record.ts";
import { struck } from "@/tests/support/struck.ts";

const RESTART = { kind: KINDS.postgres, victim: 1, leases: 0, awayMs: 500 };

Deno.test("calls go on over a restart of the database and kill -9 of each machine, and no lease is waited for", async () => {
  const kills = [1, 2, 3].map((victim) => ({ ...RESTART, kind: KINDS.kill9, victim }));
  const verdict = await struck([RESTART, ...kills]);
  assert.equal(failures(verdict), 0, JSON.stringify(verdict));
  assert.ok(verdict.struck > 0 && verdict.writes > 0, JSON.stringify(verdict));
  assert.equal(verdict.resumed, verdict.struck);
  assert.ok(Number(verdict.silenceP99Ms) < TIMINGS.ttlMs, JSON.stringify(verdict));
});
