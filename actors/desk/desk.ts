/** A desk: one tenant's door on this machine. Routes send here; it answers reads and forwards commands. */

import type { Command } from "@/actors/call/control.ts";
import type { Actor, Context, Kind, Ref, Reply } from "@/actors/runtime/actor.ts";
import type { CallMessage, CallSettings, Channel, Loss } from "@/actors/call/call.ts";
import type { Place, Waiting } from "@/actors/admission/queue.ts";
import type { Refused } from "@/actors/admission/refusals.ts";
import type { Work as LineWork } from "@/actors/admission/tokens.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Principal } from "@/lib/access.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import { isFinal } from "@/lib/providers/carrier/progress.ts";
import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import type { Owned } from "@/db/cluster.ts";
import type { Log } from "@/lib/log.ts";
import type { Report } from "@/actors/call/standing.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import type { ClipRef } from "@/lib/clip_library.ts";
import { type Graph, withDefaults } from "@/lib/workflow/graph.ts";
import type { Account, Outfit } from "./equipment.ts";
import type { AgentWishes } from "./speech_of.ts";
import type { Errand } from "./errand.ts";
import { once } from "./idempotency.ts";
import type { Office, RequestFacts, Visit } from "./office.ts";

/** An inbound call as the carrier announces it. Numbers are E.164; a null agent: nobody answers it. */
export interface Ring {
  readonly from: string;
  readonly to: string;
  readonly carrierCallId: string;
  readonly agentId: string | null;
  readonly account: Account;
  /** Absent: by phone. */
  readonly channel?: Channel;
  /** Over what it is held, whatever number and agent say; absent: as they say. */
  readonly leg?: NumberLeg;
  /** What its number offers while no line is free; absent: the busy tone. */
  readonly whenFull?: WhenFull;
  /** Of a caller who has been told to wait, since when, of the wall clock; absent: they have just rung. */
  readonly waitingSinceMs?: number;
  /** Of the tenant, as the gate has just read it. */
  readonly configVersion: number;
}

/**
 * What to tell the carrier. `connect`: open the media socket at `mediaPath`, handing over `token`,
 * and ask `resumePath` when it ends. Paths are relative to PUBLIC_URL. `refused`: say the sentence, hang up.
 */
export type CallAnswer =
  | {
    readonly type: "connect";
    readonly callId: string;
    readonly mediaPath: string;
    readonly token: string;
    readonly resumePath: string;
    /** Present: the carrier is to hear and speak itself. */
    readonly relay?: RelaySetup;
  }
  | { readonly type: "busy" }
  /** No line is free yet: they are to ask again with `sinceMs`, and be told their place in line if `isTold`. */
  | { readonly type: "wait"; readonly sinceMs: number } & Place
  | { readonly type: "refused"; readonly sentence: string }
  /** Dials another number for the caller, E.164, and is done with the call. */
  | { readonly type: "transfer"; readonly to: string }
  | { readonly type: "hangUp" };

export type DeskMessage =
  /**
   * The carrier announces an inbound call. Fails with not_found, or with not_configured or
   * tenant_suspended, which go on record.
   */
  | { type: "ring"; ring: Ring; reply: Reply<CallAnswer> }
  /** A call we placed was answered, or a media stream ended: what now? */
  | { type: "resume"; callId: string; carrierCallId: string; reply: Reply<CallAnswer> }
  /** The carrier reports progress: that a call is over ends it, whether it is live here or left behind. */
  | {
    type: "progressed";
    callId: string | null;
    carrierCallId: string;
    report: Report;
  }
  /** The carrier says who has answered a call of ours; nobody, where the call is no more. */
  | { type: "carrierJudged"; callId: string; carrierCallId: string; by: CarrierAnswerer }
  /** End a live call. Fails with not_found, or with conflict when it has ended. */
  | { type: "hangUp"; callId: string; reply: Reply<void> }
  /** As `hangUp`, for what may be done to a live call. */
  | { type: "control"; callId: string; command: Command; by: string; reply: Reply<void> }
  | { type: "invite"; callId: string; by: string; reply: Reply<{ readonly ticket: string }> }
  /**
   * Place an outbound call. Fails with not_configured, tenant_suspended, not_found, busy or
   * quota_exceeded, or what the carrier says. `configVersion`: of who asks; null: whatever is not older than a second.
   * `placedBy`: who asks; null: nobody.
   */
  | {
    type: "placeCall";
    configVersion: number | null;
    placedBy: string | null;
    agentId: string;
    to: string;
    from: string;
    reply: Reply<{ callId: string }>;
  }
  /** One of `errands.ts`, for a principal of this tenant: fails with forbidden, or as the errand does. */
  | {
    type: "errand";
    name: string;
    input: unknown;
    by: Principal;
    request: RequestFacts;
    reply: Reply<unknown>;
  }
  /** Work beside the mailbox has ended: `deliver` says what follows. */
  | { type: "done"; job: number; deliver: () => void };

export const deskKind: Kind<DeskMessage> = {
  name: "desk",
  controlMax: 1024,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
  passivateAfterMs: 15 * 60_000,
};

/** One tenant's work on the database at a time, and what may wait: more is answered with busy. */
export const IN_FLIGHT_MAX = 16;
export const WAITING_MAX = 256;
/** A carrier repeats an announcement five times at most (Twilio's connection overrides). */
const REPEATS_MAX = 16;
/** The machine that holds a call is asked for so long before it is taken from it: the caller hears nothing. */
export const OWNER_MS = 300;

/** The agent that leads a call: its published version. */
export interface Agent {
  readonly agentId: string;
  readonly version: number;
  readonly graph: Graph;
  /** Those that it plays; their words stand in the graph. Absent: none. */
  readonly clips?: readonly ClipRef[];
}

export interface NewCall {
  readonly callId: string;
  readonly agent: Agent;
  readonly direction: "inbound" | "outbound";
  readonly from: string;
  readonly to: string;
  readonly carrierCallId: string | null;
  /** Null: nobody of the tenant did. */
  readonly placedBy: string | null;
  readonly account: Account;
  /** Absent: by phone. */
  readonly channel?: Channel;
}

/** The row of a call that rings; one that is not new may have ended. */
export interface InsertedCall {
  readonly callId: string;
  readonly isNew: boolean;
  readonly isEnded: boolean;
}

export interface StandingCall {
  readonly status: "ringing" | "live" | "ended";
  /** Null until it has ended. */
  readonly outcome: string | null;
  /** Null: the carrier has not taken it yet, or its answer was not written down. */
  readonly carrierCallId: string | null;
}

/** A call that this machine has taken, to go on with. */
export interface TakenCall
  extends Pick<CallSettings, "graph" | "direction" | "carrierCallId" | "numbers"> {
  readonly clips: readonly ClipRef[];
  readonly channel: Channel;
  /** Null: nobody has written it down. */
  readonly account: Account | null;
  readonly after: Loss;
}

/** Everything here is bound to the desk's tenant. */
export interface DeskDeps {
  readonly tenantId: string;
  readonly errands: Readonly<Record<string, Errand<never, unknown>>>;
  office(visit: Visit): Office;
  readonly log: Log;
  readonly newCallId: () => string;
  /** The published version; null when there is no such agent here, or none is published. */
  agent(
    wanted: {
      readonly agentId: string;
      /** Our end of a call by phone, whose settings hold as well; null: it is none. */
      readonly number: string | null;
      readonly leg?: NumberLeg | undefined;
    },
    signal: AbortSignal,
  ): Promise<Agent | null>;
  /**
   * Takes a slot of the tenant for a new call, under what its plan allows at this version or a newer one. Fails
   * with busy, quota_exceeded or tenant_suspended. The slot is given back when the call has ended.
   */
  admit(
    call: { readonly callId: string; readonly configVersion: number | null },
    signal: AbortSignal,
  ): Promise<TenantPlan>;
  /** Gives back the slot of a call that never began. */
  release(callId: string): void;
  /**
   * Writes the call's row and counts it; a null plan does not count it. A carrier's call that is known already keeps the id it has: that one comes
   * back. Fails with quota_exceeded.
   */
  insertCall(call: NewCall, plan: TenantPlan | null, signal: AbortSignal): Promise<InsertedCall>;
  /** Ends the row of a call that was not taken: it failed, for this reason. */
  endCall(callId: string, reason: string, signal: AbortSignal): Promise<void>;
  /** How a call of the tenant stands; null when there is none. */
  call(callId: string, signal: AbortSignal): Promise<StandingCall | null>;
  /** The call that the carrier knows by this id. */
  callOfCarrier(carrierCallId: string, signal: AbortSignal): Promise<string | null>;
  /**
   * What the carrier says of a call that is not live here. One that has not ended may end by it, and is this
   * machine's to end if it is still as it was `seen`; null: if nobody else can have it.
   */
  reported(
    callId: string,
    carrierCallId: string,
    report: Report,
    seen: Owned | null,
    signal: AbortSignal,
  ): Promise<void>;
  /** As `Equipment.outfit`. */
  outfit(
    account: Account | null,
    version: number | null,
    wishes: AgentWishes | null,
  ): Promise<Outfit | AppError>;
  /** Takes one of the machine's lines, synchronously; null when none is to be had for such work. */
  takeLine(work: LineWork, carrierCallId?: string): Line | null;
  /** A caller who cannot be taken waits, or goes on waiting. Null: they may not. */
  wait(caller: Omit<Waiting, "tenantId">): Place | null;
  /** A caller who may have waited is gone. */
  leaveQueue(carrierCallId: string): void;
  /** Counts a call that was refused for want of a line or a slot. */
  refused(who: Refused): void;
  /** Milliseconds of the wall clock. */
  wallMs(): number;
  /** Null when this machine has begun to drain. The line is released when the call has ended. */
  startCall(settings: CallSettings, line: Line, outfit: Outfit): Ref<CallMessage> | null;
  /** A live call of this tenant, on this machine. */
  findCall(callId: string): Ref<CallMessage> | null;
  /** As `findCall`, by the carrier's id of a call that it announced. */
  findAnnounced(carrierCallId: string): Ref<CallMessage> | null;
  /** Whether no other machine can hold a call. */
  isAlone(): boolean;
  /** A call of this tenant that another machine holds; null: none that lives does. */
  findElsewhere(callId: string): Promise<Ref<CallMessage> | null>;
  /** Who has a call, living or not; null: nobody ever had it, or it has ended. */
  ownerOf(callId: string, signal: AbortSignal): Promise<Owned | null>;
  /** From now on it is this machine's, if it is still as it was seen. Null: it is not, or may not be had. */
  takeCall(callId: string, seen: Owned | null, signal: AbortSignal): Promise<TakenCall | null>;
}

/** What is to be done beside the mailbox; then what follows, in it. */
type Work = (signal: AbortSignal) => Promise<() => void>;

interface Job {
  readonly work: Work;
  /** Tells whoever asked, and gives back what was taken for it. */
  readonly failed: (error: AppError) => void;
}

interface State {
  /** By their numbers. */
  readonly inFlight: ReadonlyMap<number, Job>;
  readonly waiting: readonly Job[];
  /** Numbers the jobs of this desk. */
  readonly started: number;
  readonly refusedCount: number;
}

export function desk(deps: DeskDeps): Actor<State, DeskMessage> {
  /** Who awaits the answer to a ring, by the carrier's call id. Changed in place, by this life alone. */
  const asking = new Map<string, Reply<CallAnswer>[]>();
  /** Calls that are just being taken over. As above. */
  const taking = new Map<string, Promise<TakenCall | null>>();

  /** A carrier that repeats its announcement gets the answer to the first; null: that is on its way. */
  function join(carrierCallId: string, reply: Reply<CallAnswer>): Reply<CallAnswer> | null {
    const before = asking.get(carrierCallId);
    if (before !== undefined) {
      if (before.length < REPEATS_MAX) before.push(reply);
      else reply({ type: "busy" });
      return null;
    }
    const replies = [reply];
    asking.set(carrierCallId, replies);
    function tell(answer: (reply: Reply<CallAnswer>) => void): void {
      asking.delete(carrierCallId);
      replies.forEach(answer);
    }
    return Object.assign(
      (answer: CallAnswer) => tell((reply) => reply(answer)),
      { fail: (error: AppError) => tell((reply) => reply.fail(error)) },
    );
  }

  /** From now on the call is found by its row: who asks again asks it. */
  function handOver(
    call: Ref<CallMessage>,
    carrierCallId: string,
    reply: Reply<CallAnswer>,
  ): void {
    asking.delete(carrierCallId);
    call.send({ type: "answer", reply });
  }

  function start(state: State, job: Job, ctx: Context<DeskMessage>): State {
    const number = state.started;
    ctx.run(`job ${number}`, job.work, (outcome) => ({
      type: "done",
      job: number,
      deliver: () => outcome.ok ? outcome.value() : job.failed(outcome.error),
    }));
    const inFlight = new Map(state.inFlight).set(number, job);
    return { ...state, inFlight, started: number + 1 };
  }

  /** The bulkhead: one tenant's flood waits here, and does not starve another. */
  function enter(state: Readonly<State>, job: Job, ctx: Context<DeskMessage>): State {
    if (state.inFlight.size < IN_FLIGHT_MAX) return start(state, job, ctx);
    if (state.waiting.length < WAITING_MAX) {
      return { ...state, waiting: [...state.waiting, job] };
    }
    job.failed(
      new AppError("busy", `Cannot take more: ${WAITING_MAX} requests are waiting`, {
        retryable: true,
      }),
    );
    return { ...state, refusedCount: state.refusedCount + 1 };
  }

  function read<T>(
    state: Readonly<State>,
    ctx: Context<DeskMessage>,
    reply: Reply<T>,
    query: (signal: AbortSignal) => Promise<T>,
  ): State {
    const work: Work = async (signal) => {
      const answer = await query(signal);
      return () => reply(answer);
    };
    return enter(state, { work, failed: reply.fail }, ctx);
  }

  /** A bug in one errand is told to its asker; it must not take the tenant's calls along. */
  async function runErrand(
    { name, input, by, request }: Extract<DeskMessage, { type: "errand" }>,
    errand: Errand<never, unknown>,
    visit: Pick<Visit, "signal" | "desk">,
  ): Promise<unknown> {
    try {
      const { tenantId } = deps;
      // The input's type was checked where it was asked for, by the errand's name.
      const run = (office: Office) => errand.run(office, input as never);
      const office = deps.office({ tenantId, by, request, ...visit });
      return await (request.idempotencyKey === null
        ? run(office)
        : once(office, { errand: name, key: request.idempotencyKey, input }, run));
    } catch (error) {
      if (error instanceof AppError) throw error;
      deps.log.error("errand crashed", { errand: name, requestId: request.requestId, error });
      throw new AppError("internal", `Errand "${name}" crashed`, { cause: error });
    }
  }

  /** A call that the tenant's limits refuse is busy, unless it is one that lives and is announced again. */
  function ringing(ring: Ring, line: Line, reply: Reply<CallAnswer>): Work {
    return async (signal) => {
      try {
        return await answering(ring, line, reply)(signal);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        const lacks = isCode(error, "busy") ? "slot" : null;
        const repeated = await repeating(ring, reply, lacks)(signal);
        return () => {
          line.release();
          repeated();
        };
      }
    };
  }

  /** The agent, a slot and the row of a new call, then its actor. */
  function answering(ring: Ring, line: Line, reply: Reply<CallAnswer>): Work {
    return async (signal) => {
      const number = (ring.channel ?? "phone") === "phone" ? ring.to : null;
      const agent = ring.agentId === null
        ? null
        : await deps.agent({ agentId: ring.agentId, number, leg: ring.leg }, signal);
      const outfit = await deps.outfit(ring.account, ring.configVersion, agent?.graph ?? null);
      if (outfit instanceof AppError) {
        if (agent !== null) await recordRefusal(ring, agent, outfit, signal);
        throw outfit;
      }
      if (agent === null) {
        const message = ring.agentId === null
          ? "No agent is assigned to the number"
          : `No agent answers: "${ring.agentId}" is not one that is published`;
        throw new AppError("not_found", message, { field: "agentId" });
      }
      const { carrierCallId, from, to, account, channel = "phone" } = ring;
      const { callId, isNew, isEnded } = await admitted(
        ring.configVersion,
        { agent, direction: "inbound", from, to, carrierCallId, placedBy: null, account, channel },
        signal,
      );
      if (isEnded) { // the carrier repeats an old announcement
        return () => {
          line.release();
          reply({ type: "hangUp" });
        };
      }
      if (!isNew && deps.findCall(callId) === null) {
        const question = (reply: Reply<CallAnswer>): CallMessage => ({ type: "answer", reply });
        const goOn = await goingOn(callId, { question, line, reply }, signal);
        if (goOn !== null) return goOn;
        await deps.endCall(callId, "crashed", signal);
        throw wentDown(callId);
      }
      return () => {
        const found = deps.findCall(callId); // a repetition of a call that is live
        if (found !== null) line.release();
        const live = found ?? deps.startCall(
          {
            callId,
            tenantId: deps.tenantId,
            direction: "inbound",
            carrierCallId,
            channel,
            graph: withDefaults(agent.graph, outfit.defaults),
            ...clipsOf(agent),
            numbers: [from, to],
          },
          line,
          outfit,
        );
        if (live !== null) return handOver(live, carrierCallId, reply);
        line.release();
        deps.release(callId);
        reply({ type: "busy" });
      };
    };
  }

  /**
   * A call that lives and not here: asks the machine that holds it, and takes it where that one is not to be had.
   * Null: it may not be taken.
   */
  async function goingOn(
    callId: string,
    { question, line, reply }: {
      readonly question: (reply: Reply<CallAnswer>) => CallMessage;
      readonly line: Line;
      readonly reply: Reply<CallAnswer>;
    },
    signal: AbortSignal,
  ): Promise<(() => void) | null> {
    const seen = await deps.ownerOf(callId, signal); // what changes while it is asked, is not taken
    const answer = await askElsewhere(callId, question, signal);
    if (answer !== null) {
      return () => {
        line.release();
        reply(answer);
      };
    }
    const taken = await takenOnce(callId, seen, signal);
    if (taken === null) return null;
    const outfit = await deps.outfit(taken.account, null, taken.graph);
    if (outfit instanceof AppError) {
      await deps.endCall(callId, outfit.code, signal);
      throw outfit;
    }
    return () => {
      const found = deps.findCall(callId); // asked twice at once
      if (found !== null) line.release();
      const { account: _, graph, ...settings } = taken;
      const live = found ?? deps.startCall(
        {
          ...settings,
          callId,
          tenantId: deps.tenantId,
          graph: withDefaults(graph, outfit.defaults),
        },
        line,
        outfit,
      );
      if (live !== null) return void live.send(question(reply));
      line.release();
      reply({ type: "busy" });
    };
  }

  /** Null: it does not answer in time, or nobody else has the call. */
  async function askElsewhere(
    callId: string,
    question: (reply: Reply<CallAnswer>) => CallMessage,
    signal: AbortSignal,
  ): Promise<CallAnswer | null> {
    const elsewhere = await deps.findElsewhere(callId);
    if (elsewhere === null) return null;
    try {
      return await elsewhere.ask<CallAnswer>(question, { timeoutMs: OWNER_MS, signal });
    } catch (error) {
      signal.throwIfAborted();
      deps.log.warn("the machine of a call does not answer: it is taken", { callId, error });
      return null;
    }
  }

  /** Whether the machine that has the call knows; that it is over, only if it says so in time. */
  async function toldElsewhere(
    callId: string,
    news: Extract<CallMessage, { type: "progressed" }>,
    { isOver, signal }: { readonly isOver: boolean; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const elsewhere = await deps.findElsewhere(callId);
    if (elsewhere === null) return false;
    if (!isOver) {
      elsewhere.send(news);
      return true;
    }
    try {
      const telling = (reply: Reply<void>): CallMessage => ({ ...news, reply });
      await elsewhere.ask<void>(telling, { timeoutMs: OWNER_MS, signal });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      deps.log.warn("the machine of a call does not answer: it is ended here", { callId, error });
      return false;
    }
  }

  /** Two that ask for a call at once get the same. */
  function takenOnce(
    callId: string,
    seen: Owned | null,
    signal: AbortSignal,
  ): Promise<TakenCall | null> {
    const before = taking.get(callId);
    if (before !== undefined) return before;
    const taken = deps.takeCall(callId, seen, signal).finally(() => taking.delete(callId));
    taking.set(callId, taken);
    return taken;
  }

  /** The stream of a call that is not here has ended, the carrier says. */
  function resuming(
    { callId, carrierCallId }: { readonly callId: string; readonly carrierCallId: string },
    line: Line,
    reply: Reply<CallAnswer>,
  ): Work {
    return async (signal) => {
      const call = await deps.call(callId, signal);
      const isOther = (call?.carrierCallId ?? carrierCallId) !== carrierCallId;
      if (call === null || call.status === "ended" || isOther) {
        return () => {
          line.release();
          if (call?.outcome === "failed" && !isOther) reply.fail(wentDown(callId));
          else reply({ type: "hangUp" });
        };
      }
      const question = (reply: Reply<CallAnswer>): CallMessage => ({
        type: "resume",
        carrierCallId,
        reply,
      });
      const goOn = await goingOn(callId, { question, line, reply }, signal);
      if (goOn === null) throw wentDown(callId);
      return goOn;
    };
  }

  /** A slot, then the row: of a call that is not written, or has been before, no slot is kept. */
  async function admitted(
    configVersion: number | null,
    call: Omit<NewCall, "callId">,
    signal: AbortSignal,
  ): Promise<InsertedCall> {
    const callId = deps.newCallId();
    let isKept = false;
    try {
      const plan = await deps.admit({ callId, configVersion }, signal);
      const inserted = await deps.insertCall({ callId, ...call }, plan, signal);
      isKept = inserted.callId === callId;
      return inserted;
    } finally {
      if (!isKept) deps.release(callId);
    }
  }

  /** A call that cannot be held is on record all the same, with the reason. It has no slot, and does not count. */
  async function recordRefusal(
    { from, to, carrierCallId, account, channel = "phone" }: Ring,
    agent: Agent,
    refusal: AppError,
    signal: AbortSignal,
  ): Promise<void> {
    const callId = deps.newCallId();
    const direction = "inbound" as const;
    const call = { agent, direction, from, to, carrierCallId, placedBy: null, account, channel };
    const inserted = await deps.insertCall({ callId, ...call }, null, signal);
    if (!inserted.isEnded) await deps.endCall(inserted.callId, refusal.code, signal);
  }

  /** Of a call that does not live here: asks the machine that holds it, or says why nothing can be done to it. */
  function elsewhere<T>(
    callId: string,
    reply: Reply<T>,
    question: (reply: Reply<T>) => CallMessage,
  ): Job {
    const work: Work = async (signal) => {
      const call = await deps.call(callId, signal);
      if (call === null) throw new AppError("not_found", "No such call");
      if (call.status === "ended") throw new AppError("conflict", "The call has ended");
      const found = await deps.findElsewhere(callId);
      if (found === null) throw wentDown(callId);
      const answer = await found.ask<T>(question, { signal });
      return () => reply(answer);
    };
    return { work, failed: reply.fail };
  }

  /** Here at once, else beside the mailbox. */
  function command<T>(
    state: Readonly<State>,
    ctx: Context<DeskMessage>,
    callId: string,
    reply: Reply<T>,
    question: (reply: Reply<T>) => CallMessage,
  ): State {
    const live = deps.findCall(callId);
    if (live === null) return enter(state, elsewhere(callId, reply, question), ctx);
    live.send(question(reply));
    return state;
  }

  /** What a caller who cannot be taken is told. Null: no waiting would help. */
  function untaken(
    ring: Ring,
    lacks: Waiting["lacks"] | null,
  ): CallAnswer {
    const { carrierCallId, whenFull = "busy", waitingSinceMs: sinceMs = deps.wallMs() } = ring;
    const place = whenFull === "busy" || lacks === null
      ? null
      : deps.wait({ carrierCallId, sinceMs, lacks });
    if (place !== null) return { type: "wait", sinceMs, ...place };
    deps.refused((ring.channel ?? "phone") === "phone" ? "callers" : "pages");
    return { type: "busy" };
  }

  /** All lines are taken; one of them may be this very call, which the carrier announces again. */
  function repeating(ring: Ring, reply: Reply<CallAnswer>, lacks: Waiting["lacks"] | null): Work {
    const { carrierCallId } = ring;
    return async (signal) => {
      const callId = await deps.callOfCarrier(carrierCallId, signal);
      const isHere = callId === null || deps.findCall(callId) !== null;
      const elsewhere = isHere ? null : await deps.findElsewhere(callId);
      const answer = await elsewhere?.ask<CallAnswer>((reply) => ({ type: "answer", reply }), {
        signal,
      });
      return () => {
        const live = callId === null ? null : deps.findCall(callId);
        if (live !== null) handOver(live, carrierCallId, reply);
        else reply(answer ?? untaken(ring, lacks));
      };
    };
  }

  /** The row first, so that the call is known before the phone rings; the call dials for itself. */
  function placing(
    request: Omit<Extract<DeskMessage, { type: "placeCall" }>, "type" | "reply">,
    line: Line,
    reply: Reply<{ callId: string }>,
  ): Work {
    return async (signal) => {
      const { agentId, from: number } = request;
      const agent = await deps.agent({ agentId, number }, signal);
      const outfit = await deps.outfit(null, request.configVersion, agent?.graph ?? null);
      if (outfit instanceof AppError) throw outfit;
      if (agent === null) {
        const message = `Cannot place a call: there is no agent "${request.agentId}"`;
        throw new AppError("not_found", message, { field: "agentId" });
      }
      const { from, to, placedBy } = request;
      const { account } = outfit;
      const direction = "outbound" as const;
      const { callId } = await admitted(
        request.configVersion,
        { agent, direction, from, to, carrierCallId: null, placedBy, account },
        signal,
      );
      return () => {
        const call = deps.startCall(
          {
            callId,
            tenantId: deps.tenantId,
            direction,
            carrierCallId: null,
            graph: withDefaults(agent.graph, outfit.defaults),
            ...clipsOf(agent),
            numbers: [to, from],
          },
          line,
          outfit,
        );
        if (call !== null) return void call.send({ type: "dial", from, to, reply });
        line.release();
        deps.release(callId);
        reply.fail(new AppError("draining", "Cannot place a call: this machine is draining"));
      };
    };
  }

  return {
    init: () => ({ inFlight: new Map(), waiting: [], started: 0, refusedCount: 0 }),
    on: {
      ring(state, { ring, reply: asked }, ctx) {
        const reply = join(ring.carrierCallId, asked);
        if (reply === null) return state;
        const line = (ring.channel ?? "phone") === "phone"
          ? deps.takeLine("inbound", ring.carrierCallId)
          : deps.takeLine("talk");
        if (line === null) { // at once where that can be: a refusal costs next to nothing
          const here = deps.findAnnounced(ring.carrierCallId);
          if (here !== null) return void handOver(here, ring.carrierCallId, reply);
          const isNowhere = deps.isAlone() || ring.waitingSinceMs !== undefined;
          if (isNowhere) return reply(untaken(ring, "line"));
          const failed = (): void => reply({ type: "busy" });
          return enter(state, { work: repeating(ring, reply, "line"), failed }, ctx);
        }
        const failed = (error: AppError): void => {
          line.release();
          if (error.code === "busy") reply({ type: "busy" });
          else reply.fail(error);
        };
        return enter(state, { work: ringing(ring, line, reply), failed }, ctx);
      },
      resume(state, { callId, carrierCallId, reply }, ctx) {
        const live = deps.findCall(callId);
        if (live !== null) {
          live.send({ type: "resume", carrierCallId, reply });
          return state;
        }
        const line = deps.takeLine("goingOn") ?? NO_LINE; // it is held by somebody already, and must not be lost for want of one
        const failed = (error: AppError): void => {
          line.release();
          reply.fail(error);
        };
        const work = resuming({ callId, carrierCallId }, line, reply);
        return enter(state, { work, failed }, ctx);
      },
      progressed(state, { callId, carrierCallId, report }, ctx) {
        const { progress } = report;
        if (progress === "completed") deps.leaveQueue(carrierCallId);
        const live = callId === null ? null : deps.findCall(callId);
        if (live !== null) {
          live.send({ type: "progressed", carrierCallId, progress });
          return state;
        }
        const news = { type: "progressed", carrierCallId, progress } as const;
        const work: Work = async (signal) => {
          const found = callId ?? await deps.callOfCarrier(carrierCallId, signal);
          if (found === null) return () => {};
          if (deps.findCall(found) === null) {
            const isOver = isFinal(progress);
            const seen = isOver ? await deps.ownerOf(found, signal) : null; // as `goingOn`
            const isTold = await toldElsewhere(found, news, { isOver, signal });
            if (!isTold) await deps.reported(found, carrierCallId, report, seen, signal);
          }
          return () => void deps.findCall(found)?.send(news);
        };
        // Lost progress is made up for: the media socket of a call that is over closes.
        return enter(state, { work, failed: () => {} }, ctx);
      },
      carrierJudged(state, { callId, carrierCallId, by }, ctx) {
        const judged = { type: "carrierJudged", carrierCallId, by } as const;
        const live = deps.findCall(callId);
        if (live !== null) {
          live.send(judged);
          return state;
        }
        const work: Work = async () => {
          const found = await deps.findElsewhere(callId);
          return () => void found?.send(judged);
        };
        return enter(state, { work, failed: () => {} }, ctx);
      },
      hangUp: (state, { callId, reply: asked }, ctx) =>
        command(state, ctx, callId, asked, (reply) => ({ type: "hangUp", reply })),
      control: (state, { callId, command: given, by, reply: asked }, ctx) =>
        command(state, ctx, callId, asked, (reply) => ({
          type: "control",
          command: given,
          by,
          reply,
        })),
      invite: (state, { callId, by, reply: asked }, ctx) =>
        command(state, ctx, callId, asked, (reply) => ({ type: "invite", by, reply })),
      placeCall(state, { type: _, reply, ...request }, ctx) {
        const line = deps.takeLine("outbound");
        if (line === null) {
          deps.refused("placed");
          return reply.fail(
            new AppError("busy", "Cannot place a call: no line is free for it", {
              retryable: true,
            }),
          );
        }
        const failed = (error: AppError): void => {
          line.release();
          reply.fail(error);
        };
        return enter(state, { work: placing(request, line, reply), failed }, ctx);
      },
      errand(state, message, ctx) {
        const { name, by, reply } = message;
        const errand = deps.errands[name];
        if (errand === undefined) throw new Error(`No errand "${name}"`);
        if (!by.scopes.has(errand.needs)) {
          return reply.fail(new AppError("forbidden", `This takes the scope "${errand.needs}"`));
        }
        return read(
          state,
          ctx,
          reply,
          (signal) => runErrand(message, errand, { signal, desk: ctx.self }),
        );
      },
      done(state, { job, deliver }, ctx) {
        deliver();
        const inFlight = new Map(state.inFlight);
        inFlight.delete(job);
        const [next, ...waiting] = state.waiting;
        if (next === undefined) return { ...state, inFlight };
        return start({ ...state, inFlight, waiting }, next, ctx);
      },
    },
    view: ({ inFlight, waiting, refusedCount }) => ({
      inFlight: inFlight.size,
      waiting: waiting.length,
      refusedCount,
    }),
    stopped({ inFlight, waiting }) {
      const error = new AppError("actor_stopped", "Cannot finish: the desk has stopped", {
        retryable: true,
      });
      for (const job of [...inFlight.values(), ...waiting]) job.failed(error);
    },
  };
}

/** Of a call that goes on here though all lines are taken: this machine held fewer when it was full. */
const NO_LINE: Line = { release() {} };

/** A call that was live, and whose actor is no more. */
function wentDown(callId: string): AppError {
  return new AppError("actor_stopped", `Call "${callId}" went with another process`);
}

/** What a tenant's own limits say no with. */
function isRefusal(error: unknown): boolean {
  return isCode(error, "busy") || isCode(error, "quota_exceeded");
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof AppError && error.code === code;
}

function clipsOf({ clips }: Agent): { readonly clips?: readonly ClipRef[] } {
  return clips === undefined ? {} : { clips };
}
