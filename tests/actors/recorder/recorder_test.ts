/** The recorder: groups, retries and bounds, at virtual time on a database that can be away. */

import assert from "node:assert/strict";
import {
  EVENTS_MAX,
  recorder,
  recorderKind,
  type RecorderMessage,
} from "@/actors/recorder/recorder.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Database, Sql } from "@/db/client.ts";
import type { NewEvent } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { newLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const tenants = [newId("tenant"), newId("tenant")] as const;
const conversationId = newId("call");

function event(seq: number, tenantId: string = tenants[0]): NewEvent {
  return { tenantId, conversationId, seq, type: "said", payload: {}, at: new Date(0) };
}

interface Commit {
  readonly tenantIds: readonly string[];
  readonly seqs: readonly number[];
}

/** A database that keeps what is appended, and can be away, slow, or refuse one event for good. */
function fakeDatabase() {
  const commits: Commit[] = [];
  const state = { isAway: false, refused: -1, tries: 0, gate: Promise.resolve() };

  const asTenant: Database["asTenant"] = async (_pool, tenantIds, _deadlineMs, work) => {
    state.tries++;
    await state.gate;
    if (state.isAway) throw new AppError("database_unavailable", "Away", { retryable: true });
    let seqs: number[] = [];
    const json = (rows: { seq: number }[]) => {
      seqs = rows.map(({ seq }) => seq);
      if (seqs.includes(state.refused)) throw new Error("Refused");
    };
    // All that appendEvents uses of it: the statement, and `json` for its rows.
    const sql = Object.assign(() => Promise.resolve([]), { json }) as unknown as Sql;
    const sent: Promise<unknown>[] = [];
    const result = await work(sql, (one) => void sent.push(one));
    await Promise.all(sent); // nothing is committed where one of them fails
    commits.push({ tenantIds: [tenantIds].flat(), seqs });
    return result;
  };
  return { asTenant, commits, state };
}

function setUp() {
  const kit = actorKit();
  const database = fakeDatabase();
  const logged: string[] = [];
  const date = () => new Date(0);
  const write = (line: string) => logged.push(JSON.parse(line).message);
  const log = newLog({ level: "debug", pii: false, date, write });
  const ref: Ref<RecorderMessage> = kit.system.spawn(
    recorderKind,
    "recorder",
    () => recorder({ database, log }),
  );
  const append = (...events: NewEvent[]) => ref.send({ type: "append", events });
  const flush = () => ref.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: 600_000 });
  return {
    ...{ kit, database, logged, append, flush },
    [Symbol.asyncDispose]: () => kit.system.shutdown(),
  };
}

Deno.test("events are committed together before the first of them is 50 ms old", async () => {
  await using test = setUp();
  test.append(event(1));
  await test.kit.clock.advance(15);
  test.append(event(2), event(3, tenants[1]));
  assert.deepEqual(test.database.commits, []);
  await test.kit.clock.advance(34);
  assert.deepEqual(test.database.commits, [{ tenantIds: [...tenants], seqs: [1, 2, 3] }]);
});

Deno.test("a group is bound to exactly its own tenants", async () => {
  await using test = setUp();
  test.append(event(1));
  await test.kit.clock.advance(50);
  test.append(event(1, tenants[1]), event(2, tenants[1]));
  await test.kit.clock.advance(50);
  assert.deepEqual(test.database.commits.map(({ tenantIds }) => tenantIds), [
    [tenants[0]],
    [tenants[1]],
  ]);
});

Deno.test("flush is answered when what came before it is committed, and does not wait for the group", async () => {
  await using test = setUp();
  await test.flush();
  test.append(event(1));
  await test.flush();
  assert.deepEqual(test.database.commits.map(({ seqs }) => seqs), [[1]]);
  assert.equal(test.kit.clock.now(), 0);
});

Deno.test("one batch is in flight at a time, and the next takes all that has come meanwhile", async () => {
  await using test = setUp();
  const gate = Promise.withResolvers<void>();
  test.database.state.gate = gate.promise;
  test.append(event(1));
  await test.kit.clock.advance(50);
  for (let seq = 2; seq <= 5; seq++) test.append(event(seq));
  await test.kit.clock.advance(500);
  assert.equal(test.database.state.tries, 1);
  gate.resolve();
  await test.flush();
  assert.deepEqual(test.database.commits.map(({ seqs }) => seqs), [[1], [2, 3, 4, 5]]);
});

Deno.test("while the database is away events wait, and none is lost or out of order when it is back", async () => {
  await using test = setUp();
  test.database.state.isAway = true;
  for (let second = 0; second < 60; second++) {
    test.append(event(2 * second + 1), event(2 * second + 2));
    await test.kit.clock.advance(1_000);
  }
  const triesAway = test.database.state.tries;
  test.database.state.isAway = false;
  await test.kit.clock.advance(2_000);
  assert.deepEqual(
    test.database.commits.flatMap(({ seqs }) => seqs),
    Array.from({ length: 120 }, (_, i) => i + 1),
  );
  assert.ok(triesAway > 25 && triesAway < 40, `${triesAway} tries in a minute`);
  assert.deepEqual(test.logged, [
    "cannot commit events: will try again",
    "events are committed again",
  ]);
});

Deno.test("an event that the database refuses is left out, and the others are committed in order", async () => {
  await using test = setUp();
  test.database.state.refused = 6;
  test.append(...Array.from({ length: 9 }, (_, i) => event(i + 1)));
  await test.flush();
  assert.deepEqual(
    test.database.commits.flatMap(({ seqs }) => seqs),
    [1, 2, 3, 4, 5, 7, 8, 9],
  );
  assert.deepEqual(test.logged, ["event refused by the database"]);
});

Deno.test("past its bound the recorder drops what is new, says so once, and goes on afterwards", async () => {
  await using test = setUp();
  test.database.state.isAway = true;
  const many = Array.from({ length: EVENTS_MAX - 1 }, (_, i) => event(i + 1));
  test.append(...many);
  test.append(event(EVENTS_MAX), event(EVENTS_MAX + 1));
  test.append(event(EVENTS_MAX + 2));
  await test.kit.clock.advance(1_000);
  const report = test.kit.system.inspect("recorder", "recorder");
  assert.deepEqual(report?.view, {
    phase: "waiting",
    events: EVENTS_MAX,
    taken: EVENTS_MAX,
    done: 0,
    failures: 4,
    dropped: 2,
    flushes: 0,
  });
  test.database.state.isAway = false;
  await test.kit.clock.advance(2_000);
  test.append(event(EVENTS_MAX + 3));
  await test.flush();
  const seqs = test.database.commits.flatMap((commit) => commit.seqs);
  assert.equal(seqs.length, EVENTS_MAX + 1);
  assert.equal(seqs.at(-1), EVENTS_MAX + 3);
  assert.equal(test.logged.filter((line) => line.includes("full")).length, 1);
});

Deno.test("a batch is bounded, so that its transaction is short", async () => {
  await using test = setUp();
  test.append(...Array.from({ length: 2_500 }, (_, i) => event(i + 1)));
  await test.flush();
  assert.deepEqual(test.database.commits.map(({ seqs }) => seqs.length), [1_000, 1_000, 500]);
});
