/** A call is ended from here: at the carrier, with a last word where it asks for one. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import type { Ending } from "@/actors/call/ending.ts";
import type { CallFacts } from "./facts.ts";
import { show } from "./record.ts";
import type { CallState, LastWord } from "./state.ts";
import { surround } from "./surroundings.ts";

/** The carrier's API and its socket together have this long to end a call. */
export const ENDING_MS = 5_000;

/** Ends the call at the carrier, unless that has happened. Closing the socket alone would not hang up. */
export function end(
  call: CallFacts,
  state: CallState,
  ending: Ending,
  sentence: string | null,
  ctx: Context<CallMessage>,
): CallState {
  if (state.phase === "ending" || state.phase === "saving") return state;
  for (const timer of ["turn", "duration", "connect"]) ctx.cancel(timer);
  ctx.timer("ending", ENDING_MS, { type: "endingDue" });
  show(call, state, { type: "over", reason: ending.reason, sentence });
  for (const { ref } of state.listening.seats) ref.send({ type: "callEnded" });
  // Of a page's call it has just been shown, and no carrier asks for it.
  const lastWord = call.isAsked ? lastWordOf(state, ending, sentence) : null;
  const ended: CallState = { ...state, phase: "ending", ending, lastWord };
  surround(call, ended);
  const { carrierCallId, answeredAt, children } = state;
  if (carrierCallId === null) return ended; // it is being dialed: nothing can be hung up yet
  const isRinging = call.settings.direction === "outbound" && answeredAt === null;
  if (lastWord === null || isRinging) hangUpAtCarrier(call, carrierCallId, ctx);
  else children.leg?.send({ type: "hangUp", why: ending.reason }); // the carrier then asks, and gets the last word
  return ended;
}

/** Has the carrier hang up; its answer comes as `carrierHungUp`. */
export function hangUpAtCarrier(
  call: CallFacts,
  carrierCallId: string,
  ctx: Context<CallMessage>,
): void {
  ctx.run(
    "hang up",
    (signal) => call.deps.carrier.hangUp(carrierCallId, signal),
    (outcome) => ({ type: "carrierHungUp", outcome }),
  );
}

function lastWordOf(
  { transferTo }: Pick<CallState, "transferTo">,
  { reason }: Ending,
  sentence: string | null,
): LastWord | null {
  if (sentence !== null) return { type: "refused", sentence };
  if (reason !== "transferred" || transferTo === null) return null;
  return { type: "transfer", to: transferTo };
}
