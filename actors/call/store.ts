/** What a call writes of itself, and reads to be rebuilt. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { RecorderMessage } from "@/actors/recorder/recorder.ts";
import { storeAnswered, storeEnded } from "@/db/call_news.ts";
import { getCall, updateCallPlaced } from "@/db/calls.ts";
import type { Database, Sql } from "@/db/client.ts";
import { type Fence, holdsActor } from "@/db/cluster.ts";
import { listEvents } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";
import { missingOf } from "./broken_off.ts";
import type { CallDeps, CallSettings } from "./call.ts";
import type { Ending } from "./ending.ts";
import type { CallEvent } from "./events.ts";
import { join, type Report } from "./standing.ts";

const WRITE_MS = 2_000;
/** A conversation of four hours, the longest there is, has some 25,000 events; more are not read back. */
const EVENTS_MAX = 60_000;
const FLUSH_MS = 3_000;

export interface CallStore
  extends Pick<CallDeps, "record" | "history" | "savePlaced" | "saveLive" | "saveEnd"> {
  /**
   * Ends the record of a call whose actor could not: it was stopped, crashed for good, or went down with
   * its machine. An end that is on record among its events already is the one that counts.
   */
  breakOff(ending: Ending, at: Date): Promise<void>;
  /** What the carrier says of a call that has no actor here. One that has not ended may end by it. */
  report(carrierCallId: string, report: Report, now: Date): Promise<void>;
}

export function callStore(
  { tenantId, callId }: Pick<CallSettings, "tenantId" | "callId">,
  deps: {
    readonly database: Database;
    readonly recorder: Ref<RecorderMessage>;
    /** What its writes show; absent or null: it was never claimed. */
    readonly fenceOf?: (callId: string) => Fence | null;
    /** Of a call that has no actor here: it is this machine's to end. Absent: nobody else's it can be. */
    readonly own?: (callId: string) => Promise<boolean>;
  },
): CallStore {
  const { database, recorder } = deps;
  let shown: Fence | null = null;

  /** A write of what it owns, and nothing when it is another machine's by now. Throws AppError("fenced"). */
  function write(work: (sql: Sql) => Promise<void>): Promise<void> {
    shown = deps.fenceOf?.(callId) ?? shown; // the last one stays when the call is over
    const fence = shown;
    return database.asTenant("calls", tenantId, WRITE_MS, async (sql) => {
      if (fence !== null && !await holdsActor(sql, fence)) {
        throw new AppError("fenced", `Another machine owns "${callId}"`);
      }
      await work(sql);
    });
  }

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
      const rows = await database.asTenant(
        "calls",
        tenantId,
        WRITE_MS,
        (sql) => listEvents(sql, tenantId, callId, { after: 0, limit: EVENTS_MAX }),
      );
      // Only a call writes events of its conversation, and it writes them from this type.
      const events = rows.map(({ type, payload }) => ({ type, ...Object(payload) }) as CallEvent);
      const answeredAt = rows.find(({ type }) => type === "leg_started")?.at ?? null;
      return { events, answeredAt, lastAt: rows.at(-1)?.at ?? null };
    },
    savePlaced: (carrierCallId) =>
      write((sql) => updateCallPlaced(sql, tenantId, callId, carrierCallId)),
    saveLive: (answeredAt) => write((sql) => storeAnswered(sql, tenantId, callId, answeredAt)),
    saveEnd: (ended) =>
      write(async (sql) => {
        if (ended.answeredAt !== null) {
          await storeAnswered(sql, tenantId, callId, ended.answeredAt);
        }
        await storeEnded(sql, tenantId, callId, ended);
      }),
    async breakOff(ending, at) {
      const { signal } = new AbortController(); // each has a deadline of its own
      const history = await store.history(signal).catch(() => null); // then the row alone says it
      const events = history?.events ?? null;
      const said = events?.findLast((event) => event.type === "call_ended");
      if (events !== null && events.length > 0 && said === undefined) {
        const missing = [...missingOf(events), { type: "call_ended", ...ending } as const];
        missing.forEach((event, nth) => store.record(events.length + nth + 1, event, at));
      }
      const { outcome, reason } = said ?? ending;
      const moved = events?.findLast((event) => event.type === "workflow_moved");
      const variables = moved?.type === "workflow_moved" ? moved.workflow.variables : {};
      const counted = events?.findLast((event) => event.type === "usage_counted");
      const usage = counted?.usage ?? null;
      const ended = { outcome, reason, variables, usage, answeredAt: null, endedAt: at };
      await store.saveEnd(ended, signal);
    },
    async report(carrierCallId, report, now) {
      const call = await database.asTenant(
        "calls",
        tenantId,
        WRITE_MS,
        (sql) => getCall(sql, tenantId, callId),
      );
      const isOther = call !== null && (call.carrierCallId ?? carrierCallId) !== carrierCallId;
      if (call === null || isOther || call.status === "ended") return;
      const { startedAt, answeredAt } = call;
      const open = { phase: "open", startedAt, wasAnswered: answeredAt !== null } as const;
      const standing = join(open, report, now);
      if (standing.phase !== "ended") return;
      if (await deps.own?.(callId) === false) return; // it goes on, or ends, somewhere else
      await store.breakOff(standing.ending, standing.endedAt);
    },
  };
  return store;
}
