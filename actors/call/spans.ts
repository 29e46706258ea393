/**
 * A call as OpenTelemetry spans: one of the call, and in it what each said and what each silence before an answer was
 * made of. The runtime exports them when `OTEL_DENO` is set; else all of this does nothing.
 * https://docs.deno.com/runtime/fundamentals/open_telemetry/
 */

import { context, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import type { CallEvent } from "./events.ts";
import type { GapParts } from "./gap.ts";

export interface SpannedCall {
  readonly callId: string;
  readonly tenantId: string;
  readonly direction: string;
  readonly channel?: string;
}

/** In the order in which they follow each other. */
const PARTS: readonly (keyof GapParts)[] = [
  "endpointing",
  "model",
  "clause",
  "synthesis",
  "playout",
  "carrier",
  "silence",
];

/** Takes the events of one call in their order. What was said is in none of them: spans go to others than transcripts. */
export function newCallSpans(call: SpannedCall): (event: CallEvent, at: Date) => void {
  const tracer = trace.getTracer("ringmaster");
  let root: Span | null = null;

  function rootAt(at: Date): Span {
    root ??= tracer.startSpan("call", {
      root: true,
      startTime: at, // of a call that was rebuilt: when it went on
      attributes: {
        "ringmaster.call.id": call.callId,
        "ringmaster.tenant.id": call.tenantId,
        "ringmaster.call.direction": call.direction,
        "ringmaster.call.channel": call.channel ?? "phone",
      },
    });
    return root;
  }

  function span(
    name: string,
    [from, until]: readonly [number, number],
    { parent, attributes = {} }: {
      readonly parent: Span;
      readonly attributes?: Readonly<Record<string, string | number | boolean>>;
    },
  ): Span {
    const within = trace.setSpan(context.active(), parent);
    const made = tracer.startSpan(name, { startTime: new Date(from), attributes }, within);
    made.end(new Date(until));
    return made;
  }

  function said(event: Extract<CallEvent, { type: "agent_said" | "caller_said" }>, at: Date): void {
    const { beganMs, endedMs } = event.span ?? { beganMs: null, endedMs: null };
    if (beganMs === null) return;
    const parent = rootAt(at);
    const from = at.getTime() - beganMs;
    const until = at.getTime() - (endedMs ?? 0);
    const turn = { "ringmaster.turn": event.turn };
    if (event.type === "caller_said") {
      span("caller", [from, until], { parent, attributes: turn });
      return;
    }
    const { gapMs, parts, bargedIn } = event;
    if (gapMs !== null && parts !== null) gap(gapMs, parts, { audibleAt: from, parent, turn });
    const attributes = { ...turn, "ringmaster.barged_in": bargedIn };
    span("agent", [from, until], { parent, attributes });
  }

  function gap(
    gapMs: number,
    parts: GapParts,
    { audibleAt, parent, turn }: {
      readonly audibleAt: number;
      readonly parent: Span;
      readonly turn: Readonly<Record<string, number>>;
    },
  ): void {
    const attributes = { ...turn, "ringmaster.gap_ms": gapMs };
    const whole = span("gap", [audibleAt - gapMs, audibleAt], { parent, attributes });
    let from = audibleAt - gapMs;
    for (const part of PARTS) {
      if (parts[part] > 0) span(part, [from, from + parts[part]], { parent: whole });
      from += parts[part];
    }
  }

  return (event, at) => {
    switch (event.type) {
      case "call_started":
        rootAt(at);
        return;
      case "agent_said":
      case "caller_said":
        return said(event, at);
      case "tool_called":
        rootAt(at).addEvent(event.type, { "gen_ai.tool.name": event.call.name }, at);
        return;
      case "failed":
        rootAt(at).addEvent("exception", {
          "exception.type": event.code,
          "exception.message": event.message,
          "ringmaster.part": event.part,
        }, at);
        return;
      case "call_ended": {
        const { outcome, reason } = event;
        const ended = rootAt(at);
        ended.setAttributes({
          "ringmaster.call.outcome": outcome,
          "ringmaster.call.reason": reason,
        });
        if (outcome === "failed") ended.setStatus({ code: SpanStatusCode.ERROR, message: reason });
        ended.end(at);
        return;
      }
      default:
        root?.addEvent(event.type, {}, at);
    }
  };
}
