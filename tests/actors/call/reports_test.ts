/** A carrier's word on a live call, late, repeated, disordered, or before its API has answered. */

import assert from "node:assert/strict";
import { prng } from "@/tests/support/actor_kit.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { randomHistory } from "@/tests/support/carrier_reports.ts";

const RUNS = Number(Deno.env.get("F7_CALLS") ?? 100);
const SEED = Number(Deno.env.get("F7_SEED") ?? 7);
const START = new Date("2026-01-05T09:00:00Z");
const SID = `CA${"1".padStart(32, "0")}`;

async function endsOf(
  reports: readonly { readonly progress: Parameters<typeof send>[1] }[],
  dialedAfter: number,
) {
  const dialed = Promise.withResolvers<{ carrierCallId: string }>();
  const placed: string[] = [];
  const kit = callKit({
    direction: "outbound",
    deps: {
      carrier: {
        provider: "test",
        placeCall: () => dialed.promise,
        hangUp: () => Promise.resolve(),
      },
      savePlaced: (carrierCallId) => Promise.resolve(void placed.push(carrierCallId)),
    },
  });
  const answer = kit.call.ask<{ callId: string }>(
    (reply) => ({ type: "dial", from: "+15550001", to: "+15550002", reply }),
  );
  answer.catch(() => {}); // a call that is over may no longer answer
  await kit.kit.settle();
  for (const [nth, { progress }] of reports.entries()) {
    if (nth === dialedAfter) dialed.resolve({ carrierCallId: SID });
    send(kit, progress);
    await kit.kit.settle();
  }
  dialed.resolve({ carrierCallId: SID });
  await kit.kit.settle();
  const ends = kit.ends.map(({ outcome, reason }) => ({ outcome, reason }));
  await kit.close();
  return { ends, placed: [...new Set(placed)] };
}

function send(
  { call }: ReturnType<typeof callKit>,
  progress:
    | "queued"
    | "ringing"
    | "in_progress"
    | "completed"
    | "busy"
    | "no_answer"
    | "failed"
    | "canceled",
): void {
  call.send({ type: "progressed", carrierCallId: SID, progress });
}

Deno.test(`in ${RUNS} sequences a live call ends as in order and once, also before the carrier's API has answered`, async () => {
  const random = prng(SEED);
  for (let run = 0; run < RUNS; run++) {
    const { told, arriving } = randomHistory(random, START);
    const dialedAfter = Math.floor(random() * arriving.length);
    const once = await endsOf(told, 0);
    const got = await endsOf(arriving.map(({ report }) => report), dialedAfter);
    assert.deepEqual(got, once, `F7_SEED=${SEED}, run ${run}`);
    assert.ok(got.ends.length <= 1);
    assert.deepEqual(got.placed, [SID]);
  }
});
