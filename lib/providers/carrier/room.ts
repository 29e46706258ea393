/** A LiveKit room as the carrier of a call: to hang up is to remove whoever came by telephone. */

import { AppError } from "@/lib/errors.ts";
import { type LiveKit, type Participant, SIP_ATTRIBUTES } from "@/lib/providers/livekit/livekit.ts";
import type { Carrier } from "./carrier.ts";

/** What a call's row names as its carrier. */
export const ROOM_CARRIER = "livekit";

/** Who is talked to, and where. */
export interface RoomCall {
  /** On the wire. */
  readonly room: string;
  readonly identity: string;
  /** Of this stay: who comes again has another. */
  readonly participantId: string;
}

/** What stands for a carrier's id. Neither names nor ids hold a colon; an identity may. */
export function roomCallId({ room, identity, participantId }: RoomCall): string {
  return `${participantId}:${room}:${identity}`;
}

export function roomCallOf(carrierCallId: string): RoomCall | null {
  const [, participantId = "", room = "", identity = ""] =
    /^([^:]+):([^:]+):(.+)$/s.exec(carrierCallId) ?? [];
  return identity === "" ? null : { participantId, room, identity };
}

/** Between whom a call in a room is: numbers where it came by telephone. */
export interface RoomParty extends RoomCall {
  readonly from: string;
  readonly to: string;
}

export function roomPartyOf(
  { room, name, participant }: {
    /** On the wire. */
    readonly room: string;
    /** As the tenant calls it. */
    readonly name: string;
    readonly participant: Participant;
  },
): RoomParty {
  const { sid: participantId, identity, attributes } = participant;
  const from = attributes[SIP_ATTRIBUTES.caller] || identity;
  const to = attributes[SIP_ATTRIBUTES.called] || name;
  return { room, identity, participantId, from, to };
}

/** `project`: the one that the room is in. */
export function roomCarrier(project: () => Promise<LiveKit>): Carrier {
  return {
    provider: ROOM_CARRIER,
    placeCall() {
      return Promise.reject(new AppError("not_configured", "A room is joined, and not called"));
    },
    /** A person in a browser stays in the room: the agent leaves it, as its leg closes. */
    async hangUp(carrierCallId, signal) {
      const call = roomCallOf(carrierCallId);
      if (call === null) return;
      const api = await project();
      try {
        const participants = await api.listParticipants(call.room, signal);
        const found = participants.find(({ sid }) => sid === call.participantId);
        if (found?.kind !== "sip") return;
        await api.removeParticipant(call.room, call.identity, signal);
      } catch (error) {
        if (error instanceof AppError && error.code === "not_found") return;
        throw error;
      }
    },
  };
}
