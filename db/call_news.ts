/** Tells the tenant's webhooks how a call goes: each event in the transaction of its row's change, and so once. */

import { type Call, type CallEnd, updateCallAnswered, updateCallEnded } from "./calls.ts";
import type { Sql } from "./client.ts";
import { insertJob } from "./jobs.ts";
import { insertOutboxEvent } from "./outbox.ts";
import { type RecordingEnd, updateRecordingEnded } from "./recordings.ts";
import type { CallFacts, EventPayloads, EventType } from "@/lib/event_types.ts";
import { newId } from "@/lib/ids.ts";

/** Of `actors/jobs/kinds.ts`: looks at a call after its end. The job's key is the call's id. */
const POST_CALL = "post_call";
/** Events of a call are committed within 50 ms; what is late is waited for by the job itself. */
const POST_CALL_AFTER_MS = 1_000;
/** A payload stays under 20 kB (Standard Webhooks): variables longer than this are read over the API. */
const VARIABLES_MAX = 15_000;

/** What every event of a call says of it. */
export function factsOf(call: Call): CallFacts {
  return {
    callId: call.id,
    agentId: call.agentId,
    direction: call.direction,
    from: call.fromNumber,
    to: call.toNumber,
    startedAt: call.startedAt.toISOString(),
  };
}

/** For a row that has just been inserted. */
export async function announceStarted(sql: Sql, tenantId: string, call: Call): Promise<void> {
  await emit(sql, tenantId, "call.started", factsOf(call), call.startedAt);
}

/** Stores that the call was answered; tells of it if that is news. */
export async function storeAnswered(
  sql: Sql,
  tenantId: string,
  callId: string,
  answeredAt: Date,
): Promise<void> {
  const call = await updateCallAnswered(sql, tenantId, callId, answeredAt);
  if (call === null) return;
  const payload = { ...factsOf(call), answeredAt: answeredAt.toISOString() };
  await emit(sql, tenantId, "call.answered", payload, answeredAt);
}

/** Stores how the call ended; if that is news, tells of it, and has the call looked at. False: it had ended before. */
export async function storeEnded(
  sql: Sql,
  tenantId: string,
  callId: string,
  end: CallEnd,
): Promise<boolean> {
  const call = await updateCallEnded(sql, tenantId, callId, end);
  if (call === null) return false;
  const { answeredAt } = call;
  const payload = {
    ...factsOf(call),
    answeredAt: answeredAt?.toISOString() ?? null,
    endedAt: end.endedAt.toISOString(),
    durationMs: answeredAt === null ? 0 : Math.max(0, +end.endedAt - +answeredAt),
    outcome: end.outcome,
    reason: end.reason,
    variables: JSON.stringify(end.variables).length > VARIABLES_MAX ? {} : end.variables,
  };
  await emit(sql, tenantId, "call.ended", payload, end.endedAt);
  await insertJob(sql, tenantId, {
    id: newId("job"),
    kind: POST_CALL,
    key: callId,
    payload: { callId },
    runAt: new Date(+end.endedAt + POST_CALL_AFTER_MS),
  });
  return true;
}

/** Stores how a call's recording ended, and tells of it if that is news. False: there is none any more. */
export async function storeRecordingEnded(
  sql: Sql,
  tenantId: string,
  recordingId: string,
  end: RecordingEnd,
): Promise<boolean> {
  const row = await updateRecordingEnded(sql, tenantId, recordingId, end);
  if (row?.isNews) {
    const { status, reason, durationMs, endedAt } = end;
    const payload = { callId: row.callId, recordingId, status, reason, durationMs };
    await emit(
      sql,
      tenantId,
      "recording.ended",
      { ...payload, endedAt: endedAt.toISOString() },
      endedAt,
    );
  }
  return row !== null;
}

async function emit<T extends EventType>(
  sql: Sql,
  tenantId: string,
  type: T,
  payload: EventPayloads[T],
  at: Date,
): Promise<void> {
  await insertOutboxEvent(sql, tenantId, { id: newId("event"), type, payload, at });
}
