/** Two processes on one PostgreSQL: one that stands still is buried, and comes back as another boot; one that is killed stays dead. */

import assert from "node:assert/strict";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { deadline, sleep, systemClock } from "@/lib/clock.ts";
import { startPostgres } from "@/tests/support/postgres_server.ts";

const TOKEN = "operator-token-123";
const POLL_MS = 200;
/** Beside what the protocol takes: starts of processes, on a machine that does other things as well. */
const SLACK_MS = 20_000;
const LIFE_MS = 180_000;

interface Machine {
  readonly child: Deno.ChildProcess;
  /** Boots that it sees, but dead ones. */
  boots(): Promise<readonly string[]>;
}

/** The whole server, as `deno task start` runs it, on free ports. */
async function start(url: string, nodeId: string): Promise<Machine> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "main.ts", "start"],
    env: {
      DATABASE_URL: url,
      FLY_MACHINE_ID: nodeId,
      OPERATOR_TOKEN: TOKEN,
      OPERATOR_PORT: "0",
      PORT: "0",
      LOG_LEVEL: "error",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += piece;
    if (said.includes("\n")) break;
  }
  const operator = /operators at ([^\s,]+)/.exec(said)?.[1] ?? assert.fail(said);
  return {
    child,
    async boots() {
      const headers = { Authorization: `Bearer ${TOKEN}` };
      const response = await fetch(`${operator}/cluster`, { headers });
      const { nodes } = await response.json();
      return nodes.map((node: { nodeId: string; incarnation: number }) =>
        `${node.nodeId}/${node.incarnation}`
      );
    },
  };
}

/** Waits until it sees what is wanted; returns how long that was, in milliseconds. */
async function until(
  machine: Machine,
  wanted: (boots: readonly string[]) => boolean,
  withinMs: number,
): Promise<number> {
  const begunMs = systemClock.now();
  const end = deadline(systemClock, withinMs, () => new Error("It was not seen in time"));
  try {
    while (!wanted(await machine.boots())) await sleep(systemClock, POLL_MS, end.signal);
    return systemClock.now() - begunMs;
  } finally {
    end.cancel();
  }
}

Deno.test("a process that is stopped is buried and joins again; one that is killed is buried; one that ends has left", async () => {
  const postgres = await startPostgres();
  const one = await start(postgres.url, "one");
  const two = await start(postgres.url, "two");
  const life = deadline(systemClock, LIFE_MS, () => new Error("The test outlived its time"));
  const kill = (): void => [one, two].forEach(({ child }) => child.kill("SIGKILL"));
  life.signal.addEventListener("abort", kill);

  await until(one, (boots) => boots.length === 2, SLACK_MS);
  const [, first = ""] = await one.boots();
  assert.match(first, /^two\//);

  two.child.kill("SIGSTOP");
  const buriedMs = await until(one, (boots) => !boots.includes(first), TIMINGS.ttlMs + SLACK_MS);
  assert.ok(buriedMs >= TIMINGS.ttlMs - TIMINGS.beatMs - POLL_MS, `after ${buriedMs} ms`);
  two.child.kill("SIGCONT");
  await until(one, (boots) => boots.length === 2, SLACK_MS);
  const [, again = ""] = await one.boots();
  assert.match(again, /^two\//);
  assert.notEqual(again, first, "another boot: the dead one stays dead");

  two.child.kill("SIGKILL");
  await two.child.status;
  await until(one, (boots) => boots.length === 1, TIMINGS.ttlMs + SLACK_MS);

  const three = await start(postgres.url, "three");
  await until(one, (boots) => boots.length === 2, SLACK_MS);
  three.child.kill("SIGTERM");
  assert.equal((await three.child.status).code, 0);
  assert.equal((await one.boots()).length, 1, "it has left by itself: nobody had to bury it");

  one.child.kill("SIGTERM");
  await one.child.status;
  life.cancel();
  await postgres.stop();
});
