/** A PostgreSQL server that is restarted, hangs or is not there: every promise settles all the same. */

import assert from "node:assert/strict";
import { connect, type Database, type PoolName } from "@/db/client.ts";
import { migrate } from "@/db/migrate.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { type HaltMode, startPostgres } from "@/tests/support/postgres_server.ts";

const server = await startPostgres();
Deno.test.afterAll(() => server.stop());

const POOLS: readonly PoolName[] = ["calls", "rest", "jobs"];
const DEADLINE_MS = 60_000; // so that no deadline is what settles anything here
const SETTLED_MS = 3_000;

const connected = (url: string): Promise<Database> =>
  connect({ at: { url }, clock: systemClock, log: silentLog });

/** Twelve workers a pool, more than it has connections, each with a query always under way. */
function load(database: Database) {
  let isOver = false;
  const pending = new Set<Promise<unknown>>();
  const counts = { done: 0, failed: 0 };
  async function worker(pool: PoolName): Promise<void> {
    while (!isOver) {
      const query = database.lookup(pool, DEADLINE_MS, (sql) => sql`select pg_sleep(0.01)`);
      pending.add(query);
      await query.then(() => counts.done++, (error: unknown) => {
        assert.ok(error instanceof AppError && error.code === "database_unavailable");
        assert.equal(error.retryable, true);
        counts.failed++;
      });
      pending.delete(query);
    }
  }
  const workers = Promise.all(
    POOLS.flatMap((pool) => Array.from({ length: 12 }, () => worker(pool))),
  );
  return {
    pending,
    counts,
    async stop() {
      isOver = true;
      await workers;
    },
  };
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const start = systemClock.now();
  await work();
  return systemClock.now() - start;
}

for (const [mode, downMs] of [["immediate", 0], ["immediate", 1_500], ["fast", 300]] as const) {
  await restarts(mode, downMs);
}

function restarts(mode: HaltMode, downMs: number): void {
  Deno.test(`every query settles within 3 s of a restart (${mode}, ${downMs} ms down)`, async () => {
    await using database = await connected(server.url);
    await migrate(database, { log: silentLog });
    const { pending, counts, stop } = load(database);
    await sleep(systemClock, 300);
    assert.ok(counts.done > 0);
    await server.halt(mode);
    await sleep(systemClock, downMs);
    await server.start();
    const held = [...pending];
    const settledMs = await elapsedMs(() => Promise.allSettled(held));
    const workingMs = await elapsedMs(async () => {
      for (const pool of POOLS) {
        await database.lookup(pool, SETTLED_MS, (sql) => sql`select 1`);
      }
    });
    await stop();
    assert.ok(held.length >= POOLS.length * 8, `${held.length} queries were under way`);
    assert.ok(counts.failed > 0, "the restart was felt");
    assert.ok(settledMs < SETTLED_MS, `${settledMs} ms to settle what was under way`);
    assert.ok(settledMs + workingMs < SETTLED_MS, `${workingMs} ms to work again`);
  });
}

Deno.test("a query that runs too long ends at its deadline, and its connection is not used again", async () => {
  await using database = await connected(server.url);
  const slow = elapsedMs(() =>
    assert.rejects(
      database.lookup("jobs", 200, (sql) => sql`select pg_sleep(30)`),
      { code: "database_unavailable", retryable: true },
    )
  );
  assert.ok(await slow < 1_000);
  const [row] = await database.lookup("jobs", DEADLINE_MS, (sql) => sql`select 1 as one`);
  assert.equal(row?.["one"], 1);
});

Deno.test("a server that takes a connection and says nothing costs a query its deadline, no more", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) taken.push(connection);
  })();
  {
    await using database = await connected(`postgres://a@127.0.0.1:${listener.addr.port}/a`);
    const ms = await elapsedMs(() =>
      assert.rejects(
        database.lookup("calls", 300, (sql) => sql`select 1`),
        { code: "database_unavailable", retryable: true },
      )
    );
    assert.ok(ms < 1_000, `${ms} ms`);
  }
  listener.close();
  await accepting;
  for (const connection of taken) connection.close();
});

Deno.test("a server that is not there yet is waited for until the deadline", async () => {
  const url = new URL(server.url);
  await server.halt("fast");
  await using database = await connected(url.href);
  await assert.rejects(
    database.lookup("calls", 300, (sql) => sql`select 1`),
    {
      code: "database_unavailable",
      retryable: true,
      message: /^Cannot reach the database: connect ECONNREFUSED/,
    },
  );
  const waiting = database.lookup("calls", DEADLINE_MS, (sql) => sql`select 1 as one`);
  await server.start();
  assert.equal((await waiting)[0]?.["one"], 1);
});

Deno.test("a session that the server refuses for good is not tried again", async () => {
  await using database = await connected(server.url.replace(/postgres$/, "no_such_database"));
  const ms = await elapsedMs(() =>
    assert.rejects(
      database.asOwner(DEADLINE_MS, (sql) => sql`select 1`),
      /Cannot open a session of the database: database "no_such_database" does not exist/,
    )
  );
  assert.ok(ms < 5_000, `${ms} ms`);
});
