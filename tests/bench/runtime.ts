/** The actor runtime against its floor (a bare ring) and nact: architecture figures of one machine. */

import { type Figures, KEYS, median } from "@/tests/bench/runtime/loads.ts";

const CONTENDERS = ["ours", "floor", "nact"] as const;
const ROUNDS = 5;

/** Each round runs every contender once in a process of its own, so that all see the same machine. */
export async function run(): Promise<Record<string, unknown>> {
  const rounds = { ours: [] as Figures[], floor: [] as Figures[], nact: [] as Figures[] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of CONTENDERS) rounds[name].push(await measureApart(name));
  }
  const ours = medians(rounds.ours);
  const floor = medians(rounds.floor);
  const nact = medians(rounds.nact);
  return { ...ours, floor, nact, pass: judge(ours, floor, nact) };
}

function judge(ours: Figures, floor: Figures, nact: Figures): Record<string, boolean> {
  return {
    tell1: ours.tell1PerSec >= 0.15 * floor.tell1PerSec &&
      ours.tell1PerSec >= 10 * nact.tell1PerSec,
    tell1000: ours.tell1000PerSec >= 0.15 * floor.tell1000PerSec &&
      ours.tell1000PerSec >= 10 * nact.tell1000PerSec,
    ask: ours.askP50Us <= 0.5,
    timer: ours.timerLateMs <= 3,
    idle: ours.idleActorBytes <= 500,
  };
}

async function measureApart(name: string): Promise<Figures> {
  const script = new URL("./runtime/child.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", script, name],
    stderr: "inherit",
  });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`Contender "${name}" failed`);
  return JSON.parse(new TextDecoder().decode(stdout)) as Figures; // by our own child.ts
}

function medians(rounds: readonly Figures[]): Figures {
  const entries = KEYS.map((key) => [key, round3(median(rounds.map((figures) => figures[key])))]);
  return Object.fromEntries(entries) as Figures; // every key of KEYS
}

function round3(value: number): number {
  return value >= 1000 ? Math.round(value) : Math.round(value * 1000) / 1000;
}
