/** The operators' listener: shut without its token, and a plain window on the runtime with it. */

import assert from "node:assert/strict";
import { newLog } from "@/lib/log.ts";
import { type Inspection, newOperatorApp } from "@/routes/operator.ts";
import { fakeRef } from "./fakes.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const TOKEN = "an operator's token";

function setUp(): {
  get(path: string, init?: RequestInit): Promise<Response>;
  app: ReturnType<typeof newOperatorApp>;
  stopped: string[];
  drained: unknown[];
  logged: string[];
} {
  const stopped: string[] = [];
  const drained: unknown[] = [];
  const logged: string[] = [];
  const inspection: Inspection = {
    list: (kind) => [{ kind: kind ?? "any", id: "1" }],
    inspect: (kind, id) => id === "1" ? { kind, id, view: {} } : null,
    deadLetters: () => [{ kind: "call", id: "2", type: "mark", reason: "stopped" }],
    stop(kind, id, why) {
      if (id !== "1") return false;
      stopped.push(`${kind}/${id}: ${why}`);
      return true;
    },
  };
  const date = manualClock().date;
  const log = newLog({ level: "debug", pii: false, date, write: (line) => logged.push(line) });
  const nobody = fakeRef<never>(() => {
    throw new Error("Nobody is asked here");
  });
  const app = newOperatorApp({
    token: TOKEN,
    inspection,
    roster: {
      view: () => Promise.resolve({ self: null, nodes: [], orphans: {} }),
      inspect: ({ kind, id }) =>
        Promise.resolve(id === "3" ? { kind, id, report: { view: {} } } : null),
      list: (nodeId, kind) =>
        Promise.resolve(nodeId === "two" ? { actors: [{ kind, id: "4" }], leftOut: 0 } : null),
      stop({ kind, id }, why) {
        if (id !== "3") return Promise.resolve(false);
        stopped.push(`${kind}/${id}: ${why}, elsewhere`);
        return Promise.resolve(true);
      },
      ownerOf: ({ kind, id }) => Promise.resolve({ kind, id, epoch: id === "3" ? 7 : null }),
      drain(nodeId, order) {
        if (nodeId !== "one") return Promise.resolve(false);
        drained.push(order);
        return Promise.resolve(true);
      },
    },
    gate: nobody,
    desk: () => nobody,
    pressure: () => ({ level: 2, sheds: ["outbound", "jobs"] }),
    alarms: () => ({ current: [{ kind: "pressure" }], recent: [] }),
    metrics: () => "a 1\n",
    log,
  });
  return {
    app,
    get: async (path, init = {}) =>
      await app.request(path, {
        ...init,
        headers: { Authorization: `Bearer ${TOKEN}`, ...init.headers },
      }),
    stopped,
    drained,
    logged,
  };
}

Deno.test("operators list actors, of one kind or all", async () => {
  const { get } = setUp();
  assert.deepEqual(await (await get("/actors")).json(), { actors: [{ kind: "any", id: "1" }] });
  assert.deepEqual(await (await get("/actors?kind=call")).json(), {
    actors: [{ kind: "call", id: "1" }],
  });
});

Deno.test("operators look at one actor", async () => {
  const { get } = setUp();
  assert.deepEqual(await (await get("/actors/call/1")).json(), { kind: "call", id: "1", view: {} });
  assert.equal((await get("/actors/call/2")).status, 404);
});

Deno.test("operators see the machines there are, and who owns an actor that lives elsewhere", async () => {
  const { get } = setUp();
  const cluster = await (await get("/cluster")).json();
  assert.deepEqual(cluster, { self: null, nodes: [], orphans: {} });
  assert.deepEqual(await (await get("/actors/call/3")).json(), {
    kind: "call",
    id: "3",
    report: { view: {} },
  });
  assert.deepEqual(await (await get("/actors/call/3/owner")).json(), {
    kind: "call",
    id: "3",
    epoch: 7,
  });
  assert.deepEqual(await (await get("/actors?node=two&kind=call")).json(), {
    actors: [{ kind: "call", id: "4" }],
    leftOut: 0,
  });
  assert.equal((await get("/actors?node=nobody")).status, 404);
});

Deno.test("operators see how hard pressed a machine is, and what it sheds", async () => {
  const { get } = setUp();
  const pressure = await (await get("/pressure")).json();
  assert.deepEqual(pressure, { level: 2, sheds: ["outbound", "jobs"] });
});

Deno.test("operators read the alarms that there are and were", async () => {
  const { app, get } = setUp();
  const alarms = await (await get("/alarms")).json();
  assert.deepEqual(alarms, { current: [{ kind: "pressure" }], recent: [] });
  assert.equal((await app.request("/alarms")).status, 401);
});

Deno.test("operators read dead letters and metrics", async () => {
  const { get } = setUp();
  assert.equal((await (await get("/dead-letters")).json()).deadLetters.length, 1);
  const metrics = await get("/metrics");
  assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.equal(await metrics.text(), "a 1\n");
});

Deno.test("operators stop an actor, and that is logged", async () => {
  const { get, stopped, logged } = setUp();
  assert.equal((await get("/actors/call/1/stop", { method: "POST" })).status, 204);
  assert.deepEqual(stopped, ["call/1: an operator asked"]);
  assert.equal(logged.length, 1);
  assert.equal((await get("/actors/call/2/stop", { method: "POST" })).status, 404);
  assert.equal((await get("/actors/call/1/stop")).status, 404);
  assert.equal(stopped.length, 1);
  assert.equal((await get("/actors/call/3/stop", { method: "POST" })).status, 204);
  assert.equal(stopped.pop(), "call/3: an operator asked, elsewhere");
});

Deno.test("nothing but alive is open without the operator's token", async () => {
  const { app, stopped } = setUp();
  const paths = ["/actors", "/actors/call/1", "/dead-letters", "/metrics", "/nothing"];
  for (const headers of [{}, { Authorization: "Bearer wrong" }, { Authorization: TOKEN }]) {
    for (const path of paths) assert.equal((await app.request(path, { headers })).status, 401);
    const stop = await app.request("/actors/call/1/stop", { method: "POST", headers });
    assert.equal(stop.status, 401);
  }
  assert.deepEqual(stopped, []);
  assert.equal((await app.request("/alive")).status, 200);
});

Deno.test("operators have a machine drain, from any of them, and that is logged", async () => {
  const { get, drained, logged } = setUp();
  const post = (path: string, order?: unknown): Promise<Response> =>
    get(path, {
      method: "POST",
      ...(order === undefined ? {} : {
        body: JSON.stringify(order),
        headers: { "Content-Type": "application/json" },
      }),
    });
  const plain = await post("/nodes/one/drain");
  const waits = { calls: "wait", deadlineMs: 7_200_000 };
  assert.deepEqual([plain.status, await plain.json()], [202, { nodeId: "one", ...waits }]);
  const order = { calls: "handOver", deadlineMs: 1_000 };
  assert.equal((await post("/nodes/one/drain", order)).status, 202);
  assert.deepEqual([drained, logged.length], [[waits, order], 2]);
  assert.equal((await post("/nodes/two/drain", order)).status, 404);
  for (const wrong of [{ calls: "drop" }, { deadlineMs: -1 }, { now: true }]) {
    assert.equal((await post("/nodes/one/drain", wrong)).status, 400);
  }
});
