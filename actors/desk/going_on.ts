/** Calls that live and not here: their machine is asked, and they are taken where that one is not to be had. */

import type { CallMessage } from "@/actors/call/call.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Reply } from "@/actors/runtime/actor.ts";
import type { Owned } from "@/db/cluster.ts";
import { AppError } from "@/lib/errors.ts";
import { withDefaults } from "@/lib/workflow/graph.ts";
import type { CallAnswer } from "./desk.ts";
import type { DeskDeps, TakenCall, Work } from "./desk_deps.ts";
import type { Outfit } from "./equipment.ts";

/** The machine that holds a call is asked for so long before it is taken from it: the caller hears nothing. */
export const OWNER_MS = 300;

type Question = (reply: Reply<CallAnswer>) => CallMessage;

/** A call that is this machine's, and what it is to be held with. */
interface Taken {
  readonly call: TakenCall;
  readonly outfit: Outfit;
}

export interface GoingOn {
  /** Null: it may not be taken. */
  goingOn(
    callId: string,
    asked: { readonly question: Question; readonly line: Line; readonly reply: Reply<CallAnswer> },
    signal: AbortSignal,
  ): Promise<(() => void) | null>;
  /** The stream of a call that is not here has ended, the carrier says. */
  resuming(
    call: { readonly callId: string; readonly carrierCallId: string },
    line: Line,
    reply: Reply<CallAnswer>,
  ): Work;
  /** Whether the machine that has the call knows; that it is over, only if it says so in time. */
  toldElsewhere(
    callId: string,
    news: Extract<CallMessage, { type: "progressed" }>,
    how: { readonly isOver: boolean; readonly signal: AbortSignal },
  ): Promise<boolean>;
}

export function newGoingOn(deps: DeskDeps): GoingOn {
  /**
   * Calls that are just being taken over, until they live here: whoever asks meanwhile gets the same. Changed in
   * place, by one life of a desk alone.
   */
  const taking = new Map<string, Promise<Taken | null>>();
  /** Those whose taking failed: the database may have done it all the same. */
  const doubtful = new Set<string>();

  /**
   * A call that lives and not here: asks the machine that holds it, and takes it where that one is not to be had.
   * Null: it may not be taken.
   */
  async function goingOn(
    callId: string,
    { question, line, reply }: Parameters<GoingOn["goingOn"]>[1],
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
    const taken = deps.findCall(callId) === null ? await takenOnce(callId, seen, signal) : null;
    if (taken === null) { // it may live here by now: somebody else had asked for it
      const live = deps.findCall(callId);
      if (live === null) return null;
      return () => {
        line.release();
        live.send(question(reply));
      };
    }
    const { call, outfit } = taken;
    return () => {
      taking.delete(callId);
      const found = deps.findCall(callId); // asked twice at once
      if (found !== null) line.release();
      const { account: _, graph, ...settings } = call;
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
    question: Question,
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

  async function takenOnce(
    callId: string,
    seen: Owned | null,
    signal: AbortSignal,
  ): Promise<Taken | null> {
    const taken = taking.get(callId) ?? take(callId, seen, signal);
    taking.set(callId, taken);
    const isTaken = await taken.then((it) => it !== null, () => false);
    if (!isTaken && taking.get(callId) === taken) taking.delete(callId);
    return await taken;
  }

  async function take(
    callId: string,
    seen: Owned | null,
    signal: AbortSignal,
  ): Promise<Taken | null> {
    const isDoubtful = doubtful.has(callId);
    doubtful.add(callId);
    const call = await deps.takeCall(callId, { seen, isDoubtful }, signal);
    doubtful.delete(callId);
    if (call === null) return null;
    const outfit = await deps.outfit(call.account, null, call.graph);
    if (!(outfit instanceof AppError)) return { call, outfit };
    await deps.endCall(callId, outfit.code, signal);
    throw outfit;
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

  return { goingOn, resuming, toldElsewhere };
}

/** A call that was live, and whose actor is no more. */
export function wentDown(callId: string): AppError {
  return new AppError("actor_stopped", `Call "${callId}" went with another process`);
}
