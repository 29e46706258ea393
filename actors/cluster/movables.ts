/** What others can have at once when this machine drains: it stops here first, then all of it is given up in one statement. */

import type { System } from "@/actors/runtime/system.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";

/** A row stays owned until its actor has stopped; who hangs is stopped with the rest, at the end. */
const STOP_MS = 5_000;
const LOOK_MS = 10;

export interface MovablesDeps {
  readonly kinds: readonly string[];
  readonly system: Pick<System, "list" | "stop" | "count">;
  readonly holdings: Pick<Holdings, "boot" | "giveUp">;
  readonly directory: Pick<Directory, "releaseKinds">;
  readonly clock: Clock;
}

/** Returns how many rows were given up. */
export async function releaseMovables(
  { kinds, system, holdings, directory, clock }: MovablesDeps,
): Promise<number> {
  const { boot } = holdings;
  if (boot === null || kinds.length === 0) return 0;
  const all = kinds.flatMap((kind) => system.list(kind));
  for (const { kind, id } of all) system.stop(kind, id, "this machine drains");
  const untilMs = clock.now() + STOP_MS;
  const stopped = (kind: string): boolean => system.count(kind) === 0;
  while (!kinds.every(stopped) && clock.now() < untilMs) await sleep(clock, LOOK_MS);
  const free = kinds.filter(stopped);
  for (const { kind, id } of all) if (free.includes(kind)) holdings.giveUp({ kind, id });
  return await directory.releaseKinds(boot, free);
}
