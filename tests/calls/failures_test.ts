/** What fails in a call, and what the caller then hears. */

import assert from "node:assert/strict";
import type { CallDeps } from "@/actors/call/call.ts";
import { fillersOf, unheardOf } from "@/lib/workflow/phrases.ts";
import { AppError } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph, startOf } from "@/lib/workflow/graph.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { type CallKit, callKit } from "@/tests/support/call_kit.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import {
  type Fault,
  faultyModel,
  faultyStt,
  faultyTts,
  LOST,
  WRONG_KEY,
} from "@/tests/support/faulty.ts";
import { eventLog } from "@/tests/support/event_log.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";

const graph = parseGraph(demoAgent);
const { greeting } = startOf(graph);
const SORRY = graph.failureSentence;
const BUG = new TypeError("planted");

interface Faults {
  readonly stt?: readonly Fault[];
  readonly tts?: readonly Fault[];
  readonly llm?: readonly Fault[];
  readonly deps?: Partial<CallDeps>;
}

/** A call whose providers have these faults, and a caller who says the demo's lines. */
async function setUp({ stt = [], tts = [], llm = [], deps = {} }: Faults) {
  const kit = actorKit();
  const { clock } = kit;
  const whole = callKit({
    kit,
    deps: {
      stt: faultyStt(simulatedStt({ clock }), clock, stt),
      tts: faultyTts(simulatedTts({ clock }), clock, tts),
      llm: faultyModel(simulatedModel({ clock, firstTokenMs: 200, tokenMs: 15 }), clock, llm),
      ...deps,
    },
  });
  const stream = await whole.connect();
  return { ...whole, clock, caller: phone(whole, stream, demoCaller) };
}

function phone({ kit: { clock } }: CallKit, stream: MediaStream, lines: readonly string[]): Caller {
  return newCaller({ clock, stream, lines, hangUp: () => stream.stop() });
}

function heard({ streams }: CallKit): string {
  return streams.flatMap(playedWords).map(({ text }) => text).join(" ");
}

/** The transcript holds what was heard. */
function assertTrue({ events, streams }: CallKit): void {
  const said = events.filter((event) => event.type === "agent_said");
  const { extra, missing } = compareHeard(said, streams.flatMap(playedWords), []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
}

/** The transcript holds nothing but what was heard; an utterance that a crash cut off may be lacking. */
function assertNothingExtra({ events, streams }: CallKit): void {
  const played = streams.flatMap(playedWords).map(({ text }) => text).values();
  const said = events.flatMap((event) => event.type === "agent_said" ? event.text.split(" ") : []);
  for (const word of said) assert.ok(played.some((heard) => heard === word), `extra: ${word}`);
}

function failuresOf({ events }: CallKit): string[] {
  return events.flatMap((event) => event.type === "failed" ? [`${event.part} ${event.code}`] : []);
}

function endOf({ ends }: CallKit): string[] {
  return ends.map(({ outcome, reason }) => `${outcome} ${reason}`);
}

const after = (afterMs: number, error: Error): Fault => ({ afterMs, error });

Deno.test("a recogniser that is lost is replaced while the agent finishes its word, and the booking is made", async () => {
  const call = await setUp({ stt: [after(1_500, LOST), after(9_000, LOST)] });
  await call.clock.advance(100_000);
  call.caller.stop();
  assert.ok(heard(call).startsWith(greeting));
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assert.equal(call.ends[0]?.variables.time, "half past nine");
  assert.equal(call.streams.length, 1);
  assertTrue(call);
  await call.close();
});

Deno.test("a recogniser that is lost four times in a minute has the call rebuilt, and the conversation goes on", async () => {
  const faults = [after(9_000, LOST), after(500, LOST), after(500, LOST), after(500, LOST)];
  const call = await setUp({ stt: faults });
  while (call.streams[0]?.log.at(-1)?.type !== "closed") await call.clock.advance(20);
  call.caller.stop();
  assert.ok(call.events.some((event) => event.type === "caller_said"), "they had been talking");
  const stream = await call.reconnect();
  const again = phone(call, stream, demoCaller.slice(1));
  await call.clock.advance(100_000);
  again.stop();
  assert.deepEqual(failuresOf(call), ["call crashed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assert.deepEqual(call.ends[0]?.variables.patient, "Maria Lopez");
  assert.deepEqual(call.ends[0]?.variables.time, "half past nine");
  assert.deepEqual(call.stops, [{ type: "done" }]);
  assertNothingExtra(call);
  await call.close();
});

/** A call with one recogniser, which is connected to anew as it is in production. */
async function setUpLone(faults: readonly Fault[]) {
  const { clock, ...kit } = actorKit();
  const breaker = newBreakers(clock).of("lone");
  const provider = faultyStt(simulatedStt({ clock }), clock, faults);
  const stt = failoverRecogniser({ clock, recognisers: [{ provider, breaker }] });
  const call = callKit({ kit: { clock, ...kit }, deps: { stt } });
  const stream = await call.connect();
  return { ...call, clock, caller: phone(call, stream, demoCaller) };
}

Deno.test("a lone recogniser that is down for some seconds: the caller is told, is heard after all, and the booking is made", async () => {
  const outage = Array(5).fill(after(0, LOST));
  const call = await setUpLone([after(5_500, LOST), ...outage]);
  await call.clock.advance(100_000);
  call.caller.stop();
  const [moment = ""] = unheardOf("en");
  assert.equal(heard(call).split(moment).length, 2, heard(call));
  assert.deepEqual(failuresOf(call), ["listener provider_failed"]);
  assert.equal(call.ends[0]?.variables.patient, "Maria Lopez");
  assert.equal(call.ends[0]?.variables.time, "half past nine");
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a lone recogniser that stays down: the caller is told so, and then that the call must end", async () => {
  const call = await setUpLone([after(3_000, LOST), ...Array(50).fill(after(0, LOST))]);
  await call.clock.advance(60_000);
  call.caller.stop();
  const told = heard(call);
  assert.ok(told.includes(unheardOf("en")[0] ?? "none"), told);
  assert.ok(told.endsWith(SORRY), told);
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a recogniser with a wrong key: the agent apologises and hangs up, and the record says why", async () => {
  const call = await setUp({ stt: [after(1_500, WRONG_KEY)] });
  await call.clock.advance(15_000);
  call.caller.stop();
  assert.ok(heard(call).endsWith(SORRY));
  assert.deepEqual(failuresOf(call), ["listener provider_failed"]);
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  assert.equal(call.hangUps.length, 1);
  assertTrue(call);
  await call.close();
});

Deno.test("a recogniser with a wrong key before the stream is there: the carrier's voice apologises", async () => {
  const { clock, ...kit } = actorKit();
  const call = callKit({
    kit: { clock, ...kit },
    deps: { stt: faultyStt(simulatedStt({ clock }), clock, [after(100, WRONG_KEY)]) },
  });
  await call.answer();
  await clock.advance(200);
  assert.equal(await call.attach(1, `token-${"1".padStart(32, "0")}`), "refused");
  assert.deepEqual(await call.resume(), { type: "refused", sentence: SORRY });
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  await call.close();
});

Deno.test("a voice that breaks off is asked again for what was not heard", async () => {
  const call = await setUp({ tts: [after(150, LOST)] });
  await call.clock.advance(100_000);
  call.caller.stop();
  assert.ok(heard(call).startsWith(greeting), heard(call));
  assert.deepEqual(failuresOf(call), ["speaker provider_failed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a voice that does not work at all leaves the apology to the carrier's own", async () => {
  const call = await setUp({ tts: [after(50, WRONG_KEY)] });
  await call.clock.advance(200);
  call.caller.stop();
  assert.equal(call.streams[0]?.log.at(-1)?.type, "closed");
  assert.deepEqual(await call.resume(), { type: "refused", sentence: SORRY });
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  await call.close();
});

Deno.test("a carrier that does not ask after its stream was closed for an apology is not waited for", async () => {
  const call = await setUp({ tts: [after(50, WRONG_KEY)] });
  await call.clock.advance(10_000);
  call.caller.stop();
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  assert.deepEqual(call.stops, [{ type: "done" }]);
  await call.close();
});

Deno.test("a speaker that crashes goes on from the first word that was not heard", async () => {
  const call = await setUp({ tts: [after(150, BUG)] });
  await call.clock.advance(100_000);
  call.caller.stop();
  assert.ok(heard(call).startsWith(greeting), heard(call));
  assert.deepEqual(failuresOf(call), ["speaker crashed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a model request that fails is made again, and the caller notices nothing but time", async () => {
  const call = await setUp({ llm: [after(100, LOST)] });
  await call.clock.advance(100_000);
  call.caller.stop();
  assert.deepEqual(failuresOf(call), ["model provider_failed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a model that crashes is asked again", async () => {
  const call = await setUp({ llm: [after(100, BUG)] });
  await call.clock.advance(100_000);
  call.caller.stop();
  assert.deepEqual(failuresOf(call), ["model crashed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a model that fails twice for one turn: the agent apologises and hangs up", async () => {
  const call = await setUp({ llm: [after(100, LOST), after(100, LOST)] });
  await call.clock.advance(30_000);
  call.caller.stop();
  assert.equal(heard(call), `${greeting} ${SORRY}`);
  assert.deepEqual(failuresOf(call), ["model provider_failed", "model provider_failed"]);
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  assertTrue(call);
  await call.close();
});

Deno.test("a model that hangs: the agent bridges the wait, and apologises when its time is over", async () => {
  const hangs = { provider: "test", respond: () => until(new Promise<never>(() => {})) };
  const call = await setUp({ deps: { llm: hangs } });
  while (call.caller.lines.length === 0) await call.clock.advance(20);
  call.caller.stop(); // this caller waits
  await call.clock.advance(30_000);
  assert.equal(heard(call), `${greeting} ${fillersOf("en").join(" ")} ${SORRY}`);
  assert.deepEqual(failuresOf(call), ["model unknown_outcome"]);
  assert.deepEqual(endOf(call), ["failed provider_failed"]);
  assertTrue(call);
  await call.close();
});

// deno-lint-ignore require-yield
async function* until(forever: Promise<never>): AsyncGenerator<never> {
  await forever;
}

/** A call that has crashed once: a bug in its own handler, which the first so many functions of the model meet. */
async function setUpBuggy(times: number) {
  const log = eventLog();
  const { events } = log;
  let left = times;
  const deps: Partial<CallDeps> = {
    record(seq, event, at) {
      if (event.type === "tool_called" && left-- > 0) throw BUG;
      log.record(seq, event, at);
    },
    history: log.history,
  };
  const call = await setUp({ deps });
  while (call.streams[0]?.log.at(-1)?.type !== "closed") await call.clock.advance(20);
  call.caller.stop();
  return { ...call, events };
}

Deno.test("a call that crashes is rebuilt from its events, and the caller goes on where they were", async () => {
  const call = await setUpBuggy(1);
  const stream = await call.reconnect();
  const again = phone(call, stream, demoCaller);
  await call.clock.advance(100_000);
  again.stop();
  assert.deepEqual(failuresOf(call), ["call crashed"]);
  assert.deepEqual(endOf(call), ["answered agent_hung_up"]);
  assert.equal(call.ends[0]?.variables.time, "half past nine");
  assertTrue(call);
  await call.close();
});

Deno.test("a call that crashes again ends for good, and nobody waits for it", async () => {
  const call = await setUpBuggy(2);
  const stream = await call.reconnect();
  const again = phone(call, stream, demoCaller);
  await call.clock.advance(30_000);
  again.stop();
  assert.deepEqual(call.stops, [{ type: "crashed", error: BUG }]);
  assert.equal(stream.log.at(-1)?.type, "closed");
  assert.deepEqual(call.kit.system.list().map(({ kind }) => kind), []);
  await call.close();
});

Deno.test("a call that is rebuilt and gets no stream ends as leg lost, for it had been answered", async () => {
  const call = await setUpBuggy(1);
  await call.clock.advance(30_000);
  assert.deepEqual(endOf(call), ["failed leg_lost"]);
  await call.close();
});

Deno.test("a call that cannot read its events apologises in the carrier's voice", async () => {
  const away = new AppError("database_unavailable", "No answer in time", { retryable: true });
  const call = await setUp({
    deps: {
      record(_seq, event) {
        if (event.type === "caller_said") throw BUG;
      },
      history: () => Promise.reject(away),
    },
  });
  while (call.streams[0]?.log.at(-1)?.type !== "closed") await call.clock.advance(20);
  call.caller.stop();
  assert.deepEqual(await call.resume(), { type: "refused", sentence: SORRY });
  assert.deepEqual(endOf(call), ["failed crashed"]);
  await call.close();
});

Deno.test("a call that crashes when it has ended is stored as it ended", async () => {
  let saves = 0;
  const call = await setUp({
    deps: {
      saveEnd() {
        if (saves++ === 0) throw BUG;
        return Promise.resolve();
      },
    },
  });
  await call.clock.advance(2_000);
  call.caller.stop();
  call.call.send({ type: "hangUp" });
  await call.clock.advance(1_000);
  assert.equal(saves, 2);
  const ends = call.events.filter((event) => event.type === "call_ended");
  assert.deepEqual(ends, [{ type: "call_ended", outcome: "answered", reason: "stopped" }]);
  assert.deepEqual(call.stops, [{ type: "done" }]);
  await call.close();
});
