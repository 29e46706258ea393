/** The media streams of a call: offered, begun, lost, and offered anew. */

import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { greetingDelayMs } from "@/actors/call/answering.ts";
import { CALLER_HUNG_UP } from "@/actors/call/ending.ts";
import type { Owed } from "@/actors/call/events.ts";
import { leg, legKind } from "@/actors/call/leg.ts";
import { admit, connectAnswer, type Link, offer } from "@/actors/call/link.ts";
import type { CallFacts } from "./facts.ts";
import { end } from "./hanging_up.ts";
import { tapLeg } from "./listening_in.ts";
import { record, show, welcome } from "./record.ts";
import { tape } from "./recorded.ts";
import { save } from "./saving.ts";
import type { CallState, MessageOf } from "./state.ts";
import { apologise, fail, tell } from "./talking.ts";
import { surround } from "./surroundings.ts";

/** The carrier must open the media socket within this of the ring, or of losing the one before. */
export const CONNECT_WITHIN_MS = 15_000;
/** A machine that has lost the others looks so often whether it still holds a call that has lost its stream. */
export const ISOLATED_MS = 1_000;
/** With so many streams of a call one side would not take what the other said: another would be no better. */
export const REFUSALS_MAX = 3;

/** What to tell the carrier now. */
export function answer(call: CallFacts, state: CallState, { reply }: MessageOf<"answer">): void {
  reply(answerOf(call, state));
}

/** The stream is over, the carrier says, and asks what is next. */
export function resume(
  call: CallFacts,
  state: CallState,
  { carrierCallId, reply }: MessageOf<"resume">,
  ctx: Context<CallMessage>,
): CallState | void {
  const known = state.carrierCallId ?? carrierCallId; // its answer may overtake the API's
  if (carrierCallId !== known) return reply({ type: "hangUp" });
  const waiting = { ...endStream(call, state, ctx), carrierCallId: known };
  reply(answerOf(call, waiting));
  if (waiting.phase !== "ending") return waiting;
  return save(call, waiting, ctx); // the carrier has its last word
}

/** A socket shows its path: it is let in once. */
export function attach(
  _call: CallFacts,
  state: CallState,
  { epoch, token, reply }: MessageOf<"attach">,
): CallState | void {
  const { link } = state;
  const attachment = admit(link, { epoch, token });
  if (attachment === "ok" && state.phase !== "connecting") return reply("refused");
  reply(attachment);
  if (attachment === "ok") return { ...state, link: { ...link, phase: "attached" } };
  return state;
}

/** The socket that was let in becomes the leg. */
export function connected(
  call: CallFacts,
  state: CallState,
  { socket }: MessageOf<"connected">,
  ctx: Context<CallMessage>,
): CallState | void {
  const { link, children, phase, carrierCallId } = state;
  const isAwaited = phase === "connecting" && link.phase === "attached";
  if (!isAwaited || children.leg !== null || carrierCallId === null) {
    return socket.close(1008, "Call takes no socket now");
  }
  const { epoch, token } = link;
  const ref = ctx.spawn(
    legKind,
    `${ctx.self.id}.leg.${epoch}`,
    () =>
      leg({ epoch, token, carrierCallId }, {
        socket,
        protocol: call.deps.newProtocol({ carrierCallId, token }),
        call: ctx.self,
        listener: children.listener,
        pieces: call.deps.pieces,
        speaker: children.speaker,
      }),
  );
  const taken: CallState = { ...state, children: { ...children, leg: ref } };
  show(call, taken, welcome(call));
  tape(taken);
  tapLeg(taken);
  return taken;
}

/** The leg carries sound: the conversation begins, or goes on. */
export function legStarted(
  call: CallFacts,
  state: CallState,
  { epoch }: MessageOf<"legStarted">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (epoch !== state.link.epoch || state.phase !== "connecting") return state;
  ctx.cancel("connect");
  const answeredAt = state.answeredAt ?? ctx.date();
  if (state.answeredAt === null) {
    startDuration(call, 0, ctx);
    ctx.run("save live", (signal) => call.deps.saveLive(answeredAt, signal), () => ({
      type: "savedMeanwhile",
    }));
  }
  const link: Link = { ...state.link, phase: "started" };
  const live = record(call, { ...state, phase: "live", link, answeredAt }, {
    type: "leg_started",
    epoch,
  }, ctx);
  surround(call, live);
  if (state.answeredAt !== null) live.children.listener.send({ type: "lineIsBack" });
  startHooks(call, live, +ctx.date() - +answeredAt, ctx);
  ctx.timer("turn", call.scenario.rules.idleMs, { type: "deadlinePassed" });
  const { answering } = call.scenario;
  const wordsMs = answering === null ? 0 : greetingDelayMs(answering); // who answers, speaks first
  const delayMs = Math.max(call.graph.turns.firstMessageDelayMs, wordsMs);
  if (delayMs > 0) ctx.timer("greeting", delayMs, { type: "greetingDue" });
  const ready = tell(call, { ...live, judged: null }, {
    type: "legReady",
    greetsLater: delayMs > 0,
  }, ctx);
  if (live.judged === null) return ready;
  return tell(call, ready, { type: "carrierJudged", by: live.judged }, ctx);
}

/** The carrier reports an error of the stream. */
export function legFaulted(
  call: CallFacts,
  state: CallState,
  _message: MessageOf<"legFaulted">,
  ctx: Context<CallMessage>,
): CallState | void {
  const error = { code: "provider_failed", message: "The carrier reports an error" };
  return fail(call, state, "leg", error, ctx);
}

/** The socket is closed: by a caller who hung up, or lost. */
export function legEnded(
  call: CallFacts,
  state: CallState,
  { stopped, epoch, wasRefused = false, wasSilent = false }: MessageOf<"legEnded">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (epoch !== state.link.epoch) return state;
  const refusals = state.refusals + (wasRefused ? 1 : 0);
  const legless: CallState = { ...state, refusals, children: { ...state.children, leg: null } };
  surround(call, legless);
  switch (state.phase) {
    case "rebuilding":
    case "saving":
      return legless;
    case "ending":
      return state.lastWord === null ? save(call, legless, ctx) : legless;
    case "connecting": // it never started: offer another
      return refusals < REFUSALS_MAX
        ? newLink(call, legless)
        : apologise(call, legless, "leg_refused", ctx);
    case "live":
      if (!stopped) {
        const lost = loseLeg(call, legless, ctx);
        if (wasSilent) callBack(call, lost, ctx);
        return refusals < REFUSALS_MAX ? lost : apologise(call, lost, "leg_refused", ctx);
      }
      return save(call, { ...legless, ending: CALLER_HUNG_UP }, ctx);
  }
}

/** The carrier does not know that its stream is cut: it is told to ask what is next. */
function callBack(
  { deps, settings: { callId } }: CallFacts,
  { carrierCallId }: CallState,
  ctx: Context<CallMessage>,
): void {
  const { log, urls, carrier: { redirect } } = deps;
  log.warn("no frames come from the carrier: it is called back", { callId });
  if (redirect === undefined || carrierCallId === null) return;
  ctx.run(
    "call back",
    (signal) => redirect(carrierCallId, urls.answerUrl, signal),
    (outcome) => ({ type: "calledBack", outcome }),
  );
}

/** It asks in a moment. If it cannot be told, or says that the call has ended, no stream comes in time. */
export function calledBack(
  { deps: { log }, settings: { callId } }: CallFacts,
  _state: CallState,
  { outcome }: MessageOf<"calledBack">,
): void {
  if (!outcome.ok) log.warn("carrier not called back", { callId, error: outcome.error });
}

/** No socket came in time. */
export function connectMissed(
  call: CallFacts,
  state: CallState,
  _message: MessageOf<"connectMissed">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase !== "connecting" && state.phase !== "rebuilding") return state;
  if (call.deps.isOurs?.() === false) { // the carrier may have come back to another, which this one cannot know of
    ctx.timer("connect", ISOLATED_MS, { type: "connectMissed" });
    return state;
  }
  const reason = state.answeredAt === null ? "never_connected" : "leg_lost";
  return end(call, state, { outcome: "failed", reason }, null, ctx);
}

function answerOf(call: CallFacts, state: CallState): CallAnswer {
  switch (state.phase) {
    case "rebuilding":
    case "connecting":
    case "live":
      return connectAnswer(state.link, {
        callId: call.settings.callId,
        nodeId: call.deps.nodeId,
        resumePath: call.deps.resumePath,
        relay: call.relay,
      });
    case "ending":
    case "saving":
      // Dialed once: the carrier asks here as well when the number it dialed is done.
      if (state.phase === "saving" && state.lastWord?.type === "transfer") {
        return { type: "hangUp" };
      }
      return state.lastWord ?? { type: "hangUp" };
  }
}

function newLink(call: CallFacts, state: CallState): CallState {
  return { ...state, link: offer(state.link.epoch + 1, call.deps.newToken()) };
}

/** The leg is gone, but the call is not: wait for the carrier to bring another. */
export function loseLeg(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const lost = tell(call, state, { type: "legLost" }, ctx);
  const { generations } = lost.dialogue.counts;
  lost.children.speaker.send({ type: "silence", generation: generations, leg: null });
  surround(call, { ...lost, phase: "connecting" });
  ctx.cancel("turn");
  ctx.timer("connect", CONNECT_WITHIN_MS, { type: "connectMissed" });
  const { epoch } = lost.link;
  const waiting = record(
    call,
    newLink(call, lost),
    { type: "leg_lost", epoch, ...owed(lost) },
    ctx,
  );
  return { ...waiting, phase: "connecting", children: { ...waiting.children, leg: null } };
}

/** What the next stream begins with. */
export function owed({ dialogue: { unsaid, brokeOff } }: CallState): Owed {
  return { unsaid: unsaid ?? "", brokeOff };
}

/** The carrier's word that a stream is over may overtake the socket's close, and the path is spent. */
function endStream(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const { phase, link, children } = state;
  if (link.phase === "offered" || (phase !== "live" && phase !== "connecting")) return state;
  if (children.leg !== null) ctx.stopChild(children.leg, "Carrier ended the stream");
  if (phase === "live") return loseLeg(call, state, ctx);
  return newLink(call, { ...state, children: { ...children, leg: null } });
}

/** The time of the call counts: it has been held for `heldMs`. */
export function startDuration(call: CallFacts, heldMs: number, ctx: Context<CallMessage>): void {
  const leftMs = Math.max(0, call.graph.limits.maxDurationMs - heldMs);
  ctx.timer("duration", leftMs, { type: "durationPassed" });
}

/** What the agent does at a time of the call; what it has done is not done again, what came due meanwhile is. */
function startHooks(
  call: CallFacts,
  { pulls }: CallState,
  heldMs: number,
  ctx: Context<CallMessage>,
) {
  for (const { name, on } of call.graph.hooks) {
    if (on.type !== "elapsed" || (pulls[name] ?? 0) > 0) continue;
    const moment = { type: "hooksDue", moment: on } as const;
    ctx.timer(`hooks ${on.afterMs}`, Math.max(0, on.afterMs - heldMs), moment);
  }
}
