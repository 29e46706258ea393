/** What a desk reads and writes of its tenant. */

import { getPublishedVersion } from "@/db/agents.ts";
import {
  type Call,
  findCarrierCall,
  getCall,
  insertCall,
  listCalls,
  updateCallEnded,
} from "@/db/calls.ts";
import type { Database, Sql } from "@/db/client.ts";
import { listEvents } from "@/db/events.ts";
import type { Clock } from "@/lib/clock.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import type { CallView, DeskDeps } from "./desk.ts";

/** A caller waits for an answer to the ring: the carrier's limit is far, the caller's patience is not. */
const CALL_MS = 2_000;
const REST_MS = 10_000;

export function deskStore(
  database: Database,
  tenantId: string,
  options: { readonly clock: Clock; readonly carrier: string },
): Pick<
  DeskDeps,
  "agent" | "insertCall" | "endCall" | "call" | "calls" | "callOfCarrier" | "events"
> {
  function inCall<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return database.asTenant("calls", tenantId, CALL_MS, work);
  }

  return {
    agent: (agentId) =>
      inCall(async (sql) => {
        const found = await getPublishedVersion(sql, tenantId, agentId, parseGraph);
        return found && { agentId, version: found.number, graph: found.graph };
      }),
    insertCall: (call) =>
      inCall(async (sql) => {
        const row = await insertCall(sql, tenantId, {
          id: call.callId,
          agentId: call.agent.agentId,
          agentVersion: call.agent.version,
          direction: call.direction,
          fromNumber: call.from,
          toNumber: call.to,
          carrier: options.carrier,
          carrierCallId: call.carrierCallId,
          startedAt: options.clock.date(),
        });
        return { callId: row.id, isNew: row.id === call.callId, isEnded: row.status === "ended" };
      }),
    endCall: (callId, reason) =>
      inCall(async (sql) => {
        const endedAt = options.clock.date();
        const end = { outcome: "failed", reason, variables: {}, endedAt } as const;
        await updateCallEnded(sql, tenantId, callId, end);
      }),
    callOfCarrier: (carrierCallId) =>
      inCall((sql) => findCarrierCall(sql, tenantId, { carrier: options.carrier, carrierCallId })),
    call: (callId) =>
      database.asTenant("rest", tenantId, REST_MS, async (sql) => {
        const call = await getCall(sql, tenantId, callId);
        return call && toView(call);
      }),
    calls: (page) =>
      database.asTenant("rest", tenantId, REST_MS, async (sql) => {
        const calls = await listCalls(sql, tenantId, page);
        return calls.map(toView);
      }),
    events: (callId, page) =>
      database.asTenant("rest", tenantId, REST_MS, async (sql) => {
        const events = await listEvents(sql, tenantId, callId, page);
        return events.map((event) => ({ ...event, at: event.at.toISOString() }));
      }),
  };
}

function toView(call: Call): CallView {
  return {
    id: call.id,
    agentId: call.agentId,
    direction: call.direction,
    from: call.fromNumber,
    to: call.toNumber,
    status: call.status,
    outcome: call.outcome,
    reason: call.reason,
    variables: call.variables,
    startedAt: call.startedAt.toISOString(),
    endedAt: call.endedAt?.toISOString() ?? null,
  };
}
