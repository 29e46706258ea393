/** Calls: one row each, from the first ring to how it came out. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export type CallStatus = "ringing" | "live" | "ended";
export type CallOutcome = "answered" | "busy" | "no_answer" | "voicemail" | "failed";

export interface NewCall {
  readonly id: string;
  readonly agentId: string;
  /** The number of the version that leads it. */
  readonly agentVersion: number;
  readonly direction: "inbound" | "outbound";
  /** E.164, as the carrier says it. */
  readonly fromNumber: string;
  readonly toNumber: string;
  readonly carrier: string;
  /** Null for an outbound call that the carrier has not taken yet. */
  readonly carrierCallId: string | null;
  readonly startedAt: Date;
}

export interface Call extends NewCall {
  readonly status: CallStatus;
  /** Null until it has ended. */
  readonly outcome: CallOutcome | null;
  /** A sentence on why it came out so, where there is something to say. */
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly answeredAt: Date | null;
  readonly endedAt: Date | null;
}

/** Returns the row; for a carrier's id that is known already, the one there is, which has another id. */
export async function insertCall(sql: Sql, tenantId: string, call: NewCall): Promise<Call> {
  const tenant = uuidOf("tenant", tenantId);
  await sql`
    insert into call (tenant_id, id, agent_id, agent_version, direction, from_number, to_number,
      carrier, carrier_call_id, status, started_at)
    values (${tenant}, ${uuidOf("call", call.id)}, ${uuidOf("agent", call.agentId)},
      ${call.agentVersion}, ${call.direction}, ${call.fromNumber}, ${call.toNumber},
      ${call.carrier}, ${call.carrierCallId}, 'ringing', ${call.startedAt})
    on conflict do nothing`;
  const [row] = await sql<Call[]>`
    select ${columns(sql)} from call
    where tenant_id = ${tenant}
      and (id = ${uuidOf("call", call.id)}
        or (carrier = ${call.carrier} and carrier_call_id = ${call.carrierCallId}))`;
  if (!row) throw new Error(`Call "${call.id}" is neither new nor there`);
  return row;
}

export async function getCall(sql: Sql, tenantId: string, callId: string): Promise<Call | null> {
  const [call] = await sql<Call[]>`
    select ${columns(sql)} from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}`;
  return call ?? null;
}

/** The call that a carrier knows by its own id; null when there is none. */
export async function findCarrierCall(
  sql: Sql,
  tenantId: string,
  { carrier, carrierCallId }: { readonly carrier: string; readonly carrierCallId: string },
): Promise<string | null> {
  const [call] = await sql<{ id: string }[]>`
    select 'call_' || id as id from call
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and carrier = ${carrier} and carrier_call_id = ${carrierCallId}`;
  return call?.id ?? null;
}

/** Newest first. `before` is the id of the last call already seen: ids sort by the time they were made. */
export async function listCalls(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<Call[]> {
  return await sql<Call[]>`
    select ${columns(sql)} from call
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.before === undefined ? sql`` : sql`and call.id < ${uuidOf("call", page.before)}`}
    order by call.id desc
    limit ${page.limit}`;
}

/** The carrier has taken an outbound call. */
export async function updateCallPlaced(
  sql: Sql,
  tenantId: string,
  callId: string,
  carrierCallId: string,
): Promise<void> {
  await sql`
    update call set carrier_call_id = ${carrierCallId}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and carrier_call_id is null`;
}

/** The first answer counts; a call that has ended stays so. */
export async function updateCallAnswered(
  sql: Sql,
  tenantId: string,
  callId: string,
  answeredAt: Date,
): Promise<void> {
  await sql`
    update call set status = 'live', answered_at = ${answeredAt}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and status = 'ringing'`;
}

export interface CallEnd {
  readonly outcome: CallOutcome;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly endedAt: Date;
}

/** The first end counts: false when the call has ended before, or is not there. */
export async function updateCallEnded(
  sql: Sql,
  tenantId: string,
  callId: string,
  end: CallEnd,
): Promise<boolean> {
  const rows = await sql`
    update call set status = 'ended', outcome = ${end.outcome}, reason = ${end.reason},
      variables = ${asJson(sql, end.variables)}, ended_at = ${end.endedAt}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and status <> 'ended'`;
  return rows.count === 1;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'call_' || id as id, 'agent_' || agent_id as agent_id, agent_version, direction,
    from_number, to_number, carrier, carrier_call_id, status, outcome, reason, variables,
    started_at, answered_at, ended_at`;
}
