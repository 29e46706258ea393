/** How late a call's 20 ms pacing is while the embedded database works on a query of two seconds. */

import { connect, type Database } from "@/db/client.ts";
import { migrate } from "@/db/migrate.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";

const FRAME_MS = 20;
const QUERY_MS = 2_000;
const TRIAL_ROWS = 500_000;

/** Milliseconds a frame was late. */
interface Lateness {
  readonly lateP99Ms: number;
  readonly lateMaxMs: number;
}

export async function run(): Promise<Record<string, unknown>> {
  const at = { embedded: { dir: null } };
  const database = await connect({ at, clock: systemClock, log: silentLog });
  await migrate(database, { log: silentLog });
  await count(database, TRIAL_ROWS); // compiled, and its memory grown
  const trialMs = await elapsedMs(() => count(database, TRIAL_ROWS));
  const rows = Math.round(TRIAL_ROWS * QUERY_MS / trialMs);
  const idle = await pace(() => new Promise((resolve) => systemClock.timer(QUERY_MS, resolve)));
  let queryMs = 0;
  const busy = await pace(async () => {
    queryMs = await elapsedMs(() => count(database, rows));
  });
  await database.close();
  return { queryMs: round(queryMs), ...busy, idle };
}

function count(database: Database, rows: number): Promise<unknown> {
  return database.lookup("jobs", 10 * QUERY_MS, (sql) =>
    sql`
    select count(*) from (select md5(i::text) from generate_series(1, ${rows}::int) i offset 0) s`);
}

/** Frames at their times, as playout does it, until `work` is done. */
async function pace(work: () => Promise<void>): Promise<Lateness> {
  const late: number[] = [];
  const start = systemClock.now();
  let frame = 0;
  let cancel = (): void => {};
  function next(): void {
    const due = start + ++frame * FRAME_MS;
    cancel = systemClock.timer(Math.max(0, due - systemClock.now()), () => {
      late.push(systemClock.now() - due);
      next();
    });
  }
  next();
  await work();
  cancel();
  late.sort((a, b) => a - b);
  return {
    lateP99Ms: round(late[Math.ceil(late.length * 0.99) - 1] ?? 0),
    lateMaxMs: round(late.at(-1) ?? 0),
  };
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const start = systemClock.now();
  await work();
  return systemClock.now() - start;
}

const round = (ms: number): number => Math.round(ms * 100) / 100;
