/** What is counted of calls. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { newCallMeter } from "@/actors/call/meter.ts";

const PARTS = { endpointing: 400, model: 200, clause: 0, synthesis: 100, playout: 0, carrier: 20 };

function said(gapMs: number | null, bargedIn = false): CallEvent {
  return {
    type: "agent_said",
    turn: 1,
    text: "Yes.",
    unheard: "",
    bargedIn,
    gapMs,
    parts: gapMs === null ? null : { ...PARTS, silence: gapMs - 720 },
    span: { beganMs: 0, endedMs: 0 },
  };
}

Deno.test("silences are counted by length, with parts that sum to them", () => {
  const meter = newCallMeter();
  for (const gapMs of [750, 900, 5_000, null]) meter.observe(said(gapMs));
  const text = meter.text();
  const value = (line: RegExp): number => Number(line.exec(text)?.[1]);
  assert.equal(value(/^conversation_gap_seconds_bucket\{le="0.8"\} (\S+)$/m), 1);
  assert.equal(value(/^conversation_gap_seconds_bucket\{le="4"\} (\S+)$/m), 2);
  assert.equal(value(/^conversation_gap_seconds_bucket\{le="\+Inf"\} (\S+)$/m), 3);
  const sums = [...text.matchAll(/^conversation_gap_part_seconds_sum\{part="\w+"\} (\S+)$/gm)];
  const sum = sums.reduce((total, [, seconds]) => total + Number(seconds), 0);
  assert.ok(Math.abs(sum - value(/^conversation_gap_seconds_sum (\S+)$/m)) < 1e-9);
  assert.equal(sums.length, 7);
});

Deno.test("turns, interruptions, failures, commands and endings are counted", () => {
  const meter = newCallMeter();
  meter.observe(said(null, true));
  meter.observe({ type: "caller_signalled", text: "mm-hm" });
  meter.observe({ type: "failed", part: "model", code: "provider_failed", message: "" });
  meter.observe({ type: "call_ended", outcome: "answered", reason: "transferred" });
  const text = meter.text();
  for (
    const line of [
      'conversation_turns_total{speaker="agent"} 1',
      "conversation_barge_ins_total 1",
      "conversation_backchannels_total 1",
      'conversation_failures_total{part="model"} 1',
      'calls_ended_total{reason="transferred"} 1',
    ]
  ) assert.ok(text.includes(`${line}\n`), line);
});

Deno.test("tokens are counted by what they stand for", () => {
  const meter = newCallMeter();
  meter.used({ inputTokens: 100, outputTokens: 10 });
  meter.used({ inputTokens: 50, outputTokens: 30, inputAudioTokens: 40, outputAudioTokens: 20 });
  const text = meter.text();
  for (
    const line of [
      'conversation_tokens_total{direction="input",of="text"} 110',
      'conversation_tokens_total{direction="output",of="text"} 20',
      'conversation_tokens_total{direction="input",of="sound"} 40',
      'conversation_tokens_total{direction="output",of="sound"} 20',
    ]
  ) assert.ok(text.includes(`${line}\n`), line);
});
