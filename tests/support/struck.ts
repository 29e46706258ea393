/** A few short calls on three whole machines with a real PostgreSQL, while faults strike, in tests of the system. */

import { connect } from "@/db/client.ts";
import { deadline, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { exampleGraph } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { judge, type Verdict } from "@/tests/load/faults/record.ts";
import { round, type RoundOptions } from "@/tests/load/faults/round.ts";
import { startMachines } from "@/tests/load/machines.ts";

const CALLS = 3; // one on each machine
const [shop, ...rest] = exampleGraph.nodes;
/** The example, which asks who it is as well. */
const graph = parseGraph({
  ...exampleGraph,
  nodes: [{
    ...shop,
    variables: [...shop?.variables ?? [], {
      name: "caller",
      type: "string",
      description: "The caller's name.",
      ask: "And what is your name?",
    }],
  }, ...rest],
});
const SCRIPT = { graph, lines: ["I would like a new tyre.", "My name is Maria Lopez."] };
/** Each fault finds them in the middle of something. */
const TALK_MS = 1_000;
const LIFE_MS = 180_000;

export async function struck(strikes: RoundOptions["strikes"]): Promise<Verdict> {
  const machines = await startMachines({ nodes: 3, port: 0, agent: SCRIPT.graph });
  const life = deadline(systemClock, LIFE_MS, () => new Error("The test outlived its time"));
  life.signal.addEventListener("abort", () => void machines.close(0));
  const { url } = machines.postgres;
  const database = await connect({ at: { url }, clock: systemClock, log: silentLog });
  try {
    const options = { calls: CALLS, script: SCRIPT, strikes, talkMs: TALK_MS };
    return await judge(database, await round(machines, options));
  } finally {
    life.cancel();
    await database.close();
    await machines.close();
  }
}
