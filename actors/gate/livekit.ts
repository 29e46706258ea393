/** Entries of LiveKit: its webhooks, and calls of a carrier that are handed on to it. */

import { act } from "@/db/act.ts";
import { isFinal, storeEgress, takeLiveKitEvent } from "@/db/livekit.ts";
import { getTenant } from "@/db/tenants.ts";
import { findCarrierCall } from "@/db/calls.ts";
import { isServed } from "@/lib/access.ts";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { LiveKitEvent, Participant } from "@/lib/providers/livekit/livekit.ts";
import {
  CARRIER_CALL_ATTRIBUTE,
  type TenantRoom,
  tenantRoom,
  wireRoom,
} from "@/lib/providers/livekit/rooms.ts";
import { AGENT_ATTRIBUTE, AGENT_IDENTITY } from "@/lib/providers/livekit/rooms.ts";
import { roomCallId, roomPartyOf } from "@/lib/providers/carrier/room.ts";
import type { LiveKitProject } from "@/actors/desk/equipment.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import type { NumberOwner } from "./gate.ts";

const ENTRY_MS = 2_000;
/** Whoever is phoned may take so long to answer: a little more than a telephone may ring. */
const ANSWER_WAIT_MS = 52_000;
/** A machine whose agent has left a room has it back by then. */
const BACK_BY_ITSELF_MS = 1_500;

export interface LiveKitWebhook {
  /** Of its path: whose project tells; null: the house's. */
  readonly tenantId: string | null;
  readonly body: string;
  readonly authorization: string;
}

/** Where a carrier is to take a call of its own. */
export type LiveKitTarget =
  | {
    readonly type: "sip";
    /** `sip:+15550100100@project.sip.livekit.cloud;transport=tls?X-…=…` */
    readonly uri: string;
    readonly login: { readonly username: string; readonly password: string } | null;
  }
  /** A media stream's address. */
  | { readonly type: "stream"; readonly url: string };

export interface HandedCall {
  readonly owner: NumberOwner;
  readonly from: string;
  readonly to: string;
  readonly carrierCallId: string;
  /** `sip`: by a trunk and its rule; `stream`: into a room of this call's own. */
  readonly by: "sip" | "stream";
  readonly header: string;
}

export const liveKitEntries = {
  /**
   * Takes an event, once, whatever the order. Throws unauthenticated for one that the project has not signed, the
   * same one for no such tenant and for one without a project of its own.
   */
  liveKitWebhook: entry(async (lobby, webhook: LiveKitWebhook): Promise<null> => {
    const { api } = await projectOf(lobby, webhook.tenantId);
    const event = await api.readWebhook(webhook.body, webhook.authorization);
    const room = tenantRoom(event.egress?.room ?? event.room?.name ?? "");
    // Of rooms that are not ours, and of another's by a tenant's own project, nothing is to be known.
    if (room === null || (webhook.tenantId ?? room.tenantId) !== room.tenantId) return null;
    const taken = await takeEvent(lobby, room, event);
    if (taken === null) return null;
    welcome(lobby, { ...room, ...taken }, event);
    goOn(lobby, room, event);
    return null;
  }),

  /** Throws not_configured where the project has no SIP host, or there is no project. */
  liveKitTarget: entry(async (lobby, call: HandedCall): Promise<LiveKitTarget> => {
    const { tenantId, agentId, configVersion } = call.owner;
    await checkServed(lobby, tenantId);
    const { api, sip } = await lobby.livekit(tenantId, configVersion);
    if (call.by === "stream") {
      const url = await api.connectTwilioCall({
        room: wireRoom(tenantId, `call-${call.carrierCallId}`),
        identity: "caller",
        direction: "inbound",
        attributes: {
          [CARRIER_CALL_ATTRIBUTE]: call.carrierCallId,
          ...(agentId === null ? {} : { [AGENT_ATTRIBUTE]: agentId }),
        },
      }, lobby.signal);
      return { type: "stream", url };
    }
    if (sip === null) {
      const field = "LIVEKIT_SIP_HOST";
      throw new AppError("not_configured", `LiveKit cannot be phoned: ${field} is missing`, {
        field,
      });
    }
    const header = `${call.header}=${encodeURIComponent(call.carrierCallId)}`;
    const { host, login } = sip;
    return {
      type: "sip",
      uri: `sip:${call.to}@${host}?${header}`,
      login: login && { username: login.username, password: login.password.reveal() },
    };
  }),
};

async function projectOf(lobby: Lobby, tenantId: string | null): Promise<LiveKitProject> {
  if (tenantId === null) return lobby.houseLiveKit();
  const unknown = new AppError("unauthenticated", "Not signed by this LiveKit project", {
    field: "Authorization",
  });
  if (uuidOf("tenant", tenantId) === null) throw unknown;
  const project = await lobby.livekit(tenantId, null).catch((error) => {
    const isNone = error instanceof AppError &&
      (error.code === "not_found" || error.code === "not_configured");
    throw isNone ? unknown : error;
  });
  if (project.account === "house") throw unknown; // its webhooks come without a tenant
  return project;
}

async function checkServed({ database }: Lobby, tenantId: string): Promise<void> {
  const tenant = await database.asTenant(
    "calls",
    tenantId,
    ENTRY_MS,
    (sql) => getTenant(sql, tenantId),
  );
  if (tenant !== null && isServed(tenant.status)) return;
  throw new AppError("tenant_suspended", "The company's access is off");
}

/** Whoever is to be joined by an agent, and has come, is; nobody waits for that. */
function welcome(
  lobby: Lobby,
  { tenantId, name, configVersion }: {
    readonly tenantId: string;
    readonly name: string;
    readonly configVersion: number;
  },
  { type, room, participant }: LiveKitEvent,
): void {
  const agentId = participant?.attributes[AGENT_ATTRIBUTE];
  if (type !== "participant_joined" || room === null || participant === null) return;
  if (agentId === undefined || participant.identity.startsWith(AGENT_IDENTITY)) return;
  lobby.background.start("join a room", async (signal) => {
    const visit = roomPartyOf({ room: room.name, name, participant });
    const waitMs = ANSWER_WAIT_MS;
    try {
      await lobby.rooms.enter({ ...visit, tenantId, agentId, configVersion, waitMs }, signal);
    } catch (error) {
      if (participant.kind !== "sip") throw error;
      // On the telephone nobody is there to see that no agent comes.
      const { api } = await lobby.livekit(tenantId, configVersion);
      await api.removeParticipant(room.name, participant.identity, signal).catch(() => {});
      throw error;
    }
  });
}

/**
 * An agent of ours has left somebody, who is still there: its machine may be lost, or the process that joins rooms.
 * A machine that lives comes back by itself, long before this one steps in.
 */
function goOn(lobby: Lobby, { tenantId }: TenantRoom, event: LiveKitEvent): void {
  const { type, room, participant } = event;
  if (type !== "participant_left" || room === null || participant === null) return;
  if (!participant.identity.startsWith(AGENT_IDENTITY)) return;
  const participantId = participant.identity.slice(AGENT_IDENTITY.length);
  lobby.background.start("go on in a room", async (signal) => {
    await sleep(lobby.clock, BACK_BY_ITSELF_MS, signal);
    const { api } = await lobby.livekit(tenantId, null);
    const there = await api.listParticipants(room.name, signal).catch(noneWhenGone);
    const left = there.find(({ sid }) => sid === participantId);
    if (left === undefined) return;
    if (there.some(({ identity }) => identity === participant.identity)) return; // it is back
    const carrierCallId = roomCallId({ room: room.name, identity: left.identity, participantId });
    const callId = await lobby.database.asTenant(
      "calls",
      tenantId,
      ENTRY_MS,
      (sql) => findCarrierCall(sql, tenantId, carrierCallId, { isLive: true }),
    );
    if (callId !== null) await lobby.rooms.goOn({ tenantId, callId, carrierCallId }, signal);
  });
}

function noneWhenGone(error: unknown): readonly Participant[] {
  if (error instanceof AppError && error.code === "not_found") return [];
  throw error;
}

/** What follows is done with the mark that it was: told again, it is not done again. */
async function takeEvent(
  lobby: Lobby,
  { tenantId, name }: { readonly tenantId: string; readonly name: string },
  event: LiveKitEvent,
): Promise<{ readonly configVersion: number } | null> {
  const { database, clock, request } = lobby;
  const { requestId, address } = request;
  const actor = { actorKind: "system", actorId: "livekit", requestId, address } as const;
  const bounds = { tenantId, pool: "rest", deadlineMs: ENTRY_MS } as const;
  const options = { ...bounds, database, clock, committed: lobby, actor };
  return await act(options, async ({ sql, emit }) => {
    const tenant = await getTenant(sql, tenantId);
    if (tenant === null) return null;
    const taken = { configVersion: tenant.configVersion };
    if (!await takeLiveKitEvent(sql, tenantId, { id: event.id, now: clock.date() })) return null;
    if (event.egress === null) return taken;
    const row = await storeEgress(sql, tenantId, event.egress, { room: name, startedBy: null });
    if (row === null || !isFinal(row.status)) return taken;
    await emit("livekit.egress_ended", {
      egressId: row.id,
      room: name,
      status: row.status,
      error: row.error,
      files: row.files,
      startedAt: row.startedAt?.toISOString() ?? null,
      endedAt: row.endedAt?.toISOString() ?? null,
    });
    return taken;
  });
}
