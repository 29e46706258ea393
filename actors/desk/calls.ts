/** Errands on calls: what was said and how it came out, and placing one. */

import {
  type Call,
  type CallFilter,
  getCall,
  getCallAnalysis,
  listCalls,
  type StoredAnalysis,
} from "@/db/calls.ts";
import type { Sql } from "@/db/client.ts";
import { type ConversationEvent, listEvents } from "@/db/events.ts";
import {
  transcriptOf,
  transcriptText,
  type TranscriptTurn,
} from "@/lib/conversation/transcript.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { errand } from "./errand.ts";

/** Placing a call waits for the carrier's API. */
const PLACE_MS = 10_000;
/** A conversation of four hours has a few thousand events. */
const EVENTS_MAX = 20_000;

export interface CallView {
  readonly id: string;
  readonly agentId: string;
  readonly direction: "inbound" | "outbound";
  readonly from: string;
  readonly to: string;
  readonly status: "ringing" | "live" | "ended";
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly startedAt: string;
  /** Null while nobody has answered. */
  readonly answeredAt: string | null;
  readonly endedAt: string | null;
  /** From the answer to the end; null until it has ended. */
  readonly durationMs: number | null;
}

export interface EventView {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly payload: unknown;
}

export interface TranscriptView {
  readonly callId: string;
  /** Whether there may be more to come. */
  readonly isComplete: boolean;
  readonly turns: TurnView[];
}

export interface TurnView extends Omit<TranscriptTurn, "startedAt" | "endedAt"> {
  readonly startedAt: string | null;
  readonly endedAt: string;
}

interface CallsPage extends Omit<CallFilter, "from" | "to"> {
  readonly limit: number;
  /** The `next` of the page before. */
  readonly cursor?: string | undefined;
  /** ISO 8601. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

interface EventsPage {
  readonly callId: string;
  /** The `seq` of the last one already seen. */
  readonly after: number;
  readonly limit: number;
}

export const callErrands = {
  placeCall: errand(
    "calls:write",
    async (
      { desk, by },
      call: { readonly agentId: string; readonly to: string; readonly from: string },
    ): Promise<{ id: string }> => {
      const { callId } = await desk.ask<{ callId: string }>(
        (reply) => ({ type: "placeCall", ...call, configVersion: by.configVersion, reply }),
        { timeoutMs: PLACE_MS },
      );
      return { id: callId };
    },
  ),

  /** Newest first. */
  calls: errand("calls:read", async (
    { read, tenantId },
    { limit, cursor, from, to, ...filter }: CallsPage,
  ): Promise<{ items: CallView[]; next: string | null }> => {
    const page = {
      ...filter,
      limit,
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
      before: cursor === undefined ? undefined : fromCursor(cursor),
    };
    const items = (await read((sql) => listCalls(sql, tenantId, page))).map(toView);
    const last = items.length < limit ? undefined : items.at(-1);
    return { items, next: last === undefined ? null : `${last.startedAt}_${last.id}` };
  }),

  call: errand(
    "calls:read",
    async ({ read, tenantId }, callId: string): Promise<CallView> =>
      toView(await read((sql) => found(sql, tenantId, callId))),
  ),

  callEvents: errand("calls:read", async (
    { read, tenantId },
    { callId, after, limit }: EventsPage,
  ): Promise<{ items: EventView[]; next: string | null }> => {
    const events = await read(async (sql) => {
      await found(sql, tenantId, callId);
      return await listEvents(sql, tenantId, callId, { after, limit });
    });
    const items = events.map(toEventView);
    const last = items.length < limit ? undefined : items.at(-1);
    return { items, next: last === undefined ? null : `${last.seq}` };
  }),

  /** What follows an event of a call, for who watches it. */
  callNews: errand("calls:read", async (
    { read, tenantId },
    { callId, after, limit }: EventsPage,
  ): Promise<{ events: EventView[]; hasEnded: boolean }> =>
    await read(async (sql) => {
      // The row first: what is recorded of a call that has ended is then read with it.
      const { status } = await found(sql, tenantId, callId);
      const events = await listEvents(sql, tenantId, callId, { after, limit });
      return { events: events.map(toEventView), hasEnded: status === "ended" };
    })),

  callTranscript: errand("calls:read", async (
    { read, tenantId },
    callId: string,
  ): Promise<TranscriptView> => {
    const { call, turns } = await read((sql) => transcript(sql, tenantId, callId));
    return {
      callId,
      isComplete: call.status === "ended",
      turns: turns.map(({ startedAt, endedAt, ...turn }) => ({
        ...turn,
        startedAt: startedAt?.toISOString() ?? null,
        endedAt: endedAt.toISOString(),
      })),
    };
  }),

  /** A line a turn; times are since the answer. */
  callTranscriptText: errand("calls:read", async (
    { read, tenantId },
    callId: string,
  ): Promise<string> => {
    const { call, turns } = await read((sql) => transcript(sql, tenantId, callId));
    return transcriptText(turns, call.answeredAt ?? call.startedAt);
  }),

  /** It is there a second or two after the end. */
  callAnalysis: errand("calls:read", async (
    { read, tenantId },
    callId: string,
  ): Promise<{ callId: string; analysis: StoredAnalysis | null }> => {
    const analysis = await read(async (sql) => {
      await found(sql, tenantId, callId);
      return await getCallAnalysis(sql, tenantId, callId);
    });
    return { callId, analysis };
  }),

  hangUpCall: errand("calls:write", async ({ act, desk }, callId: string): Promise<null> => {
    if (uuidOf("call", callId) === null) throw noCall();
    await desk.ask<void>((reply) => ({ type: "hangUp", callId, reply }), { timeoutMs: PLACE_MS });
    await act(({ audit }) => audit({ action: "call.hung_up", subjectId: callId }));
    return null;
  }),
};

async function transcript(
  sql: Sql,
  tenantId: string,
  callId: string,
): Promise<{ call: Call; turns: readonly TranscriptTurn[] }> {
  const call = await found(sql, tenantId, callId);
  const events = await listEvents(sql, tenantId, callId, { after: 0, limit: EVENTS_MAX });
  return { call, turns: transcriptOf(events) };
}

async function found(sql: Sql, tenantId: string, callId: string): Promise<Call> {
  const call = uuidOf("call", callId) === null ? null : await getCall(sql, tenantId, callId);
  if (call === null) throw noCall();
  return call;
}

/** `2026-01-05T09:00:00.000Z_call_…` */
function fromCursor(cursor: string): { startedAt: Date; id: string } {
  const [, time = "", id = ""] = /^([^_]+)_(call_.+)$/.exec(cursor) ?? [];
  const startedAt = new Date(time);
  if (!Number.isNaN(+startedAt) && uuidOf("call", id) !== null) return { startedAt, id };
  throw new AppError("invalid", 'Wrong input in "cursor": not one that was given out', {
    field: "cursor",
  });
}

function toEventView({ at, ...event }: ConversationEvent): EventView {
  return { ...event, at: at.toISOString() };
}

function noCall(): AppError {
  return new AppError("not_found", "No such call");
}

function toView(call: Call): CallView {
  const { answeredAt, endedAt } = call;
  const talked = answeredAt === null || endedAt === null ? 0 : Math.max(0, +endedAt - +answeredAt);
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
    answeredAt: answeredAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null,
    durationMs: endedAt === null ? null : talked,
  };
}
