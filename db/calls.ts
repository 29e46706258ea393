/** Calls: one row each, from the first ring to how it came out. */

import { uuidOf } from "@/lib/ids.ts";
import type { CallUsage } from "@/lib/conversation/usage.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";
import { countSeconds } from "./quota.ts";

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
  /** `person_…` or `key_…`, or an operator's name; null: nobody of the tenant placed it. */
  readonly placedBy: string | null;
  readonly startedAt: Date;
}

/** What else another machine must know to go on with a call. */
export interface CallWay {
  /** Whose account of the carrier it goes by; null: it was begun by a version that did not write it. */
  readonly account: "house" | "tenant" | null;
  /** How a phone call is held; null: it is none, or as `account`. */
  readonly leg: NumberLeg | null;
}

/** What is learnt of a call after it; its shape belongs to `actors/call/analysis.ts`. */
export type StoredAnalysis = Readonly<Record<string, unknown>>;

export interface Call extends NewCall {
  readonly status: CallStatus;
  /** Null until it has ended. */
  readonly outcome: CallOutcome | null;
  /** A sentence on why it came out so, where there is something to say. */
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Null until it has ended, and where nothing is known of it. */
  readonly usage: CallUsage | null;
  readonly answeredAt: Date | null;
  readonly endedAt: Date | null;
}

/** Returns the row; for a carrier's id that is known already, the one there is, which has another id. */
export async function insertCall(
  sql: Sql,
  tenantId: string,
  call: NewCall,
  way: CallWay = { account: null, leg: null },
): Promise<{ readonly call: Call; readonly isNew: boolean }> {
  const tenant = uuidOf("tenant", tenantId);
  const inserted = await sql`
    insert into call (tenant_id, id, agent_id, agent_version, direction, from_number, to_number,
      carrier, carrier_call_id, placed_by, status, started_at, account, leg)
    values (${tenant}, ${uuidOf("call", call.id)}, ${uuidOf("agent", call.agentId)},
      ${call.agentVersion}, ${call.direction}, ${call.fromNumber}, ${call.toNumber},
      ${call.carrier}, ${call.carrierCallId}, ${call.placedBy}, 'ringing', ${call.startedAt},
      ${way.account}, ${way.leg})
    on conflict do nothing`;
  const [row] = await sql<Call[]>`
    select ${columns(sql)} from call
    where tenant_id = ${tenant}
      and (call.id = ${uuidOf("call", call.id)}
        or (carrier = ${call.carrier} and carrier_call_id = ${call.carrierCallId}))`;
  if (!row) throw new Error(`Call "${call.id}" is neither new nor there`);
  return { call: row, isNew: inserted.count === 1 };
}

export async function getCall(sql: Sql, tenantId: string, callId: string): Promise<Call | null> {
  const [call] = await sql<Call[]>`
    select ${columns(sql)} from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}`;
  return call ?? null;
}

/** Has there been a call between two numbers since then, either way, but for this one, that was taken? */
export async function hasTalkedSince(
  sql: Sql,
  tenantId: string,
  { ours, theirs, exceptId }: {
    readonly ours: string;
    readonly theirs: string;
    readonly exceptId: string;
  },
  since: Date,
): Promise<boolean> {
  const tenant = uuidOf("tenant", tenantId);
  const [row] = await sql`
    select 1 from call
    where tenant_id = ${tenant} and started_at > ${since} and id <> ${uuidOf("call", exceptId)}
      and ((from_number = ${theirs} and to_number = ${ours})
        or (from_number = ${ours} and to_number = ${theirs}))
      and (status <> 'ended' or answered_at is not null)
    limit 1`;
  return row !== undefined;
}

/** Null: no such call. */
export async function getCallWay(
  sql: Sql,
  tenantId: string,
  callId: string,
): Promise<CallWay | null> {
  const [way] = await sql<CallWay[]>`
    select account, leg from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}`;
  return way ?? null;
}

/** The call that a carrier knows by its own id; null when there is none. `isLive`: of those that have not ended. */
export async function findCarrierCall(
  sql: Sql,
  tenantId: string,
  carrierCallId: string,
  { isLive = false }: { readonly isLive?: boolean } = {},
): Promise<string | null> {
  const [call] = await sql<{ id: string }[]>`
    select 'call_' || id as id from call
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and carrier_call_id = ${carrierCallId} and (status <> 'ended' or not ${isLive}::boolean)
    limit 1`;
  return call?.id ?? null;
}

/** Which calls are meant; what is absent leaves the choice open. */
export interface CallFilter {
  readonly status?: CallStatus | undefined;
  readonly outcome?: CallOutcome | undefined;
  readonly direction?: "inbound" | "outbound" | undefined;
  readonly agentId?: string | undefined;
  /** As it stands in the row. */
  readonly placedBy?: string | undefined;
  /** Called or calling, E.164. */
  readonly number?: string | undefined;
  /** Started at this instant or later. */
  readonly from?: Date | undefined;
  /** Started before this instant. */
  readonly to?: Date | undefined;
}

export interface CallPage extends CallFilter {
  readonly limit: number;
  /** The last call already seen. */
  readonly before?: { readonly startedAt: Date; readonly id: string } | undefined;
}

/** Newest first, by when they started. */
export async function listCalls(sql: Sql, tenantId: string, page: CallPage): Promise<Call[]> {
  const { number, limit } = page;
  if (number === undefined) {
    return await sql<Call[]>`
      select ${columns(sql)} from call
      where ${matches(sql, tenantId, page)}
      order by call.started_at desc, call.id desc
      limit ${limit}`;
  }
  // Each side by its own index: an `or` would read all calls of a busy number and sort them.
  return await sql<Call[]>`
    select id, agent_id, agent_version, direction, from_number, to_number, carrier,
      carrier_call_id, placed_by, status, outcome, reason, variables, usage, started_at,
      answered_at, ended_at
    from (
      (select ${columns(sql)} from call
        where ${matches(sql, tenantId, page)} and from_number = ${number}
        order by call.started_at desc, call.id desc
        limit ${limit})
      union all
      (select ${columns(sql)} from call
        where ${matches(sql, tenantId, page)} and to_number = ${number}
          and from_number <> ${number}
        order by call.started_at desc, call.id desc
        limit ${limit})
    ) as found
    order by started_at desc, id desc
    limit ${limit}`;
}

function matches(sql: Sql, tenantId: string, page: CallPage): ReturnType<Sql> {
  const { status, outcome, direction, agentId, placedBy, from, to, before } = page;
  const isLive = status === undefined || status === "ended" ? sql`` : sql`and status <> 'ended'`;
  return sql`call.tenant_id = ${uuidOf("tenant", tenantId)}
    ${status === undefined ? sql`` : sql`and status = ${status} ${isLive}`}
    ${outcome === undefined ? sql`` : sql`and outcome = ${outcome}`}
    ${direction === undefined ? sql`` : sql`and direction = ${direction}`}
    ${agentId === undefined ? sql`` : sql`and agent_id = ${uuidOf("agent", agentId)}`}
    ${placedBy === undefined ? sql`` : sql`and placed_by = ${placedBy}`}
    ${from === undefined ? sql`` : sql`and call.started_at >= ${from}`}
    ${to === undefined ? sql`` : sql`and call.started_at < ${to}`}
    ${
    before === undefined
      ? sql``
      : sql`and (call.started_at, call.id) < (${before.startedAt}, ${uuidOf("call", before.id)})`
  }`;
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

/** The first answer counts; a call that has ended stays so. The row as it is now; null: it is as it was. */
export async function updateCallAnswered(
  sql: Sql,
  tenantId: string,
  callId: string,
  answeredAt: Date,
): Promise<Call | null> {
  const [call] = await sql<Call[]>`
    update call set status = 'live', answered_at = ${answeredAt}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and status = 'ringing'
    returning ${columns(sql)}`;
  return call ?? null;
}

export interface CallEnd {
  readonly outcome: CallOutcome;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  /** What it has used of its providers; null: nobody knows. */
  readonly usage: CallUsage | null;
  readonly endedAt: Date;
}

/** The calls whose rows have not ended and began after `since`, of all machines. */
export async function listOpenCalls(
  sql: Sql,
  tenantId: string,
  { since, limit }: { readonly since: Date; readonly limit: number },
): Promise<string[]> {
  const calls = await sql<{ id: string }[]>`
    select 'call_' || id as id from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and status <> 'ended' and started_at > ${since}
    order by started_at desc
    limit ${limit}`;
  return calls.map(({ id }) => id);
}

/**
 * The first end counts, and how long the caller was on it with it. The row as it is now; null: it had
 * ended before, or is not there.
 */
export async function updateCallEnded(
  sql: Sql,
  tenantId: string,
  callId: string,
  end: CallEnd,
): Promise<Call | null> {
  const [call] = await sql<Call[]>`
    update call set status = 'ended', outcome = ${end.outcome}, reason = ${end.reason},
      variables = ${asJson(sql, end.variables)}, ended_at = ${end.endedAt},
      usage = ${end.usage === null ? null : asJson(sql, end.usage)}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and status <> 'ended'
    returning ${columns(sql)}`;
  if (call === undefined) return null;
  const { answeredAt, endedAt } = call;
  if (answeredAt !== null && endedAt !== null) {
    const seconds = (endedAt.getTime() - answeredAt.getTime()) / 1_000;
    await countSeconds(sql, tenantId, seconds, endedAt);
  }
  return call;
}

/** The first analysis counts: false when there is one, or no such call. */
export async function updateCallAnalysis(
  sql: Sql,
  tenantId: string,
  callId: string,
  analysis: StoredAnalysis,
): Promise<boolean> {
  const rows = await sql`
    update call set analysis = ${asJson(sql, analysis)}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}
      and analysis is null`;
  return rows.count === 1;
}

/** Null while the call has not been analysed, and when there is no such call. */
export async function getCallAnalysis(
  sql: Sql,
  tenantId: string,
  callId: string,
): Promise<StoredAnalysis | null> {
  const [call] = await sql<{ analysis: StoredAnalysis | null }[]>`
    select analysis from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("call", callId)}`;
  return call?.analysis ?? null;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'call_' || call.id as id, 'agent_' || agent_id as agent_id, agent_version, direction,
    from_number, to_number, carrier, carrier_call_id, placed_by, status, outcome, reason, variables,
    usage, started_at, answered_at, ended_at`;
}
