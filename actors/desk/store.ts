/** What a desk reads and writes of its tenant. */

import { getAgentVersion, getPublishedVersion } from "@/db/agents.ts";
import { announceStarted, storeEnded } from "@/db/call_news.ts";
import { findCarrierCall, getCall, getCallWay, insertCall } from "@/db/calls.ts";
import { getNumberLeg } from "@/db/phone_numbers.ts";
import { listClipsNamed } from "@/db/clips.ts";
import { countCall } from "@/db/quota.ts";
import type { Database, Sql } from "@/db/client.ts";
import { NO_USAGE } from "@/lib/conversation/usage.ts";
import type { Clock } from "@/lib/clock.ts";
import { clipNames, withClips } from "@/lib/workflow/clips.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { type NumberLeg, onLeg } from "@/lib/workflow/leg.ts";
import { ROOM_CARRIER } from "@/lib/providers/carrier/room.ts";
import { WEB_CARRIER } from "@/lib/providers/carrier/web.ts";
import type { DeskDeps, NewCall } from "./desk_deps.ts";
import type { Channel } from "@/actors/call/call.ts";
import type { Ownership } from "@/actors/call/ownership.ts";
import { AppError } from "@/lib/errors.ts";

/** A caller waits for an answer to the ring: the carrier's limit is far, the caller's patience is not. */
const CALL_MS = 2_000;

/** Under which name a call's row knows its carrier. */
function carrierOf({ account, channel }: NewCall, ofHouse: string): string {
  if (channel === "web") return WEB_CARRIER;
  if (channel === "room") return ROOM_CARRIER;
  return account === "tenant" ? "twilio" : ofHouse;
}

function channelOf(carrier: string): Channel {
  return carrier === WEB_CARRIER ? "web" : carrier === ROOM_CARRIER ? "room" : "phone";
}

/** As it is held in the end, whatever its number and its agent said. */
function legOf({ agent, channel = "phone" }: NewCall): NumberLeg | null {
  if (channel !== "phone") return null;
  return agent.graph.relay === null ? "stream" : "relay";
}

export function deskStore(
  database: Database,
  tenantId: string,
  options: {
    readonly clock: Clock;
    /** The name of the house's; a tenant's own is Twilio. */
    readonly carrier: string;
    /** In the transaction of a new call's row: this machine owns it. Throws when it may own nothing. */
    readonly claim?: (sql: Sql, callId: string) => Promise<void>;
    /** As `Ownership` has them. Absent: no call is taken over. */
    readonly seen?: Ownership["seen"];
    readonly take?: Ownership["take"];
  },
): Pick<
  DeskDeps,
  "agent" | "insertCall" | "endCall" | "call" | "callOfCarrier" | "ownerOf" | "takeCall"
> {
  function inCall<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return database.asTenant("calls", tenantId, CALL_MS, work);
  }

  return {
    agent: ({ agentId, number, leg: given }) =>
      inCall(async (sql) => {
        const found = await getPublishedVersion(sql, tenantId, agentId, parseGraph);
        if (found === null) return null;
        const leg = number === null ? null : given ?? await getNumberLeg(sql, tenantId, number);
        const clips = await listClipsNamed(sql, tenantId, clipNames(found.graph));
        const graph = onLeg(withClips(found.graph, clips), leg);
        return { agentId, version: found.number, graph, clips };
      }),
    insertCall: (call, plan) =>
      inCall(async (sql) => {
        const { call: row, isNew } = await insertCall(sql, tenantId, {
          id: call.callId,
          agentId: call.agent.agentId,
          agentVersion: call.agent.version,
          direction: call.direction,
          fromNumber: call.from,
          toNumber: call.to,
          carrier: carrierOf(call, options.carrier),
          carrierCallId: call.carrierCallId,
          placedBy: call.placedBy,
          startedAt: options.clock.date(),
        }, { account: call.account, leg: legOf(call) });
        if (isNew) await options.claim?.(sql, row.id);
        if (isNew) await announceStarted(sql, tenantId, row);
        if (isNew && plan !== null) await countCall(sql, tenantId, row, plan.limits);
        return { callId: row.id, isNew: row.id === call.callId, isEnded: row.status === "ended" };
      }),
    endCall: (callId, reason) =>
      inCall(async (sql) => {
        const endedAt = options.clock.date();
        const none = { variables: {}, usage: NO_USAGE };
        const end = { outcome: "failed", reason, ...none, endedAt } as const;
        await storeEnded(sql, tenantId, callId, end);
      }),
    callOfCarrier: (carrierCallId) =>
      inCall((sql) => findCarrierCall(sql, tenantId, carrierCallId)),
    call: (callId) => inCall((sql) => getCall(sql, tenantId, callId)),
    ownerOf: (callId) => inCall(async (sql) => await options.seen?.(sql, callId) ?? null),
    takeCall: (callId, how) =>
      inCall(async (sql) => {
        const after = await options.take?.(sql, callId, how) ?? null;
        if (after === null) return null;
        if (after === "notNow") {
          throw new AppError("fenced", `Call "${callId}" is being taken elsewhere`, {
            retryable: true,
          });
        }
        // Behind the taking: what its last owner has written is all there is.
        const row = await getCall(sql, tenantId, callId);
        const way = await getCallWay(sql, tenantId, callId);
        if (row === null || way === null || row.status === "ended") return null;
        const { agentId, agentVersion, direction, fromNumber, toNumber, carrierCallId } = row;
        const version = await getAgentVersion(sql, tenantId, agentId, agentVersion, parseGraph);
        if (version === null) return null;
        const clips = await listClipsNamed(sql, tenantId, clipNames(version.graph));
        const graph = onLeg(withClips(version.graph, clips), way.leg);
        const numbers = [fromNumber, toNumber];
        if (direction === "outbound") numbers.reverse(); // the caller's first
        return {
          ...{ graph, clips, direction, numbers, carrierCallId, after },
          account: way.account,
          channel: channelOf(row.carrier),
        };
      }),
  };
}
