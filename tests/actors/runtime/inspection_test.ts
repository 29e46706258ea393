/** What operators see: reports, metrics and their Prometheus text. */

import assert from "node:assert/strict";
import { prometheusText } from "@/actors/runtime/prometheus.ts";
import { sleep } from "@/lib/clock.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { newRecord, probeKind, startProbe } from "./probe.ts";

const SECRET = "+4711 said something private";

async function setUp() {
  const kit = actorKit();
  const probe = startProbe(kit.system);
  await kit.settle();
  return { ...kit, probe };
}

Deno.test("a report shows state by the actor's view, lanes, ages and types, and never a payload", async () => {
  const { system, probe, clock } = await setUp();
  probe.note(SECRET);
  await clock.advance(5);
  probe.act((ctx) => ctx.hold("shut", () => sleep(clock, 100), () => ({ type: "note", text: "" })));
  await clock.settle();
  probe.note(SECRET);
  await clock.advance(20);
  probe.ref.send({ type: "frame", n: 1 });
  const report = system.inspect("probe", "p");
  assert.deepEqual(report, {
    kind: "probe",
    id: "p",
    phase: "live",
    depth: { system: 0, control: 1, media: 1 },
    oldestMessageMs: 20,
    crashes: 0,
    parent: null,
    children: [],
    view: { handled: 2 },
    handling: { type: "hold shut", forMs: 20 },
    waiting: [{ type: "note", ageMs: 20, size: 4 + SECRET.length }, {
      type: "frame",
      ageMs: 0,
      size: 13,
    }],
    lastMessages: [{ type: "act", ageMs: 20, size: 11 }, {
      type: "note",
      ageMs: 25,
      size: 4 + SECRET.length,
    }],
    lastError: null,
    works: [{ type: "hold", name: "shut", forMs: 20 }],
  });
  const all = JSON.stringify([report, system.list(), system.deadLetters(), system.metrics()]);
  assert.ok(!all.includes(SECRET));
});

Deno.test("a report shows crashes, the last error, parent, children, timers and runs", async () => {
  const { system, probe, clock, settle } = await setUp();
  const child = newRecord();
  probe.note("boom");
  probe.act((ctx) => {
    ctx.spawn(probeKind({ name: "child" }), "c", child.make);
    ctx.timer("tick", 100, { type: "note", text: "tick" });
    ctx.run("load", () => sleep(clock, 100), () => ({ type: "note", text: "loaded" }));
  });
  await settle();
  const report = system.inspect("probe", "p");
  assert.equal(report?.crashes, 1);
  assert.deepEqual(report.lastError, { message: "boom", at: "2026-01-05T09:00:00.000Z" });
  assert.deepEqual(report.children, [{ kind: "child", id: "c" }]);
  assert.deepEqual(report.works.map(({ type, name }) => `${type} ${name}`), [
    "timer tick",
    "run load",
  ]);
  assert.deepEqual(system.inspect("child", "c")?.parent, { kind: "probe", id: "p" });
  assert.deepEqual(system.list("child").map(({ id }) => id), ["c"]);
  assert.equal(system.inspect("child", "nobody"), null);
  await clock.advance(100);
});

Deno.test("an actor that inspects itself sees the message it handles", async () => {
  const { system, probe, settle } = await setUp();
  probe.act(() => probe.events.push(system.inspect("probe", "p")?.handling?.type ?? "none"));
  await settle();
  assert.deepEqual(probe.events, ["init", "act"]);
});

Deno.test("a view that throws shows as such and harms nobody", async () => {
  const { system, settle } = await setUp();
  system.spawn(probeKind({ name: "blind" }), "b", () => ({
    ...newRecord().make(),
    view() {
      throw new Error("no view");
    },
  }));
  await settle();
  assert.deepEqual(system.inspect("blind", "b")?.view, { viewThrew: "no view" });
});

Deno.test("metrics count what happened by kind, and print as Prometheus text", async () => {
  const { system, probe, clock, settle } = await setUp();
  system.watchLag();
  for (const text of ["a", "b", "boom"]) probe.note(text);
  for (let n = 0; n < 5; n++) probe.ref.send({ type: "frame", n });
  const asked = assert.rejects(
    probe.ref.ask(() => ({ type: "note", text: "no answer" }), { timeoutMs: 50 }),
  );
  await clock.advance(100);
  await asked;
  await settle();
  const metrics = system.metrics();
  assert.deepEqual(metrics.kinds["probe"], {
    live: 1,
    handled: 7,
    crashes: 1,
    restarts: 1,
    mediaDropped: 2,
    waiting: { control: 0, media: 0, deepest: 0 },
  });
  assert.equal(metrics.asksExpired, 1);
  const text = prometheusText(metrics);
  for (
    const line of [
      'actors_live{kind="probe"} 1',
      'actors_waiting_messages{kind="probe",lane="control"} 0',
      'actors_handled_total{kind="probe"} 7',
      'actors_restarts_total{kind="probe"} 1',
      'actors_media_dropped_total{kind="probe"} 2',
      'actors_dead_letters_total{reason="poison"} 1',
      "actors_asks_expired_total 1",
      'event_loop_lag_seconds_bucket{le="0.001"} 5',
      'event_loop_lag_seconds_bucket{le="+Inf"} 5',
      "event_loop_lag_seconds_count 5",
    ]
  ) assert.ok(text.includes(`${line}\n`), `${line} is not in:\n${text}`);
  for (const line of text.trimEnd().split("\n")) {
    assert.match(
      line,
      /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [\d.e+-]+)$/,
    );
  }
  await system.shutdown();
  assert.equal(clock.armed, 0);
});
