/**
 * A call that leaves its machine: its stream is ended on purpose, so that the carrier asks what is next and
 * whichever machine gets the question goes on with it, from the events.
 */

import type { Context, Outcome, Ref } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import type { Dialogue } from "@/actors/call/dialogue.ts";
import type { ListenerMessage } from "@/actors/call/listener.ts";
import type { CallFacts } from "./facts.ts";
import { record } from "./record.ts";
import { goOnTaping } from "./recorded.ts";
import type { CallState, MessageOf } from "./state.ts";
import { loseLeg } from "./stream.ts";

/** `now`: in the middle of a word, as when a socket is lost. */
export type LeavingWhen = "never" | "betweenTurns" | "now";

/** The listener is on this machine, and has nothing else to do but to listen. */
const EAR_MS = 200;

/** From the house, whose machine drains: told again, the newest word holds. */
export function leave(
  call: CallFacts,
  state: CallState,
  { when }: MessageOf<"leave">,
  ctx: Context<CallMessage>,
): CallState {
  return leaveIfDue(call, { ...state, leaving: when }, ctx);
}

/** After each message: the moment may have come. */
export function leaveIfDue(
  call: CallFacts,
  state: CallState,
  ctx: Context<CallMessage>,
): CallState {
  const { leaving, phase } = state;
  if (leaving === "never" || leaving === "ifQuiet" || !mayLeave(call, state)) return state;
  if (leaving === "now") return depart(call, state, ctx);
  if (!isBetweenTurns(state)) return state;
  if (phase === "connecting") return depart(call, state, ctx);
  // Who has just begun to speak is not known to the recogniser yet, and would be cut off.
  const { listener } = state.children;
  ctx.run("sounding", () => isSounding(listener), (outcome) => ({ type: "sounding", outcome }));
  return { ...state, leaving: "ifQuiet" };
}

function isSounding(listener: Ref<ListenerMessage>): Promise<boolean> {
  return listener.ask((reply) => ({ type: "isSounding", reply }), { timeoutMs: EAR_MS });
}

/** The caller is silent, and it goes; or it waits for the next time that it is told to. */
export function sounding(
  call: CallFacts,
  state: CallState,
  { outcome }: MessageOf<"sounding">,
  ctx: Context<CallMessage>,
): CallState {
  if (state.leaving !== "ifQuiet") return state;
  const isQuiet = outcome.ok && !outcome.value && mayLeave(call, state) && isBetweenTurns(state);
  return isQuiet ? depart(call, state, ctx) : state;
}

function depart(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const { handOver } = call.deps;
  if (handOver === undefined) return state;
  const { leg, listener } = state.children;
  const wasLive = state.phase === "live";
  const lost = wasLive ? loseLeg(call, state, ctx) : state;
  const still: CallState = { ...lost, leaving: "never", children: { ...lost.children, leg } };
  leg?.send({ type: "tape", running: null, isPaused: false });
  const written = async (): Promise<boolean> => {
    await handOver.flush();
    return wasLive && await isSounding(listener);
  };
  ctx.hold("flush", written, (outcome) => ({ type: "onRecord", outcome }));
  return still;
}

/** Whoever has begun to speak in the meantime is asked to say it again by the machine that goes on. */
export function onRecord(
  call: CallFacts,
  state: CallState,
  { outcome }: MessageOf<"onRecord">,
  ctx: Context<CallMessage>,
): CallState | void {
  const { handOver } = call.deps;
  if (handOver === undefined || !outcome.ok) return givenUp(call, state, { outcome }, ctx);
  const began = outcome.value;
  const told = began ? record(call, state, { type: "caller_began" }, ctx) : state;
  const release = async (): Promise<void> => {
    if (began) await handOver.flush();
    await handOver.release();
  };
  // The socket is closed last: who is asked next must find all that has happened, and nobody's.
  ctx.hold("release", release, (outcome) => ({ type: "givenUp", outcome }));
  return told;
}

/** Nobody's any more: it ends here, and its socket with it. Else it stays, and the carrier is given another stream. */
export function givenUp(
  call: CallFacts,
  state: CallState,
  { outcome }: { readonly outcome: Outcome<unknown> },
  ctx: Context<CallMessage>,
): CallState | void {
  const { callId } = call.settings;
  if (outcome.ok) {
    call.deps.log.info("call handed over", { callId });
    return ctx.stop();
  }
  call.deps.log.warn("call not handed over", { callId, error: outcome.error });
  const { leg } = state.children;
  if (leg !== null) ctx.stopChild(leg, "Call stays");
  const stays = { ...state, children: { ...state.children, leg: null } };
  return state.taping === null ? stays : goOnTaping(call, stays, state.taping.pauses, ctx);
}

/** A carrier or a page comes back for it, and there is something to go on with: not before it was answered, nor at its end. */
function mayLeave(
  { isAsked, isWeb }: CallFacts,
  { phase, answeredAt, ending }: CallState,
): boolean {
  return (isAsked || isWeb) && answeredAt !== null && ending === null &&
    (phase === "live" || phase === "connecting");
}

/** Nobody speaks, nothing is under way, and all that was said is known to be heard. */
function isBetweenTurns({ phase, dialogue, listening, children }: CallState): boolean {
  if (phase === "connecting") return children.leg === null; // nobody hears anything just now
  return isAtRest(dialogue) && listening.takenBy === null;
}

function isAtRest(dialogue: Dialogue): boolean {
  const { turn, utterances, reply, ahead, open, cutOff, unsaid, ending } = dialogue;
  const { callerBeganAt, keypad, keysToSend, sending, given } = dialogue;
  const underWay = [reply, ahead, open, cutOff, unsaid, ending, callerBeganAt, keypad, sending];
  return turn.floor === "quiet" && turn.isUnheard !== true && utterances.length === 0 &&
    underWay.every((it) => it === null) && keysToSend === "" && given.length === 0;
}
