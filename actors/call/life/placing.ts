/** A call as its carrier has it: placed by us, its progress, and its end from outside. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { endingOf } from "@/actors/call/ending.ts";
import { AppError } from "@/lib/errors.ts";
import type { CallFacts } from "./facts.ts";
import { end, hangUpAtCarrier } from "./hanging_up.ts";
import { record } from "./record.ts";
import { save } from "./saving.ts";
import type { CallState, MessageOf } from "./state.ts";
import { fail, tell } from "./talking.ts";
import type { Detection } from "@/lib/providers/carrier/detection.ts";
import type { AnsweringSettings } from "@/lib/workflow/graph.ts";

/** A call we place may ring for so long. */
export const RING_MS = 90_000;

/** Has the carrier place the call. */
export function dial(
  call: CallFacts,
  state: CallState,
  { from, to, reply }: MessageOf<"dial">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase !== "connecting") {
    reply.fail(new AppError("conflict", "Cannot place a call: it has been hung up"));
    return save(call, state, ctx);
  }
  const { carrier, urls: { answeredByUrl, ...urls } } = call.deps;
  const timeLimitSeconds = Math.ceil((call.graph.limits.maxDurationMs + RING_MS) / 1000);
  const detection = detectionFor(call.scenario.answering, answeredByUrl);
  const request = { from, to, timeLimitSeconds, ...urls, ...(detection && { detection }) };
  ctx.run(
    "dial",
    (signal) => carrier.placeCall(request, signal),
    (outcome) => ({ type: "dialed", outcome, reply }),
  );
  return state;
}

/** The carrier has taken the call, or has not. */
export function dialed(
  call: CallFacts,
  state: CallState,
  { outcome, reply }: MessageOf<"dialed">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (outcome.ok) reply({ callId: call.settings.callId });
  else reply.fail(outcome.error);
  if (state.phase === "saving") return state;
  if (!outcome.ok) {
    const ending = state.ending ?? { outcome: "failed", reason: "carrier_ended" };
    return save(call, { ...fail(call, state, "carrier", outcome.error, ctx), ending }, ctx);
  }
  const { carrierCallId } = outcome.value;
  savePlaced(call, carrierCallId, ctx);
  if (state.phase === "ending") hangUpAtCarrier(call, carrierCallId, ctx);
  return record(call, { ...state, carrierCallId }, { type: "call_dialed", carrierCallId }, ctx);
}

/** The carrier says how the call goes; its word that it is over ends it here. */
export function progressed(
  call: CallFacts,
  state: CallState,
  { carrierCallId, progress, reply }: MessageOf<"progressed">,
  ctx: Context<CallMessage>,
): CallState | void {
  reply?.();
  const known = state.carrierCallId ?? carrierCallId; // its word may overtake the API's answer
  if (carrierCallId !== known) return state;
  const ending = endingOf(progress, state.answeredAt !== null);
  if (ending === null || state.phase === "saving") return state;
  if (state.carrierCallId === null) savePlaced(call, carrierCallId, ctx);
  return save(call, { ...state, carrierCallId: known, ending: state.ending ?? ending }, ctx);
}

/** Somebody outside the conversation ends the call. */
export function hangUp(
  call: CallFacts,
  state: CallState,
  { reply }: MessageOf<"hangUp">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase === "saving") {
    return reply?.fail(new AppError("conflict", "The call has ended"));
  }
  reply?.();
  const outcome = state.answeredAt === null ? "failed" : "answered";
  return end(call, state, { outcome, reason: "stopped" }, null, ctx);
}

/** The carrier says who has answered: told to the dialogue, as soon as there is a stream. */
export function carrierJudged(
  call: CallFacts,
  state: CallState,
  { carrierCallId, by }: MessageOf<"carrierJudged">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (carrierCallId !== (state.carrierCallId ?? carrierCallId)) return state;
  if (state.phase === "connecting") return { ...state, judged: state.judged ?? by };
  return tell(call, state, { type: "carrierJudged", by }, ctx);
}

/** What the carrier is to listen for; null: for nothing. */
function detectionFor(answering: AnsweringSettings | null, url: string): Detection | null {
  if (answering === null || answering.detector === "own") return null;
  const { onVoicemail, carrierTimeoutMs } = answering;
  const awaitsGreeting = onVoicemail === "leave_message";
  return { awaitsGreeting, timeoutSeconds: Math.ceil(carrierTimeoutMs / 1000), url };
}

function savePlaced(call: CallFacts, carrierCallId: string, ctx: Context<CallMessage>): void {
  ctx.run("save placed", (signal) => call.deps.savePlaced(carrierCallId, signal), () => ({
    type: "savedMeanwhile",
  }));
}
