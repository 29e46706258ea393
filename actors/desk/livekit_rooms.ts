/** Errands on LiveKit rooms: who may join them, which there are, and who is in them. */

import { getAgent } from "@/db/agents.ts";
import { roomPartyOf } from "@/lib/providers/carrier/room.ts";
import type { LiveKit, Participant, Room } from "@/lib/providers/livekit/livekit.ts";
import {
  AGENT_ATTRIBUTE,
  AGENT_IDENTITY,
  ROOM_NAME,
  roomOf,
  wireRoom,
} from "@/lib/providers/livekit/rooms.ts";
import { AppError } from "@/lib/errors.ts";
import type { LiveKitProject } from "./equipment.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

/** What a page joins with is asked for when it is opened. */
export const TOKEN_TTL_MAX_S = 600;

export interface JoinTokenInput {
  readonly room: string;
  readonly identity: string;
  readonly name: string;
  readonly ttlSeconds: number;
  readonly canSpeak: boolean;
  readonly canListen: boolean;
  readonly canSendData: boolean;
  /** Who joins them when they are there; null: nobody by itself. */
  readonly agentId: string | null;
}

export interface JoinToken {
  readonly token: string;
  /** What the client connects to. */
  readonly url: string;
  /** The room's name on the wire, which the token names too. */
  readonly room: string;
  readonly expiresAt: string;
}

export interface RoomView {
  readonly name: string;
  readonly sid: string;
  readonly metadata: string;
  readonly participantCount: number;
  readonly createdAt: string;
}

interface NewRoomInput {
  readonly name: string;
  readonly metadata: string;
  readonly emptyTimeoutSeconds: number;
  readonly maxParticipants: number;
}

export const liveKitRoomErrands = {
  /** By whose account the tenant uses LiveKit, and whether a carrier can phone it. */
  liveKitStatus: errand("calls:read", async (office, _: void) => {
    const { api, account, sip } = await projectOf(office);
    return { account, url: api.url, hasSip: sip !== null };
  }),

  newLiveKitToken: errand("calls:write", async (
    office,
    { room, agentId, ...grant }: JoinTokenInput,
  ): Promise<JoinToken> => {
    const { act, tenantId, clock } = office;
    const { api } = await projectOf(office);
    if (grant.identity.startsWith(AGENT_IDENTITY)) {
      const field = "identity";
      const message = `Wrong input in "${field}": "${AGENT_IDENTITY}…" is of our own agents`;
      throw new AppError("invalid", message, { field });
    }
    await checkAgent(office, agentId);
    const wire = wireRoom(tenantId, room);
    const attributes = agentId === null ? {} : { [AGENT_ATTRIBUTE]: agentId };
    const ttlSeconds = Math.min(grant.ttlSeconds, TOKEN_TTL_MAX_S);
    const token = await api.accessToken({ ...grant, attributes, room: wire, ttlSeconds });
    const expiresAt = new Date(clock.date().getTime() + ttlSeconds * 1_000).toISOString();
    await act(({ audit }) => audit({ action: "livekit.token_made", subjectId: room }));
    return { token, url: api.url, room: wire, expiresAt };
  }),

  /** An agent joins for one participant who is there: it counts as a call. */
  joinLiveKitRoom: errand("calls:write", async (
    office,
    { room: name, agentId, identity }: {
      readonly room: string;
      readonly agentId: string;
      readonly identity: string;
    },
  ): Promise<{ id: string }> => {
    const { tenantId, by, act, rooms, signal } = office;
    const { api } = await projectOf(office);
    const room = await standingRoom(office, api, name);
    const participants = await api.listParticipants(room.name, signal);
    const found = participants.find((participant) => participant.identity === identity);
    if (found === undefined) throw new AppError("not_found", "No such participant");
    await checkAgent(office, agentId);
    const { callId } = await rooms.enter({
      ...{ tenantId, agentId, configVersion: by.configVersion },
      ...roomPartyOf({ room: room.name, name, participant: found }),
      waitMs: THERE_WAIT_MS,
    }, signal);
    await act(({ audit }) => audit({ action: "livekit.agent_joined", subjectId: callId }));
    return { id: callId };
  }),

  /** The tenant's own, in no order. */
  liveKitRooms: errand("calls:read", async (office, _: void): Promise<{ items: RoomView[] }> => {
    const { api } = await projectOf(office);
    return { items: (await api.listRooms(office.signal)).flatMap((room) => toView(office, room)) };
  }),

  /** One that is there already comes back. */
  createLiveKitRoom: errand(
    "calls:write",
    async (office, { name, ...more }: NewRoomInput): Promise<RoomView> => {
      const { act, tenantId, signal } = office;
      const { api } = await projectOf(office);
      const room = await api.createRoom({ ...more, name: wireRoom(tenantId, name) }, signal);
      await act(({ audit }) => audit({ action: "livekit.room_created", subjectId: name }));
      const [view] = toView(office, room);
      if (view === undefined) throw new Error("LiveKit made another room");
      return view;
    },
  ),

  deleteLiveKitRoom: errand("calls:write", async (office, name: string): Promise<null> => {
    const { api } = await projectOf(office);
    await api.deleteRoom(knownRoom(office, name), office.signal);
    await office.act(({ audit }) => audit({ action: "livekit.room_deleted", subjectId: name }));
    return null;
  }),

  liveKitParticipants: errand(
    "calls:read",
    async (office, name: string): Promise<{ items: Participant[] }> => {
      const { api } = await projectOf(office);
      const room = await standingRoom(office, api, name);
      return { items: await api.listParticipants(room.name, office.signal) };
    },
  ),

  removeLiveKitParticipant: errand("calls:write", async (
    office,
    { room: name, identity }: { readonly room: string; readonly identity: string },
  ): Promise<null> => {
    const { api } = await projectOf(office);
    const room = await standingRoom(office, api, name);
    await api.removeParticipant(room.name, identity, office.signal);
    const details = { identity };
    await office.act(({ audit }) =>
      audit({ action: "livekit.participant_removed", subjectId: name, details })
    );
    return null;
  }),
};

/** Who is in the room need not be waited for; their telephone may ring. */
const THERE_WAIT_MS = 8_000;

/** Throws AppError("not_found") for none of the tenant's; null is taken. */
export async function checkAgent(
  { read, tenantId }: Office,
  agentId: string | null,
): Promise<void> {
  if (agentId === null) return;
  if (await read((sql) => getAgent(sql, tenantId, agentId)) !== null) return;
  throw new AppError("not_found", "No such agent");
}

/** Of the office's tenant, as new as who asks. */
export function projectOf({ livekit, tenantId, by }: Office): Promise<LiveKitProject> {
  return livekit(tenantId, by.configVersion);
}

/** The wire name of a room in a path: throws AppError("not_found") for what can be the name of none. */
export function knownRoom({ tenantId }: Pick<Office, "tenantId">, name: string): string {
  if (!ROOM_NAME.test(name)) throw noRoom();
  return wireRoom(tenantId, name);
}

/** A room that is there: LiveKit tells nothing of those that are not. */
export async function standingRoom(office: Office, api: LiveKit, name: string): Promise<Room> {
  const wire = knownRoom(office, name);
  const found = (await api.listRooms(office.signal)).find((room) => room.name === wire);
  if (found === undefined) throw noRoom();
  return found;
}

function noRoom(): AppError {
  return new AppError("not_found", "No such room");
}

/** None for another tenant's. */
function toView({ tenantId }: Office, room: Room): RoomView[] {
  const name = roomOf(tenantId, room.name);
  if (name === null) return [];
  const { sid, metadata, participantCount, createdAt } = room;
  return [{ name, sid, metadata, participantCount, createdAt: createdAt.toISOString() }];
}
