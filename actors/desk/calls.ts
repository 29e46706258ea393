/** Errands on calls: what was said and how it came out, and placing one. */

import { type Call, getCall, listCalls } from "@/db/calls.ts";
import { listEvents } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { errand } from "./errand.ts";

/** Placing a call waits for the carrier's API. */
const PLACE_MS = 10_000;

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
  readonly endedAt: string | null;
}

export interface EventView {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly payload: unknown;
}

export const callErrands = {
  placeCall: errand(
    "calls:write",
    async (
      { desk },
      call: { readonly agentId: string; readonly to: string; readonly from: string },
    ): Promise<{ id: string }> => {
      const { callId } = await desk.ask<{ callId: string }>(
        (reply) => ({ type: "placeCall", ...call, reply }),
        { timeoutMs: PLACE_MS },
      );
      return { id: callId };
    },
  ),

  /** Newest first; `cursor` is the id of the last one already seen. */
  calls: errand(
    "calls:read",
    async (
      { read, tenantId },
      { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
    ): Promise<{ items: CallView[]; next: string | null }> => {
      const page = cursor === undefined ? { limit } : { limit, before: cursor };
      const items = (await read((sql) => listCalls(sql, tenantId, page))).map(toView);
      return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
    },
  ),

  call: errand("calls:read", async ({ read, tenantId }, callId: string): Promise<CallView> => {
    if (uuidOf("call", callId) === null) throw noCall();
    const call = await read((sql) => getCall(sql, tenantId, callId));
    if (call === null) throw noCall();
    return toView(call);
  }),

  callEvents: errand(
    "calls:read",
    async (
      { read, tenantId },
      { callId, after, limit }: {
        readonly callId: string;
        readonly after: number;
        readonly limit: number;
      },
    ): Promise<EventView[]> => {
      if (uuidOf("call", callId) === null) throw noCall();
      const events = await read(async (sql) => {
        if (await getCall(sql, tenantId, callId) === null) throw noCall();
        return await listEvents(sql, tenantId, callId, { after, limit });
      });
      return events.map((event) => ({ ...event, at: event.at.toISOString() }));
    },
  ),
};

function noCall(): AppError {
  return new AppError("not_found", "No such call");
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
