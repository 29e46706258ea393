/** Every fault of every provider in a live call, over sockets and in real time: what its caller hears meanwhile. */

import assert from "node:assert/strict";
import { startFaultHouse } from "@/tests/support/fault_call.ts";
import {
  faultsOf,
  loneFaultsOf,
  runFaultCells,
  runLoneCells,
} from "@/tests/support/fault_cells.ts";

/** Calls of each of the 42 cells, and how many of them at a time: in CI each once. */
const RUNS = Number(Deno.env.get("FAULT_RUNS") ?? "1");
const PARALLEL = Number(Deno.env.get("FAULT_PARALLEL") ?? "14");

Deno.test("whatever a provider does, the caller is answered within 4 s, and others hear nothing of it", async (t) => {
  const house = await startFaultHouse();
  const { cells, beside } = await runFaultCells({
    house,
    runs: RUNS,
    parallel: PARALLEL,
    well: 1,
    before: 0,
  });
  await house.close();
  for (const { part, toxic, calls } of cells) {
    await t.step(`${part}: ${toxic}`, () => {
      assert.equal(calls.length, RUNS);
      for (const call of calls) assert.deepEqual(faultsOf(toxic, call), [], call.notes.join("; "));
    });
  }
  await t.step("another company's calls beside them", () => {
    for (const call of beside) assert.deepEqual(faultsOf(null, call), [], call.notes.join("; "));
  });
});

Deno.test("where a provider has no other beside it, the caller hears a word within 4 s, and no call just ends", async (t) => {
  const house = await startFaultHouse();
  const cells = await runLoneCells(house);
  await house.close();
  for (const { part, toxic, calls } of cells) {
    await t.step(`${part}: ${toxic}`, () => {
      for (const call of calls) assert.deepEqual(loneFaultsOf(call), [], call.notes.join("; "));
    });
  }
});
