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
import { usageOf } from "./saving.ts";
import type { CallState, MessageOf } from "./state.ts";
import { loseLeg } from "./stream.ts";

/** `now`: in the middle of a word, as when a socket is lost. */
export type LeavingWhen = "never" | "betweenTurns" | "now";

/** The listener is on this machine, and has nothing else to do but to listen. */
const EAR_MS = 200;
/** What is said is known to the recogniser by then. */
const TAKEN_MS = 700;
/** Who has said nothing for so long is not about to answer. */
const REST_MS = 2_000;
/** A call that nobody could be given is held here for so long before that is tried again. */
const STAY_MS = 5_000;

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
  if (ctx.now() < state.staysUntil) return state;
  if (leaving === "now") return depart(call, state, ctx);
  if (phase === "connecting") return state.children.leg === null ? depart(call, state, ctx) : state;
  const lull = lullOf(state);
  if (lull === null) return state.restFrom === null ? state : { ...state, restFrom: null };
  const resting: CallState = { ...state, restFrom: state.restFrom ?? ctx.now() };
  const restedMs = ctx.now() - (resting.restFrom ?? Infinity);
  if (lull === "answer") return depart(call, resting, ctx);
  if (restedMs < REST_MS) return resting;
  // Who has just begun to speak is not known to the recogniser yet, and would be cut off.
  const sinceMs = ctx.now() - TAKEN_MS;
  const sounding = (): Promise<boolean> => hasSounded(state.children.listener, sinceMs);
  ctx.run("sounding", sounding, (outcome) => ({ type: "sounding", outcome }));
  return { ...resting, leaving: "ifQuiet" };
}

function hasSounded(listener: Ref<ListenerMessage>, sinceMs: number): Promise<boolean> {
  return listener.ask((reply) => ({ type: "hasSounded", sinceMs, reply }), { timeoutMs: EAR_MS });
}

/** The caller is silent, and it goes; or it waits for the next time that it is told to. */
export function sounding(
  call: CallFacts,
  state: CallState,
  { outcome }: MessageOf<"sounding">,
  ctx: Context<CallMessage>,
): CallState {
  if (state.leaving !== "ifQuiet") return state;
  const isQuiet = outcome.ok && !outcome.value && mayLeave(call, state) && lullOf(state) !== null;
  return isQuiet ? depart(call, state, ctx) : state;
}

function depart(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const { handOver } = call.deps;
  if (handOver === undefined) return state;
  const { leg, listener } = state.children;
  const wasLive = state.phase === "live";
  const usage = usageOf(call, state);
  const counted = record(call, state, { type: "usage_counted", usage }, ctx);
  const lost = wasLive ? loseLeg(call, counted, ctx) : counted;
  const still: CallState = {
    ...lost,
    leaving: "never",
    restFrom: null,
    children: { ...lost.children, leg },
  };
  leg?.send({ type: "tape", running: null, isPaused: false });
  const departedMs = ctx.now();
  const written = async (): Promise<boolean> => {
    await handOver.flush();
    return wasLive && await hasSounded(listener, departedMs);
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
  const children = { ...state.children, leg: null };
  const stays: CallState = { ...state, children, staysUntil: ctx.now() + STAY_MS };
  return state.taping === null ? stays : goOnTaping(call, stays, state.taping.pauses, ctx);
}

/**
 * A carrier or a page comes back for it, and there is something to go on with: not before it was answered, nor at its end.
 * A room's is waited for, since nobody there asks: at the latest moment it goes as well, and another machine joins.
 */
function mayLeave(
  { isAsked, isWeb }: CallFacts,
  { phase, answeredAt, ending, leaving }: CallState,
): boolean {
  return (isAsked || isWeb || leaving === "now") && answeredAt !== null && ending === null &&
    (phase === "live" || phase === "connecting");
}

/**
 * When a caller would not notice: `answer`: their turn is over, and nothing of the answer has come; they wait, and
 * the next machine asks for it. `rest`: it is their turn, and they say nothing. Null: now they would.
 */
function lullOf({ phase, dialogue, listening }: CallState): "answer" | "rest" | null {
  if (phase !== "live" || listening.takenBy !== null || isUnderWay(dialogue)) return null;
  const { turn, reply } = dialogue;
  if (turn.floor === "quiet") return reply === null && turn.isUnheard !== true ? "rest" : null;
  const isFresh = turn.floor === "thinking" && turn.fillers === 0 && reply !== null &&
    reply.failures === 0 && reply.calls.length === 0 && reply.heldBack === null &&
    reply.clauses.pending === "" && !reply.clauses.begun;
  return isFresh ? "answer" : null;
}

/** Something is being said, keyed or pressed, or not all is known of what was. */
function isUnderWay(dialogue: Dialogue): boolean {
  const { utterances, ahead, open, cutOff, unsaid, ending } = dialogue;
  const { callerBeganAt, keypad, keysToSend, sending, given } = dialogue;
  const begun = [ahead, open, cutOff, unsaid, ending, callerBeganAt, keypad, sending];
  return utterances.length > 0 || begun.some((it) => it !== null) || keysToSend !== "" ||
    given.length > 0;
}
