/** Calls in rooms: an agent joins a LiveKit room for one participant, and again when its socket or its machine is lost. */

import type { CallAnswer, DeskMessage } from "@/actors/desk/desk.ts";
import type { LiveKitProject } from "@/actors/desk/equipment.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import {
  type RoomCall,
  roomCallId,
  roomCallOf,
  type RoomParty,
} from "@/lib/providers/carrier/room.ts";
import { AGENT_IDENTITY } from "@/lib/providers/livekit/rooms.ts";
import type { RoomJoin } from "@/lib/rooms/open.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { Attachment } from "./link.ts";

/** An agent's token is used at once. */
const TOKEN_TTL_S = 120;
/** A participant whose room was lost is waited for again; the call waits 15 s. */
const BACK_WAIT_MS = 5_000;
/** Waits between tries to come back: the process may be starting anew. */
const BACK_AFTER_MS = [500, 1_000, 2_000, 4_000];
const ASK_MS = 1_500;

export interface RoomVisit extends RoomParty {
  readonly tenantId: string;
  readonly configVersion: number;
  readonly agentId: string;
  /** How long the participant may take to be there and to answer. */
  readonly waitMs: number;
}

/** Somebody with whom an agent was, or is to be. */
interface Stay extends RoomCall {
  readonly tenantId: string;
  readonly configVersion: number | null;
}

/** A call that lives on no machine, or on one that is lost. */
export interface LeftCall {
  readonly tenantId: string;
  readonly callId: string;
  readonly carrierCallId: string;
}

export interface Rooms {
  /**
   * Resolves when the agent is in the room and its call begins. Throws AppError("not_configured"), "conflict" when
   * the participant does not come, "provider_failed", or what keeps the tenant from a call ("busy", …).
   */
  enter(visit: RoomVisit, signal: AbortSignal): Promise<{ readonly callId: string }>;
  /**
   * Goes on with a call whose agent the room has lost: it is taken from its machine, as with any carrier's word,
   * and the agent comes back. False: nobody is there to go on with, or rooms cannot be joined from here. True also
   * where another machine has it. Throws "provider_failed" when LiveKit does not say who is there.
   */
  goOn(call: LeftCall, signal: AbortSignal): Promise<boolean>;
}

export interface RoomsDeps {
  /** Null: no process joins rooms. */
  readonly openRoom: ((join: RoomJoin, signal: AbortSignal) => Promise<MessageSocket>) | null;
  /** The setting that is missing then. */
  readonly missing: string;
  livekit(tenantId: string, configVersion: number | null): Promise<LiveKitProject>;
  desk(tenantId: string): Pick<Ref<DeskMessage>, "ask">;
  attach(
    path: { readonly callId: string; readonly epoch: number; readonly token: string },
  ): Promise<Attachment | "missing">;
  connected(callId: string, socket: MessageSocket): void;
  /** Whether the call lives on this machine. */
  isHere(call: { readonly tenantId: string; readonly callId: string }): boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export function newRooms(deps: RoomsDeps): Rooms {
  const { clock, log } = deps;

  async function open(stay: Stay, waitMs: number, signal: AbortSignal) {
    const { openRoom, missing: field } = deps;
    if (openRoom === null) {
      throw new AppError("not_configured", `Rooms cannot be joined: ${field} is missing`, {
        field,
      });
    }
    const { tenantId, configVersion, room, identity, participantId } = stay;
    const { api } = await deps.livekit(tenantId, configVersion);
    const token = await api.accessToken({
      room,
      identity: `${AGENT_IDENTITY}${participantId}`, // one agent a participant
      name: "Agent",
      ttlSeconds: TOKEN_TTL_S,
      canSpeak: true,
      canListen: true,
      canSendData: false,
      isAgent: true,
    });
    return await openRoom({ url: api.url, token, identity, waitMs }, signal);
  }

  /** Gives an open room to the call that the desk has answered with. */
  async function seat(
    stay: Stay,
    answer: CallAnswer,
    socket: MessageSocket,
  ): Promise<string> {
    if (answer.type === "busy") throw new AppError("busy", "All lines are taken");
    if (answer.type !== "connect") throw new AppError("conflict", "The call has ended");
    const { callId, mediaPath, token } = answer;
    const epoch = Number(/\/(\d+)\/[^/]+$/.exec(mediaPath)?.[1]);
    if (await deps.attach({ callId, epoch, token }) !== "ok") {
      throw new AppError("conflict", "An agent is with this participant already");
    }
    deps.connected(callId, watched(socket, () => void comeBack(stay, callId, BACK_AFTER_MS)));
    return callId;
  }

  /**
   * The process, or the way to it, was lost in the middle of a call, or its machine. A call that they refuse too often
   * has ended.
   */
  async function comeBack(
    stay: Stay,
    callId: string,
    waitsMs: readonly number[],
    { signal }: { readonly signal: AbortSignal } = new AbortController(),
  ): Promise<void> {
    const { tenantId } = stay;
    for (const afterMs of waitsMs) {
      await sleep(clock, afterMs);
      let socket: MessageSocket | null = null;
      try {
        const carrierCallId = roomCallId(stay);
        const answer = await deps.desk(tenantId).ask<CallAnswer>(
          (reply) => ({ type: "resume", callId, carrierCallId, reply }),
          { timeoutMs: ASK_MS },
        );
        if (answer.type !== "connect") return; // it has ended meanwhile
        if (!deps.isHere({ tenantId, callId })) return; // that machine lives, and comes back itself
        socket = await open(stay, BACK_WAIT_MS, signal);
        await seat(stay, answer, socket);
        return;
      } catch (error) {
        socket?.close(1000, "Not taken");
        if (isGone(error) || signal.aborted) return;
        log.warn("room not joined again", { callId, error });
      }
    }
  }

  /** Of this stay: who has come again since is somebody else. */
  async function isThere({ room, participantId, ...stay }: Stay, signal: AbortSignal) {
    const { api } = await deps.livekit(stay.tenantId, stay.configVersion);
    try {
      const participants = await api.listParticipants(room, signal);
      return participants.some(({ sid }) => sid === participantId);
    } catch (error) {
      if (error instanceof AppError && error.code === "not_found") return false;
      throw error;
    }
  }

  return {
    async enter(visit, signal) {
      const socket = await open(visit, visit.waitMs, signal);
      try {
        const { tenantId, agentId, from, to, configVersion } = visit;
        const ring = {
          ...{ from, to, agentId, configVersion, carrierCallId: roomCallId(visit) },
          ...{ account: "house", channel: "room" } as const,
        };
        const answer = await deps.desk(tenantId).ask<CallAnswer>(
          (reply) => ({ type: "ring", ring, reply }),
          { timeoutMs: ASK_MS, signal },
        );
        return { callId: await seat(visit, answer, socket) };
      } catch (error) {
        socket.close(1000, "No call");
        throw error;
      }
    },
    async goOn({ tenantId, callId, carrierCallId }, signal) {
      const party = roomCallOf(carrierCallId);
      if (party === null || deps.openRoom === null) return false;
      const stay = { ...party, tenantId, configVersion: null };
      if (!await isThere(stay, signal)) return false;
      if (!deps.isHere({ tenantId, callId })) {
        await comeBack(stay, callId, [0, ...BACK_AFTER_MS], { signal });
      }
      return true;
    },
  };
}

/** Of a call that has failed meanwhile, or went with its process: nothing brings it back. */
function isGone(error: unknown): boolean {
  return error instanceof AppError && error.code === "actor_stopped" && !error.retryable;
}

/** Tells when the socket broke, or one side refused the other's words: not when either has ended it in order. */
function watched(socket: MessageSocket, broke: () => void): MessageSocket {
  let isClosing = false;
  let isOver = false;
  return {
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    send: (data) => socket.send(data),
    close(code, reason) {
      if (!isClosing) isOver = code === 1000;
      isClosing = true;
      socket.close(code, reason);
    },
    listen: (events) =>
      socket.listen({
        message: events.message,
        closed(code, reason) {
          events.closed(code, reason);
          if (!isOver && code !== 1000) broke();
          isOver = true;
        },
      }),
  };
}
