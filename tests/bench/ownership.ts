/** What ownership costs on a real PostgreSQL: `ownership [--writers 16]`. Milliseconds, and transactions a second. */

import { parseArgs } from "node:util";
import { connect, type Database } from "@/db/client.ts";
import {
  beatNode,
  type Boot,
  claimActor,
  type Fence,
  holdsActors,
  insertNode,
  leaveNode,
} from "@/db/cluster.ts";
import { appendEvents } from "@/db/events.ts";
import { migrate } from "@/db/migrate.ts";
import { insertTenant } from "@/db/tenants.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { startPostgres } from "@/tests/support/postgres_server.ts";

const DEADLINE_MS = 30_000;
const ROUNDS = 4_000;
const RELEASED = 10_000;
/** Plain and fenced writes take turns, so that whatever else the machine does falls on both. */
const TURNS = 4;
const PAYLOAD = { turn: 1, text: "I would like an appointment on Thursday, please." };

interface Rate {
  readonly p50Ms: number;
  readonly perS: number;
}

/** So many rounds by `writers` at once. */
async function measure(
  { rounds, writers }: { readonly rounds: number; readonly writers: number },
  round: (nth: number) => Promise<unknown>,
): Promise<Rate> {
  const took: number[] = [];
  let next = 0;
  const begunMs = systemClock.now();
  await Promise.all(Array.from({ length: writers }, async () => {
    while (next < rounds) {
      const sentMs = systemClock.now();
      await round(next++);
      took.push(systemClock.now() - sentMs);
    }
  }));
  const seconds = (systemClock.now() - begunMs) / 1_000;
  took.sort((a, b) => a - b);
  const p50Ms = Math.round((took[took.length >> 1] ?? 0) * 100) / 100;
  return { p50Ms, perS: Math.round(rounds / seconds) };
}

/** Each transaction as the recorder's: the events of one call, with its fence or without. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { writers: { type: "string", default: "16" } },
  });
  const writers = Number(values.writers);
  const server = await startPostgres();
  const database: Database = await connect({
    at: { url: server.url },
    clock: systemClock,
    log: silentLog,
  });
  await migrate(database, { log: silentLog });
  const tenantId = newId("tenant");
  const tenant = { id: tenantId, name: "Bench" };
  await database.asTenant("jobs", tenantId, DEADLINE_MS, (sql) => insertTenant(sql, tenant));
  const ask = <T>(work: Parameters<typeof database.lookup<T>>[2]): Promise<T> =>
    database.lookup("calls", DEADLINE_MS, work);
  const node = { nodeId: "a", address: "a:1", region: "iad", version: "1", weight: 300 };
  const boot: Boot = { nodeId: "a", incarnation: await ask((sql) => insertNode(sql, node)) };

  const beat = await measure(
    { rounds: 500, writers: 1 },
    () => ask((sql) => beatNode(sql, boot, 1)),
  );
  const ids = Array.from({ length: ROUNDS }, () => newId("call"));
  const claim = await measure(
    { rounds: ROUNDS, writers },
    (nth) => ask((sql) => claimActor(sql, { kind: "call", id: ids[nth] ?? "" }, boot)),
  );

  let seq = 0;
  function append(nth: number, isFenced: boolean): Promise<void> {
    const id = ids[nth % ids.length] ?? "";
    const fence: Fence = { kind: "call", id, epoch: 1, ...boot };
    const event = { type: "caller_said", payload: PAYLOAD, at: systemClock.date() };
    const events = [{ ...event, tenantId, conversationId: id, seq: ++seq }];
    return database.asTenant("calls", tenantId, DEADLINE_MS, async (sql, withCommit) => {
      if (!isFenced) return await appendEvents(sql, events);
      if (!(await holdsActors(sql, "call", [fence])).has(id)) throw new Error("Fenced");
      withCommit(appendEvents(sql, events));
    });
  }
  const rates: Record<"plain" | "fenced", Rate[]> = { plain: [], fenced: [] };
  for (let turn = 0; turn < 2 * TURNS; turn++) {
    const name = turn % 2 === 0 ? "plain" : "fenced";
    const rounds = { rounds: ROUNDS / TURNS, writers };
    rates[name].push(await measure(rounds, (nth) => append(nth, name === "fenced")));
  }
  const mean = (of: readonly Rate[]): number =>
    Math.round(of.reduce((sum, { perS }) => sum + perS, 0) / of.length);
  const [plainPerS, fencedPerS] = [mean(rates.plain), mean(rates.fenced)];

  await ask((sql) =>
    sql`insert into actor_owner (kind, id, epoch, node_id, incarnation)
    select 'tenant', nth::text, 1, ${boot.nodeId}, ${boot.incarnation}
    from generate_series(1, ${RELEASED}) nth`
  );
  const begunMs = systemClock.now();
  await ask((sql) => leaveNode(sql, boot));
  const leaveMs = Math.round(systemClock.now() - begunMs);
  await database.close();
  await server.stop();
  return {
    writers,
    beatP50Ms: beat.p50Ms,
    claimP50Ms: claim.p50Ms,
    claimsPerS: claim.perS,
    plainPerS,
    fencedPerS,
    fencedShare: Math.round(100 * fencedPerS / plainPerS) / 100,
    released: RELEASED + ROUNDS,
    leaveMs,
  };
}
