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
import { countDial } from "@/db/quota.ts";
import { getTenantPlan } from "@/db/tenant_limits.ts";
import { getTenant } from "@/db/tenants.ts";
import {
  transcriptOf,
  transcriptText,
  type TranscriptTurn,
} from "@/lib/conversation/transcript.ts";
import type { CallUsage } from "@/lib/conversation/usage.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { INVITE_MS } from "@/lib/listening.ts";
import { ROOM_CARRIER } from "@/lib/providers/carrier/room.ts";
import { WEB_CARRIER } from "@/lib/providers/carrier/web.ts";
import type { Channel } from "@/actors/call/call.ts";
import type { Command } from "@/actors/call/control.ts";
import type { Reply } from "@/actors/runtime/actor.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

/** Placing a call waits for the carrier's API. */
const PLACE_MS = 10_000;
/** A conversation of four hours has a few thousand events. */
const EVENTS_MAX = 20_000;

export interface CallView {
  readonly id: string;
  readonly agentId: string;
  readonly direction: "inbound" | "outbound";
  /** `web`: from a page in a browser, its two numbers say the same; `room`: in a LiveKit room. */
  readonly channel: Channel;
  readonly from: string;
  readonly to: string;
  /** `person_…` or `key_…`, or an operator's name; null: the call came in. */
  readonly placedBy: string | null;
  readonly status: "ringing" | "live" | "ended";
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  /** What it has used of its providers; null until it has ended, and where nobody knows. */
  readonly usage: CallUsage | null;
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

interface CallsPage extends Omit<CallFilter, "from" | "to" | "placedBy"> {
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
        (reply) => ({
          type: "placeCall",
          ...call,
          configVersion: by.configVersion,
          placedBy: by.id,
          reply,
        }),
        { timeoutMs: PLACE_MS },
      );
      return { id: callId };
    },
  ),

  /** Newest first. */
  calls: errand("calls:read", async (
    office,
    { limit, cursor, from, to, ...filter }: CallsPage,
  ): Promise<{ items: CallView[]; next: string | null }> => {
    const page = {
      ...filter,
      limit,
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
      before: cursor === undefined ? undefined : fromCursor(cursor),
    };
    const rows = await office.read(async (sql) => {
      const placedBy = await seesOnly(sql, office) ?? undefined;
      return await listCalls(sql, office.tenantId, { ...page, placedBy });
    });
    const items = rows.map(toView);
    const last = items.length < limit ? undefined : items.at(-1);
    return { items, next: last === undefined ? null : `${last.startedAt}_${last.id}` };
  }),

  call: errand(
    "calls:read",
    async (office, callId: string): Promise<CallView> =>
      toView(await office.read((sql) => found(sql, office, callId))),
  ),

  callEvents: errand("calls:read", async (
    office,
    { callId, after, limit }: EventsPage,
  ): Promise<{ items: EventView[]; next: string | null }> => {
    const events = await office.read(async (sql) => {
      await found(sql, office, callId);
      return await listEvents(sql, office.tenantId, callId, { after, limit });
    });
    const items = events.map(toEventView);
    const last = items.length < limit ? undefined : items.at(-1);
    return { items, next: last === undefined ? null : `${last.seq}` };
  }),

  /** What follows an event of a call, for who watches it. */
  callNews: errand("calls:read", async (
    office,
    { callId, after, limit }: EventsPage,
  ): Promise<{ events: EventView[]; hasEnded: boolean }> =>
    await office.read(async (sql) => {
      // The row first: what is recorded of a call that has ended is then read with it.
      const { status } = await found(sql, office, callId);
      const events = await listEvents(sql, office.tenantId, callId, { after, limit });
      return { events: events.map(toEventView), hasEnded: status === "ended" };
    })),

  callTranscript: errand("calls:read", async (
    office,
    callId: string,
  ): Promise<TranscriptView> => {
    const { call, turns } = await office.read((sql) => transcript(sql, office, callId));
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
    office,
    callId: string,
  ): Promise<string> => {
    const { call, turns } = await office.read((sql) => transcript(sql, office, callId));
    return transcriptText(turns, call.answeredAt ?? call.startedAt);
  }),

  /** It is there a second or two after the end. */
  callAnalysis: errand("calls:read", async (
    office,
    callId: string,
  ): Promise<{ callId: string; analysis: StoredAnalysis | null }> => {
    const analysis = await office.read(async (sql) => {
      await found(sql, office, callId);
      return await getCallAnalysis(sql, office.tenantId, callId);
    });
    return { callId, analysis };
  }),

  hangUpCall: errand("calls:write", async (office, callId: string): Promise<null> => {
    const { read, act, desk } = office;
    await read((sql) => found(sql, office, callId));
    await desk.ask<void>((reply) => ({ type: "hangUp", callId, reply }), { timeoutMs: PLACE_MS });
    await act(({ audit }) => audit({ action: "call.hung_up", subjectId: callId }));
    return null;
  }),

  /** Fails with conflict while the call is not being held. */
  controlCall: errand(
    "calls:write",
    (office, { callId, command }: { readonly callId: string; readonly command: Command }) =>
      control(office, callId, command),
  ),

  listenToCall: errand("calls:write", async (
    office,
    callId: string,
  ): Promise<ListenTicketView> => {
    const { read, act, desk, by, clock, publicUrl } = office;
    await read((sql) => found(sql, office, callId));
    const expiresAt = new Date(clock.date().getTime() + INVITE_MS).toISOString();
    const { ticket } = await desk.ask<{ readonly ticket: string }>(
      (reply) => ({ type: "invite", callId, by: by.id, reply }),
      { timeoutMs: PLACE_MS },
    );
    await act(({ audit }) =>
      audit({ action: "call.listen_ticket", subjectId: callId, details: {} })
    );
    const url = `${publicUrl.replace(/^http/, "ws")}/calls/${callId}/listen`;
    return { ticket, expiresAt, url };
  }),

  /** As a call that is placed, it counts as a dial of the tenant. */
  transferCall: errand("calls:write", async (
    office,
    { callId, to, sentence }: {
      readonly callId: string;
      readonly to: string;
      readonly sentence: string | null;
    },
  ): Promise<null> => {
    await office.read((sql) => found(sql, office, callId));
    await office.act(async ({ sql }) => {
      const plan = await getTenantPlan(sql, office.tenantId);
      if (plan !== null) await countDial(sql, office.tenantId, office.clock.date(), plan.limits);
    });
    return await control(office, callId, { type: "transfer", to, sentence });
  }),
};

/** What lets one socket listen to a live call. */
export interface ListenTicketView {
  readonly ticket: string;
  readonly expiresAt: string;
  /** The socket's address. */
  readonly url: string;
}

/** Who may end a call may do all this to it. */
async function control(office: Office, callId: string, command: Command): Promise<null> {
  const { read, act, desk, by } = office;
  await read((sql) => found(sql, office, callId));
  const ask = (reply: Reply<void>) =>
    ({ type: "control", callId, command, by: by.id, reply }) as const;
  await desk.ask<void>(ask, { timeoutMs: PLACE_MS });
  await act(({ audit }) =>
    audit({ action: "call.controlled", subjectId: callId, details: { command: command.type } })
  );
  return null;
}

async function transcript(
  sql: Sql,
  asker: Asker,
  callId: string,
): Promise<{ call: Call; turns: readonly TranscriptTurn[] }> {
  const call = await found(sql, asker, callId);
  const page = { after: 0, limit: EVENTS_MAX, isSettled: true } as const;
  const events = await listEvents(sql, asker.tenantId, callId, page);
  return { call, turns: transcriptOf(events) };
}

type Asker = Pick<Office, "tenantId" | "by">;

/** The one way to a call: throws AppError("not_found"), or "forbidden" for one that its asker may not see. */
export async function found(sql: Sql, asker: Asker, callId: string): Promise<Call> {
  const { tenantId } = asker;
  const call = uuidOf("call", callId) === null ? null : await getCall(sql, tenantId, callId);
  if (call === null) throw new AppError("not_found", "No such call");
  const placedBy = await seesOnly(sql, asker);
  if (placedBy === null || placedBy === call.placedBy) return call;
  throw new AppError("forbidden", "Your role sees the calls that you placed, and no others");
}

/** By whom a call must be placed for its asker to see it: members of role `agent` may see their own only; null: by anybody. */
async function seesOnly(sql: Sql, { tenantId, by }: Asker): Promise<string | null> {
  if (by.kind !== "user" || by.role !== "agent") return null;
  const tenant = await getTenant(sql, tenantId);
  return tenant?.settings["agentsSeeOwnCallsOnly"] === true ? by.id : null;
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

function channelOf(carrier: string): Channel {
  if (carrier === WEB_CARRIER) return "web";
  return carrier === ROOM_CARRIER ? "room" : "phone";
}

function toView(call: Call): CallView {
  const { answeredAt, endedAt } = call;
  const talked = answeredAt === null || endedAt === null ? 0 : Math.max(0, +endedAt - +answeredAt);
  return {
    id: call.id,
    agentId: call.agentId,
    direction: call.direction,
    channel: channelOf(call.carrier),
    from: call.fromNumber,
    to: call.toNumber,
    placedBy: call.placedBy,
    status: call.status,
    outcome: call.outcome,
    reason: call.reason,
    variables: call.variables,
    usage: call.usage,
    startedAt: call.startedAt.toISOString(),
    answeredAt: answeredAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null,
    durationMs: endedAt === null ? null : talked,
  };
}
