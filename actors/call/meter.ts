/** What the calls of this machine come to, counted as it happens: silences and their parts, failures, endings. */

import { counter, labelled, type Sample } from "@/lib/prometheus.ts";
import type { ModelUsage } from "@/lib/providers/llm/llm.ts";
import type { CallEvent } from "./events.ts";
import { PARTS } from "./gap.ts";

/** Upper bounds, milliseconds. A good answer comes within a second; two are felt as silence. */
const GAP_BUCKETS_MS = [200, 300, 400, 500, 650, 800, 1_000, 1_250, 1_500, 2_000, 3_000, 4_000];
const PART_BUCKETS_MS = [5, 20, 50, 100, 200, 400, 800, 1_500, 3_000];

export interface CallMeter {
  observe(event: CallEvent): void;
  /** A model's answer took these. */
  used(usage: ModelUsage): void;
  /** As Prometheus text. */
  text(): string;
}

interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sumMs: number;
}

export function newCallMeter(): CallMeter {
  const gaps = newHistogram(GAP_BUCKETS_MS);
  const parts = new Map(PARTS.map((part) => [part, newHistogram(PART_BUCKETS_MS)]));
  const turns = { agent: 0, caller: 0, bargedIn: 0, signalled: 0 };
  const failures = new Map<string, number>();
  const endings = new Map<string, number>();
  const commands = new Map<string, number>();
  const tokens = { input: 0, output: 0, inputAudio: 0, outputAudio: 0 };

  return {
    observe(event) {
      switch (event.type) {
        case "agent_said":
          turns.agent++;
          if (event.bargedIn) turns.bargedIn++;
          if (event.gapMs !== null) add(gaps, event.gapMs);
          for (const [part, ms] of Object.entries(event.parts ?? {})) {
            add(parts.get(part as typeof PARTS[number]) ?? newHistogram([]), ms);
          }
          return;
        case "caller_said":
          return void turns.caller++;
        case "caller_signalled":
          return void turns.signalled++;
        case "failed":
          return count(failures, event.part);
        case "controlled":
          return count(commands, event.action);
        case "call_ended":
          return count(endings, event.reason);
        default: // the others are counted by the tables they stand in
          return;
      }
    },
    used({ inputTokens, outputTokens, inputAudioTokens = 0, outputAudioTokens = 0 }) {
      tokens.input += inputTokens - inputAudioTokens;
      tokens.output += outputTokens - outputAudioTokens;
      tokens.inputAudio += inputAudioTokens;
      tokens.outputAudio += outputAudioTokens;
    },
    text: () =>
      [
        histogram("conversation_gap_seconds", "Silence that a caller heard before an answer.", [
          [{}, gaps],
        ]),
        histogram(
          "conversation_gap_part_seconds",
          "Parts of that silence; they sum to it.",
          [...parts].map(([part, each]) => [{ part }, each]),
        ),
        counter("conversation_turns_total", "Turns that were heard.", [
          [{ speaker: "agent" }, turns.agent],
          [{ speaker: "caller" }, turns.caller],
        ]),
        counter("conversation_barge_ins_total", "Utterances that a caller cut off.", [
          [{}, turns.bargedIn],
        ]),
        counter("conversation_backchannels_total", "Signs of listening that interrupted nothing.", [
          [{}, turns.signalled],
        ]),
        counter("conversation_failures_total", "Failures within calls.", samples("part", failures)),
        counter(
          "conversation_commands_total",
          "Commands of live control.",
          samples("action", commands),
        ),
        counter("conversation_tokens_total", "Tokens of language models, as they tell of them.", [
          [{ direction: "input", of: "text" }, tokens.input],
          [{ direction: "output", of: "text" }, tokens.output],
          [{ direction: "input", of: "sound" }, tokens.inputAudio],
          [{ direction: "output", of: "sound" }, tokens.outputAudio],
        ]),
        counter("calls_ended_total", "Calls that ended.", samples("reason", endings)),
      ].join(""),
  };
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function samples(label: string, counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([name, value]) => [{ [label]: name }, value]);
}

function newHistogram(bounds: readonly number[]): Histogram {
  return { bounds, counts: Array(bounds.length + 1).fill(0), sumMs: 0 };
}

function add(histogram: Histogram, ms: number): void {
  const at = histogram.bounds.findIndex((bound) => ms <= bound);
  const slot = at === -1 ? histogram.bounds.length : at;
  histogram.counts[slot] = (histogram.counts[slot] ?? 0) + 1;
  histogram.sumMs += ms;
}

function histogram(
  name: string,
  help: string,
  rows: readonly (readonly [Readonly<Record<string, string>>, Histogram])[],
): string {
  const lines = rows.flatMap(([labels, { bounds, counts, sumMs }]) => {
    let total = 0;
    const buckets = [...bounds.map((ms) => String(ms / 1_000)), "+Inf"].map((le, at) => {
      total += counts[at] ?? 0;
      return `${name}_bucket${labelled({ ...labels, le })} ${total}\n`;
    });
    const tail = labelled(labels);
    return [...buckets, `${name}_sum${tail} ${sumMs / 1_000}\n`, `${name}_count${tail} ${total}\n`];
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${lines.join("")}`;
}
