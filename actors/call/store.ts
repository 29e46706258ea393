/** What a call writes of itself, and reads to be rebuilt. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { RecorderMessage } from "@/actors/recorder/recorder.ts";
import { updateCallAnswered, updateCallEnded, updateCallPlaced } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { listEvents } from "@/db/events.ts";
import type { CallDeps, CallSettings } from "./call.ts";
import type { CallEvent } from "./events.ts";

const WRITE_MS = 2_000;
/** A conversation of four hours has a few thousand events; more are not read back. */
const EVENTS_MAX = 20_000;
const FLUSH_MS = 3_000;

export interface CallStore
  extends Pick<CallDeps, "record" | "history" | "savePlaced" | "saveLive" | "saveEnd"> {
  /** Ends the record of a call whose actor could not: it was stopped, or crashed for good. */
  breakOff(reason: "crashed" | "stopped", at: Date): Promise<void>;
}

export function callStore(
  { tenantId, callId }: Pick<CallSettings, "tenantId" | "callId">,
  deps: { readonly database: Database; readonly recorder: Ref<RecorderMessage> },
): CallStore {
  const { database, recorder } = deps;
  const store: CallStore = {
    record(seq, { type, ...payload }, at) {
      const event = { tenantId, conversationId: callId, seq, type, payload, at };
      recorder.send({ type: "append", events: [event] });
    },
    async history(signal) {
      await recorder.ask<void>((reply) => ({ type: "flush", reply }), {
        timeoutMs: FLUSH_MS,
        signal,
      });
      const events = await database.asTenant(
        "calls",
        tenantId,
        WRITE_MS,
        (sql) => listEvents(sql, tenantId, callId, { after: 0, limit: EVENTS_MAX }),
      );
      // Only a call writes events of its conversation, and it writes them from this type.
      return events.map(({ type, payload }) => ({ type, ...Object(payload) }) as CallEvent);
    },
    savePlaced: (carrierCallId) =>
      database.asTenant(
        "calls",
        tenantId,
        WRITE_MS,
        (sql) => updateCallPlaced(sql, tenantId, callId, carrierCallId),
      ),
    saveLive: (answeredAt) =>
      database.asTenant(
        "calls",
        tenantId,
        WRITE_MS,
        (sql) => updateCallAnswered(sql, tenantId, callId, answeredAt),
      ),
    saveEnd: (ended) =>
      database.asTenant("calls", tenantId, WRITE_MS, async (sql) => {
        if (ended.answeredAt !== null) {
          await updateCallAnswered(sql, tenantId, callId, ended.answeredAt);
        }
        await updateCallEnded(sql, tenantId, callId, ended);
      }),
    async breakOff(reason, at) {
      const { signal } = new AbortController(); // each has a deadline of its own
      const ended = { outcome: "failed", reason } as const;
      const events = await store.history(signal).catch(() => null); // then the row alone says it
      if (events !== null && !events.some((event) => event.type === "call_ended")) {
        store.record(events.length + 1, { type: "call_ended", ...ended }, at);
      }
      const moved = events?.findLast((event) => event.type === "workflow_moved");
      const variables = moved?.type === "workflow_moved" ? moved.workflow.variables : {};
      await store.saveEnd({ ...ended, variables, answeredAt: null, endedAt: at }, signal);
    },
  };
  return store;
}
