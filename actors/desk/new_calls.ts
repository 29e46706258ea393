/** New calls: those that are announced, and those that are placed. */

import type { Waiting } from "@/actors/admission/queue.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Ref, Reply } from "@/actors/runtime/actor.ts";
import type { ClipRef } from "@/lib/clip_library.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { HOUSE_LANGUAGE, languageOf, withDefaults } from "@/lib/workflow/graph.ts";
import type { CallAnswer, DeskMessage, Ring, Wait } from "./desk.ts";
import type { Agent, Back, DeskDeps, InsertedCall, NewCall, Work } from "./desk_deps.ts";
import { type GoingOn, wentDown } from "./going_on.ts";

export interface NewCalls {
  ringing(ring: Ring, line: Line, reply: Reply<CallAnswer>): Work;
  /** All lines are taken; one of them may be this very call, which the carrier announces again. */
  repeating(ring: Ring, reply: Reply<CallAnswer>, lacks: Waiting["lacks"] | null): Work;
  /** What a caller who cannot be taken is told. `lacks` null: no waiting would help. */
  untaken(ring: Ring, lacks: Waiting["lacks"] | null): CallAnswer;
  /** The same, once their agent's language is known: it is looked for of who waits alone, and once. */
  inTheirLanguage(ring: Ring, answer: Wait, reply: Reply<CallAnswer>): Work;
  /** Has a caller who waits called back instead: durable when it is answered. */
  callingBack(ring: Ring, reply: Reply<void>): Work;
  placing(
    request: Omit<Extract<DeskMessage, { type: "placeCall" }>, "type" | "reply">,
    line: Line,
    reply: Reply<{ callId: string }>,
  ): Work;
}

/** `handOver`: who announced a call is answered by it. */
export function newCalls(
  deps: DeskDeps,
  { goingOn, handOver }: Pick<GoingOn, "goingOn"> & {
    handOver(call: Ref<CallMessage>, carrierCallId: string, reply: Reply<CallAnswer>): void;
  },
): NewCalls {
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

  /** A slot, then the row: of a call that is not written, or has been before, no slot is kept. */
  async function admitted(
    configVersion: number | null,
    call: Omit<NewCall, "callId">,
    signal: AbortSignal,
    callId = deps.newCallId(),
  ): Promise<InsertedCall> {
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

  /** What a caller who cannot be taken is told. Null: no waiting would help. */
  function untaken(
    ring: Ring,
    lacks: Waiting["lacks"] | null,
  ): CallAnswer {
    const { carrierCallId, whenFull = "busy", waitingSinceMs: sinceMs = deps.wallMs() } = ring;
    const place = whenFull === "busy" || lacks === null
      ? null
      : deps.wait({ carrierCallId, sinceMs, lacks });
    const mayBeCalledBack = whenFull === "callback" && backOf(ring) !== null;
    const { language = HOUSE_LANGUAGE } = ring;
    if (place !== null) return { type: "wait", sinceMs, language, mayBeCalledBack, ...place };
    deps.refused((ring.channel ?? "phone") === "phone" ? "callers" : "pages");
    return { type: "busy" };
  }

  /** The house's where no agent answers. */
  async function languageFor(ring: Ring, signal: AbortSignal): Promise<string> {
    const { agentId, to: number, leg, account, configVersion } = ring;
    const agent = agentId === null ? null : await deps.agent({ agentId, number, leg }, signal);
    if (agent === null) return HOUSE_LANGUAGE;
    const outfit = await deps.outfit(account, configVersion, agent.graph);
    return languageOf(
      outfit instanceof AppError ? agent.graph : withDefaults(agent.graph, outfit.defaults),
    );
  }

  function inTheirLanguage(ring: Ring, answer: Wait, reply: Reply<CallAnswer>): Work {
    return async (signal) => {
      const language = await languageFor(ring, signal);
      return () => reply({ ...answer, language });
    };
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
      }) ?? null;
      const mayWait = answer === null && lacks !== null && (ring.whenFull ?? "busy") !== "busy";
      const isUnknown = mayWait && ring.language === undefined;
      const known = isUnknown ? { ...ring, language: await languageFor(ring, signal) } : ring;
      return () => {
        const live = callId === null ? null : deps.findCall(callId);
        if (live !== null) handOver(live, carrierCallId, reply);
        else reply(answer ?? untaken(known, lacks));
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
      const { agentId, from: number, callId: known } = request;
      if (known !== undefined && await deps.call(known, signal) !== null) {
        return () => {
          line.release();
          reply({ callId: known });
        };
      }
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
      const { callId, isNew } = await admitted(
        request.configVersion,
        { agent, direction, from, to, carrierCallId: null, placedBy, account },
        signal,
        known,
      );
      if (!isNew) { // placed by another in this very moment
        return () => {
          line.release();
          reply({ callId });
        };
      }
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

  function callingBack(ring: Ring, reply: Reply<void>): Work {
    return async (signal) => {
      const back = backOf(ring);
      if (back === null) throw new AppError("conflict", "This caller cannot be called back");
      await deps.wantCallback(back, signal);
      return () => {
        deps.leaveQueue(ring.carrierCallId);
        reply();
      };
    };
  }

  return { ringing, repeating, untaken, inTheirLanguage, callingBack, placing };
}

const E164 = /^\+[1-9]\d{6,14}$/;

/** Null: their number is withheld, or nobody would call. */
function backOf({ carrierCallId, agentId, from: to, to: from }: Ring): Back | null {
  return agentId === null || !E164.test(to) ? null : { carrierCallId, agentId, from, to };
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
