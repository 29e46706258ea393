/** A call that is recorded: its tape begins, and is silent where nothing may be kept. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import type { Pause } from "@/actors/call/disclosure.ts";
import { pauseTaping, tapeMessage, type Taping } from "@/actors/call/taping.ts";
import { isSensitive, tellsSecret } from "@/actors/call/withheld.ts";
import type { CallFacts } from "./facts.ts";
import { record } from "./record.ts";
import type { CallState, MessageOf } from "./state.ts";

/** From here on what goes over the line is recorded. */
export function startRecording(
  call: CallFacts,
  state: CallState,
  ctx: Context<CallMessage>,
): CallState {
  const { graph: { recording }, scenario: { consent } } = call;
  if (recording === null || consent === null || state.taping !== null) return state;
  const { callId, tenantId } = call.settings;
  const { format } = recording;
  const running = call.deps.recordings.open({ callId, tenantId, consent, format }, ctx.self);
  const taping: Taping = { running, pauses: [] };
  const on = record(call, { ...state, taping }, { type: "recording_started", consent }, ctx);
  tape(on);
  return heedNode(call, on, ctx);
}

/** A recording that was on goes on, here. */
export function goOnTaping(
  call: CallFacts,
  state: CallState,
  pauses: readonly Pause[],
  ctx: Context<CallMessage>,
): CallState {
  const { graph: { recording }, scenario: { consent } } = call;
  if (recording === null || consent === null) return state;
  const { callId, tenantId } = call.settings;
  const { format } = recording;
  const running = call.deps.recordings.open({ callId, tenantId, consent, format }, ctx.self);
  return record(call, { ...state, taping: { running, pauses } }, {
    type: "recording_continued",
  }, ctx);
}

/** Has the leg that there is taped, if the call is recorded. */
export function tape({ taping, children: { leg } }: CallState): void {
  if (taping !== null) leg?.send(tapeMessage(taping));
}

/** Nothing that is said or keyed at a sensitive node is recorded. */
export function heedNode(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const isHere = isSensitive(call.graph, state.dialogue.workflow.node);
  return pauseTape(call, state, { cause: "sensitive", isPaused: isHere }, ctx);
}

/** A number that was given at a sensitive node is not recorded when the agent repeats it. */
export function hush(
  call: CallFacts,
  state: CallState,
  text: string,
  ctx: Context<CallMessage>,
): CallState {
  if (!tellsSecret(text, state.secrets)) return state;
  return pauseTape(call, state, { cause: "repeated", isPaused: true }, ctx);
}

/** One more cause for silence on the tape, or one less. */
export function pauseTape(
  call: CallFacts,
  state: CallState,
  change: Parameters<typeof pauseTaping>[1],
  ctx: Context<CallMessage>,
): CallState {
  if (state.taping === null) return state;
  const [taping, event] = pauseTaping(state.taping, change);
  if (event === null) return { ...state, taping };
  state.children.leg?.send({ type: "pauseTape", isPaused: change.isPaused });
  return record(call, { ...state, taping }, event, ctx);
}

/** The recording has failed: the call goes on without. */
export function recordingLost(
  call: CallFacts,
  state: CallState,
  { reason }: MessageOf<"recordingLost">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.taping === null) return state;
  state.children.leg?.send({ type: "tape", running: null, isPaused: false });
  return record(call, { ...state, taping: null }, { type: "recording_failed", reason }, ctx);
}
