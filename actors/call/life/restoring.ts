/** A call that crashed, or whose machine was lost or let it go: it goes on from its events. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage, Loss } from "@/actors/call/call.ts";
import type { Pause } from "@/actors/call/disclosure.ts";
import { CRASHED } from "@/actors/call/ending.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { isSensitive } from "@/actors/call/withheld.ts";
import { tune } from "./children.ts";
import type { CallFacts } from "./facts.ts";
import { end } from "./hanging_up.ts";
import { record } from "./record.ts";
import { store } from "./saving.ts";
import { type CallState, type MessageOf, rendered } from "./state.ts";
import { startDuration } from "./stream.ts";
import { fail } from "./talking.ts";

/** The events are here: the call goes on where they end, or ends as they say. */
export function historyRead(
  call: CallFacts,
  state: CallState,
  { after, outcome }: MessageOf<"historyRead">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (!outcome.ok) {
    return end(call, state, CRASHED, rendered(call.graph.failureSentence, state), ctx);
  }
  const rebuiltOf = rebuild(outcome.value, call.graph);
  const { dialogue, seq, epoch, carrierCallId, recording, pulls } = rebuiltOf;
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
    link: { ...state.link, epoch: epoch + 1 },
    taping: running && { running, pauses },
    answeredAt: epoch === 0 ? null : ctx.date(), // once stored, the first one stays
  };
  const ended = outcome.value.findLast((event) => event.type === "call_ended");
  if (ended !== undefined) {
    return store(call, rebuilt, { outcome: ended.outcome, reason: ended.reason }, ctx);
  }
  if (epoch > 0) startDuration(call, ctx);
  tune(call, rebuilt);
  const failed = noteLoss(call, rebuilt, { after, isCutOff: rebuiltOf.isLegOpen, epoch }, ctx);
  if (!recording.isOn || running !== null) return failed;
  return record(call, failed, { type: "recording_failed", reason: "crashed" }, ctx);
}

/** Why it had to be rebuilt stands on record; that a machine was left on purpose does already. */
function noteLoss(
  call: CallFacts,
  state: CallState,
  { after, isCutOff, epoch }: {
    readonly after: Loss | "crash";
    readonly isCutOff: boolean;
    readonly epoch: number;
  },
  ctx: Context<CallMessage>,
): CallState {
  switch (after) {
    case "handedOver":
      return state;
    case "crash":
      return fail(call, state, "call", { code: "crashed", message: "Rebuilt" }, ctx);
    case "machineLost": {
      const lost = isCutOff ? record(call, state, { type: "leg_lost", epoch }, ctx) : state;
      const error = { code: "machine_lost", message: "Goes on on another machine" };
      return fail(call, lost, "call", error, ctx);
    }
  }
}
