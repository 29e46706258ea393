/** A desk: one tenant's door on this machine. Routes send here; it answers reads and forwards commands. */

import type { Command } from "@/actors/call/control.ts";
import type { Actor, Context, Kind, Ref, Reply } from "@/actors/runtime/actor.ts";
import type { CallMessage, Channel } from "@/actors/call/call.ts";
import type { Place } from "@/actors/admission/queue.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Principal } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import { isFinal } from "@/lib/providers/carrier/progress.ts";
import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";
import type { Report } from "@/actors/call/standing.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import type { DeskDeps, Work } from "./desk_deps.ts";
import type { Account } from "./equipment.ts";
import type { Errand } from "./errand.ts";
import { newGoingOn, wentDown } from "./going_on.ts";
import { once } from "./idempotency.ts";
import { newCalls } from "./new_calls.ts";
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
  /** In which they are told so, BCP 47; absent: nobody has looked yet. */
  readonly language?: string;
  /** Of the tenant, as the gate has just read it. */
  readonly configVersion: number;
}

/** No line is free yet: they are to ask again with `sinceMs` and `language`, and be told their place in line if `isTold`. */
export interface Wait extends Place {
  readonly type: "wait";
  readonly sinceMs: number;
  /** Their agent's, BCP 47. */
  readonly language: string;
  readonly mayBeCalledBack: boolean;
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
  | Wait
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
  /** A caller who waits wants to be called back instead: durable when it is answered. */
  | { type: "callBack"; ring: Ring; reply: Reply<void> }
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
    /** One that is there already is not placed again. Absent: a new one. */
    callId?: string;
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

  const { goingOn, resuming, toldElsewhere } = newGoingOn(deps);
  const { ringing, repeating, untaken, inTheirLanguage, callingBack, placing } = newCalls(deps, {
    goingOn,
    handOver,
  });

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
          if (isNowhere) {
            const answer = untaken(ring, "line");
            if (answer.type !== "wait" || ring.language !== undefined) return reply(answer);
            const failed = (): void => reply(answer);
            return enter(state, { work: inTheirLanguage(ring, answer, reply), failed }, ctx);
          }
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
      callBack: (state, { ring, reply }, ctx) =>
        enter(state, { work: callingBack(ring, reply), failed: reply.fail }, ctx),
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
