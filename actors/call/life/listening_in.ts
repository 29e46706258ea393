/** Who listens to a call while it goes on, and who has taken the agent's place in it. */

import type { Context, Ref } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { tap, tapKind, type TapMessage } from "@/actors/call/tap.ts";
import { scribe, scribeKind, type ScribeMessage } from "@/actors/call/scribe.ts";
import { hearingAt } from "@/actors/call/tuning.ts";
import { isSensitive } from "@/actors/call/withheld.ts";
import { AppError } from "@/lib/errors.ts";
import { INVITE_MS } from "@/lib/listening.ts";
import type { CallFacts } from "./facts.ts";
import { record } from "./record.ts";
import type { CallState, MessageOf } from "./state.ts";
import { tell } from "./talking.ts";

/** Of one call: tickets that nobody has used, and people who listen. */
const INVITES_MAX = 10;
const TAPS_MAX = 5;
/** What the model knows of a conversation that was not its own. */
const TAKEN_NOTE = "A colleague of yours has just spoken with the caller in your place. " +
  "You did not hear the colleague; what the caller said meanwhile stands in the conversation.";
/** Of what the colleague has said the model reads the end. */
const SAID_MAX_CHARS = 2_000;

function noteOf({ said }: ListeningIn): string {
  return said === ""
    ? TAKEN_NOTE
    : `${TAKEN_NOTE} As far as it was understood, they said: "${said}"`;
}

/** A ticket for one socket. */
export interface Invite {
  readonly ticket: string;
  /** Who was given it. */
  readonly by: string;
  /** On the system's clock. */
  readonly until: number;
}

/** Somebody who listens. */
export interface Seat {
  readonly id: number;
  readonly by: string;
  readonly ref: Pick<Ref<TapMessage>, "kind" | "id" | "send">;
}

export interface ListeningIn {
  readonly invites: readonly Invite[];
  readonly seats: readonly Seat[];
  /** The seat that speaks in the agent's place. */
  readonly takenBy: number | null;
  /** Seats there were so far. */
  readonly count: number;
  /** Who writes down what is said in the agent's place; null: nobody has it. */
  readonly scribe: Pick<Ref<ScribeMessage>, "send"> | null;
  /** How often the agent's place was taken. */
  readonly takes: number;
  /** What was said in it, for the model. */
  readonly said: string;
}

export const nobodyListens: ListeningIn = {
  ...{ invites: [], seats: [], takenBy: null, count: 0 },
  ...{ scribe: null, takes: 0, said: "" },
};

/** Null: there are tickets enough. */
function invited(listening: ListeningIn, invite: Invite, now: number): ListeningIn | null {
  const invites = listening.invites.filter(({ until }) => until > now);
  if (invites.length >= INVITES_MAX) return null;
  return { ...listening, invites: [...invites, invite] };
}

/** Spends a ticket. Null: it is none, was used, is too old, or all seats are taken. */
function spent(
  listening: ListeningIn,
  ticket: string,
  now: number,
): { readonly by: string; readonly listening: ListeningIn } | null {
  const found = listening.invites.find((invite) => invite.ticket === ticket);
  if (found === undefined || found.until <= now || listening.seats.length >= TAPS_MAX) return null;
  const invites = listening.invites.filter((invite) => invite !== found);
  return { by: found.by, listening: { ...listening, invites } };
}

/** A ticket for one who is to listen. */
export function invite(
  call: CallFacts,
  state: CallState,
  { by, reply }: MessageOf<"invite">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase !== "live" || call.relay !== null) {
    return reply.fail(
      new AppError("conflict", "There is no sound of this call to hear here"),
    );
  }
  const invite = { ticket: call.deps.newToken(), by, until: ctx.now() + INVITE_MS };
  const listening = invited(state.listening, invite, ctx.now());
  if (listening === null) {
    return reply.fail(new AppError("busy", "Too many tickets wait", { retryable: true }));
  }
  reply({ ticket: invite.ticket });
  return { ...state, listening };
}

/** A ticket is shown, and spent. */
export function admit(
  _call: CallFacts,
  state: CallState,
  { ticket, reply }: MessageOf<"admit">,
  ctx: Context<CallMessage>,
): CallState | void {
  const admitted = spent(state.listening, ticket, ctx.now());
  if (admitted === null) {
    return reply.fail(new AppError("forbidden", "The ticket was used, or is too old"));
  }
  reply({ by: admitted.by });
  return { ...state, listening: admitted.listening };
}

/** Somebody listens from here on. */
export function tapped(
  call: CallFacts,
  state: CallState,
  { by, socket }: MessageOf<"tapped">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase === "ending" || state.phase === "saving") {
    return socket.close(1000, "Call has ended");
  }
  const id = state.listening.count + 1;
  const isHushed = isSensitive(call.graph, state.dialogue.workflow.node);
  const ref = ctx.spawn(
    tapKind,
    `${ctx.self.id}.tap.${id}`,
    () => tap({ id, socket, call: ctx.self, isHushed }),
    { stopped: () => ({ type: "tapLeft", tap: id }) },
  );
  const seats = [...state.listening.seats, { id, by, ref }];
  const seated: CallState = { ...state, listening: { ...state.listening, seats, count: id } };
  tapLeg(seated);
  return record(call, seated, { type: "listen_started", by }, ctx);
}

/** One who listened is gone; what they had taken is given back. */
export function tapLeft(
  call: CallFacts,
  state: CallState,
  { tap: id }: MessageOf<"tapLeft">,
  ctx: Context<CallMessage>,
): CallState | void {
  const seat = state.listening.seats.find((it) => it.id === id);
  if (seat === undefined) return state;
  const free = state.listening.takenBy === id ? giveBack(call, state, ctx) : state;
  const seats = free.listening.seats.filter((it) => it !== seat);
  const left: CallState = { ...free, listening: { ...free.listening, seats } };
  tapLeg(left);
  if (left.phase === "saving") return left; // its last event is on record
  return record(call, left, { type: "listen_ended", by: seat.by }, ctx);
}

/** Somebody asks for the agent's place, or gives it back. */
export function tapAsked(
  call: CallFacts,
  state: CallState,
  { tap: id, ask }: MessageOf<"tapAsked">,
  ctx: Context<CallMessage>,
): CallState | void {
  const { listening } = state;
  const seat = listening.seats.find((it) => it.id === id);
  if (seat === undefined) return state;
  if (ask === "give") return listening.takenBy === id ? giveBack(call, state, ctx) : state;
  const isHeld = state.phase === "live" && state.dialogue.ending === null;
  if (listening.takenBy !== null || !isHeld) {
    seat.ref.send({ type: "answered", answer: "refused" });
    return state;
  }
  const takes = listening.takes + 1;
  const scribe = hireScribe(call, state, { by: seat.by, takes }, ctx);
  const mine = { takenBy: id, takes, scribe, said: "" };
  const taken: CallState = { ...state, listening: { ...listening, ...mine } };
  const started = record(call, taken, { type: "takeover_started", by: seat.by }, ctx);
  const muted = tell(call, started, { type: "mute", isMuted: true }, ctx);
  seat.ref.send({ type: "answered", answer: "taken" });
  return muted;
}

/** The caller hears who has taken the agent's place. */
export function tapSpoke(
  _call: CallFacts,
  { phase, listening, children }: CallState,
  { tap: id, audio }: MessageOf<"tapSpoke">,
): void {
  if (phase === "live" && listening.takenBy === id) {
    children.leg?.send({ type: "play", audio });
    listening.scribe?.send({ type: "spoke", audio });
  }
}

/** What they say goes to a recogniser of their own, as the caller's does. */
function hireScribe(
  { deps, graph }: CallFacts,
  { dialogue }: CallState,
  { by, takes }: { readonly by: string; readonly takes: number },
  ctx: Context<CallMessage>,
): Pick<Ref<ScribeMessage>, "send"> {
  const options = hearingAt(graph, dialogue.workflow.node);
  return ctx.spawn(
    scribeKind,
    `${ctx.self.id}.scribe.${takes}`,
    () => scribe({ stt: deps.stt, options, by, call: ctx.self }),
  );
}

/** Words of a colleague: a turn of the conversation, as the record has it. */
export function colleagueSaid(
  call: CallFacts,
  state: CallState,
  { by, text }: MessageOf<"colleagueSaid">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase === "saving") return state; // its last event is on record
  const { dialogue, listening } = state;
  const turn = dialogue.counts.turns + 1;
  const counted = { ...dialogue, counts: { ...dialogue.counts, turns: turn } };
  const said = `${listening.said} ${text}`.trim().slice(-SAID_MAX_CHARS);
  const heard: CallState = { ...state, dialogue: counted, listening: { ...listening, said } };
  return record(call, heard, { type: "colleague_said", turn, by, text }, ctx);
}

/** Their recogniser has failed: the call goes on, and the record says so. */
export function colleagueUnheard(
  call: CallFacts,
  state: CallState,
  { error }: MessageOf<"colleagueUnheard">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (state.phase === "saving") return state;
  const { code } = error;
  const message = "A colleague's words are not written down";
  return record(call, state, { type: "failed", part: "call", code, message }, ctx);
}

/** Has the leg that there is tell those who listen. */
export function tapLeg({ listening, children: { leg } }: CallState): void {
  leg?.send({ type: "taps", taps: listening.seats.map(({ ref }) => ref) });
}

/** The agent has its place back, and knows that somebody was in it. */
function giveBack(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  const { listening } = state;
  const seat = listening.seats.find(({ id }) => id === listening.takenBy);
  if (seat === undefined) return state;
  seat.ref.send({ type: "answered", answer: "given" });
  listening.scribe?.send({ type: "end" });
  const given: CallState = {
    ...state,
    listening: { ...listening, takenBy: null, scribe: null },
  };
  const ended = record(call, given, { type: "takeover_ended", by: seat.by }, ctx);
  const told = tell(call, ended, { type: "note", text: noteOf(listening) }, ctx);
  return tell(call, told, { type: "mute", isMuted: false }, ctx);
}
