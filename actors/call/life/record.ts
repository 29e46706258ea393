/** What stands on record of a call, and what of it a caller's screen shows. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { noticesOf } from "@/actors/call/screen.ts";
import { isSensitive, learnSecrets, withhold } from "@/actors/call/withheld.ts";
import type { Notice } from "@/lib/providers/carrier/carrier.ts";
import { languageOf } from "@/lib/workflow/graph.ts";
import type { CallFacts } from "./facts.ts";
import type { CallState } from "./state.ts";

/** An event goes on record, without what must not be kept. `isHere`: it is of a sensitive node. */
export function record(
  call: CallFacts,
  state: CallState,
  event: CallEvent,
  ctx: Context<CallMessage>,
  isHere = isSensitive(call.graph, state.dialogue.workflow.node),
): CallState {
  // Of a call whose events could not be read their number is unknown: its row alone says how it ended.
  if (state.seq === 0 && event.type !== "call_started") return state;
  const seq = state.seq + 1;
  const { hidden } = call;
  const secrets = isHere ? learnSecrets(state.secrets, event, hidden) : state.secrets;
  call.deps.record(seq, withhold(event, { isHere, hidden, secrets }), ctx.date());
  for (const notice of noticesOf(event)) show(call, state, notice);
  return { ...state, seq, secrets };
}

/** On the caller's screen, if they have one. */
export function show(call: CallFacts, state: CallState, notice: Notice): void {
  if (call.isWeb) state.children.leg?.send({ type: "show", notice });
}

/** What a caller with a screen sees first. */
export function welcome(call: CallFacts): Notice {
  const { stt, tts } = call.deps;
  const simulated = { stt: stt.provider === "simulated", tts: tts.provider === "simulated" };
  return { type: "welcome", agent: call.graph.name, language: languageOf(call.graph), simulated };
}
