/** Whole calls with an eager agent: sooner by what was made in advance, and otherwise the same. */

import assert from "node:assert/strict";
import { type PausingResult, runPausing } from "@/tests/support/pausing_caller.ts";

const OPTIONS = { seed: 1, turns: 12, pauseShare: 0.4 };

function said({ events }: PausingResult): string[] {
  return events.flatMap((it) =>
    it.type === "caller_said" || it.type === "agent_said" ? [it.text] : []
  );
}

function shortest({ gapsMs }: PausingResult): number {
  return Math.min(...gapsMs);
}

Deno.test("an eager agent answers at least 150 ms sooner, and says and does what a patient one does", async () => {
  const patient = await runPausing({ ...OPTIONS, isEager: false });
  const eager = await runPausing({ ...OPTIONS, isEager: true });
  assert.ok(shortest(patient) - shortest(eager) >= 150, `${shortest(patient)} ${shortest(eager)}`);
  assert.deepEqual(said(eager), said(patient));
  assert.equal(eager.callerTurns, OPTIONS.turns);
  assert.equal(eager.functionsCalled, OPTIONS.turns, "a wrong guess calls nothing");
  assert.ok(eager.wastedReplies > 0, "some guesses were wrong");
  assert.equal(patient.wastedReplies, 0);
});

Deno.test("on a machine that is hard pressed an eager agent is as a patient one, and eager again after it", async () => {
  const isPressed = (turn: number): boolean => turn >= 4 && turn < 8;
  const patient = await runPausing({ ...OPTIONS, isEager: false });
  const eager = await runPausing({ ...OPTIONS, isEager: true, isPressed });
  assert.deepEqual(said(eager), said(patient));
  assert.equal(eager.functionsCalled, OPTIONS.turns);
  const sooner = eager.gapsMs.map((gap, turn) => (patient.gapsMs[turn] ?? 0) - gap >= 150);
  const asked = eager.gapsMs.map((_, turn) => !isPressed(turn));
  assert.deepEqual(sooner.map((is, turn) => is && !asked[turn]).filter(Boolean), []);
  assert.ok(sooner.slice(0, 4).some(Boolean) && sooner.slice(8).some(Boolean), `${sooner}`);
  const always = await runPausing({ ...OPTIONS, isEager: true, isPressed: () => true });
  assert.deepEqual([always.wastedReplies, always.gapsMs], [0, patient.gapsMs]);
});
