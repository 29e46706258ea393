/** What a call's children and clocks report, and others command, where more than the dialogue heeds it. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { controlled } from "@/actors/call/control.ts";
import type { Ending } from "@/actors/call/ending.ts";
import { wordsOf } from "@/actors/call/screen.ts";
import { keypadOf } from "@/actors/call/tuning.ts";
import { AppError } from "@/lib/errors.ts";
import type { CallFacts } from "./facts.ts";
import { end } from "./hanging_up.ts";
import { record, show } from "./record.ts";
import { type CallState, type MessageOf, rendered } from "./state.ts";
import { apologise, fail, obey, pull, tell, tellOfSpeech } from "./talking.ts";

/** The recogniser's words: shown to a caller with a screen (under pressure the final ones alone), and told to the dialogue. */
export function heard(
  call: CallFacts,
  state: CallState,
  message: MessageOf<"heard">,
  ctx: Context<CallMessage>,
): CallState | void {
  const { recognition } = message;
  if (recognition.type === "interim" || recognition.type === "final") {
    const isFinal = recognition.type === "final";
    const isShown = isFinal || !(call.deps.isPressed?.() ?? false);
    if (isShown) show(call, state, { type: "callerWords", text: recognition.text, isFinal });
  }
  return tell(call, state, message, ctx);
}

/** Words of the agent have their sound: shown to a caller with a screen. */
export function wordsPlaced(
  call: CallFacts,
  state: CallState,
  message: MessageOf<"wordsPlaced">,
  ctx: Context<CallMessage>,
): CallState | void {
  show(call, state, wordsOf(message, state.dialogue.utterances));
  return tellOfSpeech(call, state, message, ctx);
}

/** The caller has pressed a key. */
export function pressed(
  call: CallFacts,
  state: CallState,
  { digit }: MessageOf<"pressed">,
  ctx: Context<CallMessage>,
): CallState | void {
  const { interDigitMs } = keypadOf(call.graph, state.dialogue.workflow.node);
  ctx.timer("keys", interDigitMs, { type: "keysDue" });
  const pressed = record(call, state, { type: "dtmf_pressed", digit }, ctx);
  return pull(call, tell(call, pressed, { type: "pressed", digit }, ctx), {
    type: "pressed",
    digit,
  }, ctx);
}

/** No recogniser can be had any more. */
export function deaf(
  call: CallFacts,
  state: CallState,
  { error }: MessageOf<"deaf">,
  ctx: Context<CallMessage>,
): CallState | void {
  return apologise(call, fail(call, state, "listener", error, ctx), "provider_failed", ctx);
}

/** The call has gone on for as long as its agent lets it. */
export function durationPassed(
  call: CallFacts,
  state: CallState,
  _message: MessageOf<"durationPassed">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.dialogue.ending !== null) return state; // its last words are being said, or wait for a leg
  const ending: Ending = { outcome: "answered", reason: "max_duration" };
  if (state.phase !== "live") return end(call, state, ending, null, ctx); // between two legs
  const sentence = rendered(call.graph.timeUpSentence, state);
  return tell(call, state, { type: "end", sentence, ending }, ctx);
}

/** A command, if the call can follow it now. */
export function control(
  call: CallFacts,
  state: CallState,
  { command, by, reply }: MessageOf<"control">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase !== "live" || state.dialogue.ending !== null) {
    return reply.fail(new AppError("conflict", "The call is not being held now"));
  }
  if (command.type === "transfer" && !call.isAsked) {
    return reply.fail(
      new AppError("conflict", "A call from a browser or a room has no carrier to dial"),
    );
  }
  const isOfRecording = command.type === "pauseRecording" ||
    command.type === "resumeRecording";
  if (isOfRecording && state.taping === null) {
    return reply.fail(new AppError("conflict", "The call is not being recorded"));
  }
  reply();
  return obey(call, record(call, state, controlled(command, by), ctx), command, ctx);
}
