/** The transcript and the figures of a call, from its record. */

import assert from "node:assert/strict";
import { analyse } from "@/lib/conversation/analysis.ts";
import { type RecordedEvent, transcriptOf, transcriptText } from "@/lib/conversation/transcript.ts";

const START = Date.UTC(2026, 0, 5, 9);
const at = (ms: number): Date => new Date(START + ms);

const said = (ms: number, payload: object): RecordedEvent => ({
  type: "agent_said",
  at: at(ms),
  payload: { unheard: "", bargedIn: false, gapMs: null, parts: null, ...payload },
});
const heard = (ms: number, payload: object): RecordedEvent => ({
  type: "caller_said",
  at: at(ms),
  payload,
});
const event = (ms: number, type: string, payload: object = {}): RecordedEvent => ({
  type,
  at: at(ms),
  payload,
});

const EVENTS: readonly RecordedEvent[] = [
  event(0, "call_started", { direction: "inbound" }),
  event(100, "leg_started", { epoch: 1 }),
  said(3_100, { turn: 1, text: "Hello there.", span: { beganMs: 3_000, endedMs: 0 } }),
  heard(6_000, { turn: 2, text: "A toothache.", span: { beganMs: 2_000, endedMs: 400 } }),
  // What was heard of a turn that was cut is known only after the caller's next words.
  heard(9_000, { turn: 4, text: "Wait.", span: { beganMs: 900, endedMs: 500 } }),
  said(9_200, {
    turn: 3,
    text: "Which day",
    unheard: "suits you?",
    bargedIn: true,
    gapMs: 800,
    span: { beganMs: 2_800, endedMs: 1_000 },
  }),
  said(9_900, {
    turn: 5,
    text: "",
    unheard: "Yes?",
    bargedIn: true,
    span: { beganMs: null, endedMs: null },
  }),
  event(10_000, "failed", { part: "model" }),
  event(10_100, "tool_called", {}),
  event(10_200, "workflow_moved", { workflow: { outcome: "booked" } }),
  event(12_000, "call_ended", { outcome: "answered", reason: "caller_hung_up" }),
];

Deno.test("a transcript has every turn in its order, with what was heard and when", () => {
  const turns = transcriptOf(EVENTS);
  assert.deepEqual(turns.map(({ turn, speaker, text }) => [turn, speaker, text]), [
    [1, "agent", "Hello there."],
    [2, "caller", "A toothache."],
    [3, "agent", "Which day"],
    [4, "caller", "Wait."],
    [5, "agent", ""],
  ]);
  assert.deepEqual(turns.map(({ startedAt }) => startedAt), [
    at(100),
    at(4_000),
    at(6_400),
    at(8_100),
    null,
  ]);
  assert.deepEqual(turns[2], {
    turn: 3,
    speaker: "agent",
    text: "Which day",
    unheard: "suits you?",
    startedAt: at(6_400),
    endedAt: at(8_200),
    gapMs: 800,
    interrupted: true,
  });
});

Deno.test("as text, a turn that was heard is one line with its time", () => {
  const turns = transcriptOf([
    ...EVENTS,
    heard(75_000, { turn: 6, text: "Two\nlines.", span: { beganMs: 0, endedMs: 0 } }),
  ]);
  assert.equal(
    transcriptText(turns, at(0)),
    "[0:00] Agent: Hello there.\n[0:04] Caller: A toothache.\n[0:06] Agent: Which day –\n" +
      "[0:08] Caller: Wait.\n[1:15] Caller: Two lines.\n",
  );
});

Deno.test("an event from before spans were recorded has the time of its record", () => {
  const [turn] = transcriptOf([heard(5_000, { turn: 1, text: "Hello." })]);
  assert.deepEqual([turn?.startedAt, turn?.endedAt], [null, at(5_000)]);
});

Deno.test("the figures of a call are what its record says", () => {
  const call = {
    outcome: "answered",
    reason: "caller_hung_up",
    variables: { day: "Monday" },
    startedAt: at(-5_000),
    answeredAt: at(0),
    endedAt: at(12_000),
  };
  assert.deepEqual(analyse(call, EVENTS), {
    outcome: "answered",
    reason: "caller_hung_up",
    workflowOutcome: "booked",
    variables: { day: "Monday" },
    ringMs: 5_000,
    durationMs: 12_000,
    turns: { agent: 2, caller: 2 },
    words: { agent: 4, caller: 3 },
    speechMs: { agent: 4_800, caller: 2_000 },
    agentTalkRatio: 0.706,
    gapMs: { p50: 800, p95: 800, max: 800 },
    bargeIns: 2,
    toolCalls: 1,
    failures: 1,
    legsLost: 0,
    diagnosis: null,
  });
});

Deno.test("a call that nobody answered has figures of nothing", () => {
  const call = { outcome: "busy", reason: "carrier_ended", variables: {}, startedAt: at(0) };
  const figures = analyse({ ...call, answeredAt: null, endedAt: at(9_000) }, []);
  assert.deepEqual([figures.ringMs, figures.durationMs, figures.agentTalkRatio, figures.gapMs], [
    null,
    0,
    null,
    null,
  ]);
});

Deno.test("gaps are told by the nearest rank, each one that was heard", () => {
  const gaps = Array.from(
    { length: 20 },
    (_, nth) => said(nth, { turn: nth + 1, text: "Yes.", gapMs: (nth + 1) * 100 }),
  );
  const call = { outcome: null, reason: null, variables: {}, startedAt: at(0) };
  const { gapMs } = analyse({ ...call, answeredAt: null, endedAt: null }, gaps);
  assert.deepEqual(gapMs, { p50: 1_000, p95: 1_900, max: 2_000 });
});
