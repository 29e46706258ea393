/** A call that crashed, or whose machine was lost or let it go: it goes on from its events. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage, History, Loss } from "@/actors/call/call.ts";
import type { Pause } from "@/actors/call/disclosure.ts";
import { CRASHED } from "@/actors/call/ending.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { isSensitive } from "@/actors/call/withheld.ts";
import { tune } from "./children.ts";
import type { CallFacts } from "./facts.ts";
import { end } from "./hanging_up.ts";
import { record } from "./record.ts";
import { goOnTaping, startRecording } from "./recorded.ts";
import { store } from "./saving.ts";
import { type CallState, type MessageOf, rendered } from "./state.ts";
import { owed, startDuration } from "./stream.ts";
import { converse, fail } from "./talking.ts";

/** Reads of the events that may fail; each has a deadline. */
const READS_MAX = 3;
/** Longer than any caller hears nothing and stays: clocks that say so are apart. */
const APART_MS = 60_000;

/** Nothing else happens before the events are here. */
export function readHistory(
  call: CallFacts,
  { after, tries }: Pick<MessageOf<"historyRead">, "after" | "tries">,
  ctx: Context<CallMessage>,
): void {
  ctx.hold("history", call.deps.history, (outcome) => ({
    ...{ type: "historyRead", after, tries, outcome },
  }));
}

/** The events are here: the call goes on where they end, or ends as they say. */
export function historyRead(
  call: CallFacts,
  state: CallState,
  { after, tries, outcome }: MessageOf<"historyRead">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (!outcome.ok) {
    if (outcome.error.retryable && tries < READS_MAX) {
      return readHistory(call, { after, tries: tries + 1 }, ctx);
    }
    return end(call, state, CRASHED, rendered(call.graph.failureSentence, state), ctx);
  }
  const { events } = outcome.value;
  const rebuiltOf = rebuild(events, call.graph);
  const { dialogue, seq, epoch, carrierCallId, recording, pulls, transferTo } = rebuiltOf;
  const heldMs = heldFor(outcome.value, ctx.date());
  const running = recording.isOn ? call.deps.recordings.running(call.settings.callId) : null;
  const pauses: Pause[] = recording.isAskedToPause ? ["asked"] : [];
  if (isSensitive(call.graph, dialogue.workflow.node)) pauses.push("sensitive");
  const rebuilt: CallState = {
    ...state,
    phase: "connecting",
    carrierCallId: state.carrierCallId ?? carrierCallId,
    dialogue,
    pulls,
    seq,
    secrets: rebuiltOf.isForgetful ? "any" : [],
    link: { ...state.link, epoch: epoch + 1 },
    taping: running && { running, pauses },
    usedBefore: rebuiltOf.usage,
    transferTo,
    answeredAt: epoch === 0 ? null : new Date(+ctx.date() - heldMs), // once stored, the first one stays
  };
  const ended = events.findLast((event) => event.type === "call_ended");
  if (ended !== undefined) {
    return store(call, rebuilt, { outcome: ended.outcome, reason: ended.reason }, ctx);
  }
  if (epoch > 0) startDuration(call, heldMs, ctx);
  tune(call, rebuilt);
  const { direction } = call.settings;
  const begun = seq === 0
    ? record(call, rebuilt, { type: "call_started", direction }, ctx) // lost with what was to commit it
    : rebuilt;
  const failed = noteLoss(call, begun, {
    ...{ after, isCutOff: rebuiltOf.isLegOpen, epoch, pressing: rebuiltOf.pressing },
  }, ctx);
  if (recording.isDue) return startRecording(call, failed, ctx);
  if (!recording.isOn || running !== null) return failed;
  if (after !== "crash") return goOnTaping(call, failed, pauses, ctx);
  return record(call, failed, { type: "recording_failed", reason: "crashed" }, ctx);
}

/**
 * How long the call has been held: by the clock of this machine, where that agrees with the one whose
 * events these are; they may be apart.
 */
export function heldFor({ answeredAt, lastAt }: History, now: Date): number {
  if (answeredAt === null || lastAt === null) return 0;
  const toldMs = Math.max(0, +lastAt - +answeredAt);
  return Math.min(Math.max(+now - +answeredAt, toldMs), toldMs + APART_MS);
}

/** Why it had to be rebuilt stands on record, and what was broken off; that a machine was left on purpose does already. */
function noteLoss(
  call: CallFacts,
  state: CallState,
  { after, isCutOff, epoch, pressing }: {
    readonly after: Loss | "crash";
    readonly pressing: string | null;
    readonly isCutOff: boolean;
    readonly epoch: number;
  },
  ctx: Context<CallMessage>,
): CallState {
  const pressed = pressing === null
    ? state
    : record(call, state, { type: "keys_sent", digits: pressing, isComplete: false }, ctx);
  const settled = converse(call, pressed, { type: "legLost" }, ctx);
  const lost = isCutOff
    ? record(call, settled, { type: "leg_lost", epoch, ...owed(settled) }, ctx)
    : settled;
  switch (after) {
    case "handedOver":
      return lost;
    case "crash":
      return fail(call, lost, "call", { code: "crashed", message: "Rebuilt" }, ctx);
    case "machineLost": {
      const error = { code: "machine_lost", message: "Goes on on another machine" };
      return fail(call, lost, "call", error, ctx);
    }
  }
}
