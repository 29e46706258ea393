/** What the record of a call says about it: counts and milliseconds, no opinion. */

import { diagnose, type Diagnosis } from "./diagnosis.ts";
import { type RecordedEvent, transcriptOf, type TranscriptTurn } from "./transcript.ts";

/** What the call's row says. */
export interface CallRecord {
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly startedAt: Date;
  /** Null: nobody answered. */
  readonly answeredAt: Date | null;
  readonly endedAt: Date | null;
}

export interface Sides {
  readonly agent: number;
  readonly caller: number;
}

export interface CallAnalysis {
  readonly outcome: string | null;
  readonly reason: string | null;
  /** How the agent's graph says that it came out, as `booked`; null when it did not come to an end of it. */
  readonly workflowOutcome: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  /** From the ring to the answer; null when nobody answered. */
  readonly ringMs: number | null;
  /** From the answer to the end. */
  readonly durationMs: number;
  readonly turns: Sides;
  /** Heard, not meant. */
  readonly words: Sides;
  /** How long each was heard to speak, as far as the record tells. */
  readonly speechMs: Sides;
  /** The agent's part of the speech, 0 to 1; null when nobody spoke. */
  readonly agentTalkRatio: number | null;
  /** The silences the caller heard before the agent answered; null when it never did. */
  readonly gapMs: { readonly p50: number; readonly p95: number; readonly max: number } | null;
  /** How often the agent was broken off. */
  readonly bargeIns: number;
  readonly toolCalls: number;
  readonly failures: number;
  readonly legsLost: number;
  /** Why a side was never heard; null: both were, or nobody answered. */
  readonly diagnosis: Diagnosis | null;
}

export function analyse(call: CallRecord, events: readonly RecordedEvent[]): CallAnalysis {
  const turns = transcriptOf(events);
  const { startedAt, answeredAt, endedAt } = call;
  const countOf = (type: string): number => events.filter((event) => event.type === type).length;
  const speechMs = sides(turns, speechOf);
  const spoken = speechMs.agent + speechMs.caller;
  return {
    outcome: call.outcome,
    reason: call.reason,
    workflowOutcome: workflowOutcomeOf(events),
    variables: call.variables,
    ringMs: answeredAt === null ? null : Math.max(0, +answeredAt - +startedAt),
    durationMs: answeredAt === null || endedAt === null ? 0 : Math.max(0, +endedAt - +answeredAt),
    turns: sides(turns, ({ text }) => text === "" ? 0 : 1),
    words: sides(turns, ({ text }) => text.split(/\s+/).filter((word) => word !== "").length),
    speechMs,
    agentTalkRatio: spoken === 0 ? null : Math.round(1000 * speechMs.agent / spoken) / 1000,
    gapMs: percentiles(turns.flatMap(({ gapMs }) => gapMs === null ? [] : [gapMs])),
    bargeIns: turns.filter(({ interrupted }) => interrupted).length,
    toolCalls: countOf("tool_called"),
    failures: countOf("failed"),
    legsLost: countOf("leg_lost"),
    diagnosis: diagnose(events, answeredAt !== null),
  };
}

/** Where the graph stood last. */
function workflowOutcomeOf(events: readonly RecordedEvent[]): string | null {
  const moved = events.findLast(({ type }) => type === "workflow_moved");
  const outcome: unknown = Object(Object(moved?.payload).workflow).outcome;
  return typeof outcome === "string" ? outcome : null;
}

function sides(
  turns: readonly TranscriptTurn[],
  figure: (turn: TranscriptTurn) => number,
): Sides {
  const of = (speaker: TranscriptTurn["speaker"]): number =>
    turns.reduce((sum, turn) => turn.speaker === speaker ? sum + figure(turn) : sum, 0);
  return { agent: of("agent"), caller: of("caller") };
}

function speechOf({ startedAt, endedAt }: TranscriptTurn): number {
  return startedAt === null ? 0 : Math.max(0, +endedAt - +startedAt);
}

/** By the nearest rank: each is a gap that was heard. */
function percentiles(gaps: readonly number[]): CallAnalysis["gapMs"] {
  const sorted = [...gaps].sort((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return sorted.length === 0 ? null : { p50: at(0.5), p95: at(0.95), max: at(1) };
}
