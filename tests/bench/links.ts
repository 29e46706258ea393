/** Asks between two processes over loopback, beside a bare echo of `ws`: `links [--rounds 20000]`. Microseconds, and asks a second. */

import { parseArgs } from "node:util";
import { systemClock } from "@/lib/clock.ts";
import { openSocket } from "@/lib/socket.ts";
import { answererKind, benchMachine, ECHO_PATH, QUESTION } from "@/tests/bench/links/machine.ts";

const IN_FLIGHT = 64;
/** One and the other take turns, so that whatever else the machine does falls on both. */
const TURNS = 5;

interface Figures {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly perS: number;
}

/** `ask` asks once: one after the other first, then so many at a time. */
async function measure(rounds: number, ask: () => Promise<unknown>): Promise<Figures> {
  const took = new Float64Array(rounds);
  for (let nth = 0; nth < rounds; nth++) {
    const sentMs = systemClock.now();
    await ask();
    took[nth] = systemClock.now() - sentMs;
  }
  took.sort();
  const at = (share: number): number => Math.round(10_000 * (took[rounds * share | 0] ?? 0)) / 10;
  let left = 4 * rounds;
  const begunMs = systemClock.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await ask();
  }));
  const seconds = (systemClock.now() - begunMs) / 1_000;
  return { p50Us: at(0.5), p99Us: at(0.99), perS: Math.round(4 * rounds / seconds) };
}

/** The turn with the best median: what the machine can do when it is let. */
function best(turns: readonly Figures[]): Figures {
  const [first] = turns.toSorted((a, b) => a.p50Us - b.p50Us);
  if (first === undefined) throw new Error("No turn was taken");
  return { ...first, perS: Math.max(...turns.map(({ perS }) => perS)) };
}

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: "string", default: "20000" } },
  });
  const rounds = Number(values.rounds);
  const machine = await benchMachine(1);
  const own = { port: machine.port, key: machine.neighbours.linkKey.reveal() };
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", new URL("./links/child.ts", import.meta.url).pathname].concat(
      JSON.stringify(own),
    ),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  const other = JSON.parse(value ?? "");
  machine.meet(other);

  const ref = machine.neighbours.router.ref(answererKind, "one");
  const ask = (): Promise<string> => ref.ask<string>((reply) => ({ ...QUESTION, reply }));
  await ask();

  const echo = await openSocket(`ws://127.0.0.1:${other.port}${ECHO_PATH}`);
  const text = JSON.stringify(QUESTION);
  const waiting: (() => void)[] = [];
  echo.listen({ message: () => waiting.shift()?.(), closed() {} });
  const bare = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      echo.send(text);
    });

  const turns: { asks: Figures[]; bare: Figures[] } = { asks: [], bare: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    turns.bare.push(await measure(rounds / TURNS, bare));
    turns.asks.push(await measure(rounds / TURNS, ask));
  }
  echo.close(1000, "");
  child.kill("SIGKILL");
  await child.status;
  await machine.system.shutdown();
  const [links, floor] = [best(turns.asks), best(turns.bare)];
  return {
    messageBytes: text.length,
    ask: links,
    bareWs: floor,
    p50Ratio: Math.round(100 * links.p50Us / floor.p50Us) / 100,
    perSRatio: Math.round(100 * links.perS / floor.perS) / 100,
  };
}
