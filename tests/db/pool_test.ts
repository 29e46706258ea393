/** The pool: who waits for a session, how long, and how many may. */

import assert from "node:assert/strict";
import { newPool, type Pool, type Session, type Sql } from "@/db/pool.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** Sessions that open at once and answer every statement; a broken one is replaced by the next. */
function setUp(size: number) {
  const clock = manualClock();
  const opened: { login: string; statements: string[]; discarded: boolean; break: () => void }[] =
    [];
  const pool: Pool = newPool({
    size,
    clock,
    open(login): Session {
      let broken = false;
      const statements: string[] = [];
      const made = { login, statements, discarded: false, break: () => (broken = true) };
      opened.push(made);
      const run = ([text]: readonly string[]) => {
        statements.push(text ?? "");
        if (broken) return Promise.reject(new Error("Broken"));
        return Promise.resolve({ command: (text ?? "").toUpperCase() });
      };
      const unsafe = (text: string) => {
        const answer = run([text]);
        return Object.assign(answer, { simple: () => answer });
      };
      return {
        login,
        // All that the pool uses of it: its three statements.
        sql: Object.assign(run, { unsafe }) as unknown as Sql,
        get broken() {
          return broken;
        },
        discard: () => Promise.resolve(void (made.discarded = true)),
        close: () => Promise.resolve(),
      };
    },
  });
  return { clock, opened, pool };
}

const never = (): Promise<never> => Promise.withResolvers<never>().promise;
const UNAVAILABLE = { name: "AppError", code: "database_unavailable", retryable: true };

Deno.test("work that finds no free session waits its turn, and its deadline counts from the start", async () => {
  const { clock, opened, pool } = setUp(1);
  const gate = Promise.withResolvers<void>();
  const first = pool.run("app", 1_000, () => gate.promise);
  const second = assert.rejects(pool.run("app", 100, () => Promise.resolve()), UNAVAILABLE);
  const third = pool.run("app", 1_000, () => Promise.resolve("third"));
  await clock.advance(100);
  await second;
  gate.resolve();
  await first;
  assert.equal(await third, "third");
  assert.equal(opened.length, 1);
  assert.equal(clock.armed, 0);
});

Deno.test("more than 256 that wait are refused at once", async () => {
  const { clock, pool } = setUp(1);
  const runs = Array.from({ length: 258 }, () => pool.run("app", 50, never));
  const settled = Promise.allSettled(runs);
  await clock.settle();
  await assert.rejects(runs[257] ?? Promise.resolve(), /256 others wait/);
  await clock.advance(50);
  assert.ok((await settled).every(({ status }) => status === "rejected"));
});

Deno.test("a session that missed a deadline is discarded, and its slot is free again", async () => {
  const { clock, opened, pool } = setUp(1);
  const missed = assert.rejects(pool.run("app", 100, never), UNAVAILABLE);
  await clock.advance(100);
  await missed;
  assert.equal(opened[0]?.discarded, true);
  assert.equal(await pool.run("app", 100, () => Promise.resolve("next")), "next");
  assert.equal(opened.length, 2);
});

Deno.test("a transaction is committed when its work is done, and rolled back when it throws", async () => {
  const { opened, pool } = setUp(1);
  await pool.run("app", 100, () => Promise.resolve());
  await assert.rejects(
    pool.run("app", 100, () => Promise.reject(new Error("Bug"))),
    /^Error: Bug$/,
  );
  assert.deepEqual(opened[0]?.statements, ["begin", "commit", "begin", "rollback"]);
  assert.equal(opened[0]?.discarded, false);
});

Deno.test("a session lost in the midst of work fails that work, and nothing is written to it any more", async () => {
  const { opened, pool } = setUp(1);
  const lost = pool.run("app", 100, () => {
    opened[0]?.break();
    return Promise.reject(new Error("Lost"));
  });
  await assert.rejects(lost, UNAVAILABLE);
  assert.deepEqual(opened[0]?.statements, ["begin"]);
  assert.equal(opened[0]?.discarded, true);
});

Deno.test("a session that broke before the work began is replaced without a word", async () => {
  const { clock, opened, pool } = setUp(1);
  await pool.run("app", 100, () => Promise.resolve());
  opened[0]?.break();
  assert.equal(await pool.run("app", 100, () => Promise.resolve("done")), "done");
  await clock.settle();
  assert.deepEqual(opened.map(({ statements }) => statements.length), [2, 2]);
});

Deno.test("one slot serves both logins, each with a session of its own", async () => {
  const { opened, pool } = setUp(1);
  await pool.run("owner", 100, () => Promise.resolve());
  await pool.run("app", 100, () => Promise.resolve());
  assert.deepEqual(opened.map(({ login, discarded }) => [login, discarded]), [
    ["owner", true],
    ["app", false],
  ]);
});

Deno.test("a closed pool lets its work end, and takes no more", async () => {
  const { pool } = setUp(2);
  const gate = Promise.withResolvers<string>();
  const running = pool.run("app", 1_000, () => gate.promise);
  const closed = pool.close();
  await assert.rejects(pool.run("app", 1_000, () => Promise.resolve()), /The database is closed/);
  gate.resolve("whole");
  assert.equal(await running, "whole");
  await closed;
});
