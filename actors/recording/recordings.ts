/** The recordings of this machine: each outlives its call by what it has to store, and never longer. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { Database, Work } from "@/db/client.ts";
import { storeRecordingEnded } from "@/db/call_news.ts";
import { type Fence, getOwner } from "@/db/cluster.ts";
import {
  getRecordingOfCall,
  insertRecording,
  type NewRecording,
  type RecordingEnd,
} from "@/db/recordings.ts";
import { settleRecording } from "@/db/settle_recordings.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix, SEGMENT_BYTES } from "@/lib/recording/segments.ts";
import type { Earlier } from "./cutter.ts";
import {
  type FromRecording,
  type Opened,
  recording,
  recordingKind,
  type RecordingMessage,
} from "./recording.ts";

/** A recording that runs, and when it began: milliseconds on the system's clock. */
export interface Running {
  readonly ref: Pick<Ref<RecordingMessage>, "send">;
  readonly originMs: number;
}

export interface RecordedCall extends Pick<NewRecording, "callId" | "consent" | "format"> {
  readonly tenantId: string;
}

export interface Recordings {
  /** The recording of a call: the one that runs already, else one that begins now, or goes on from another machine. */
  open(of: RecordedCall, call: Pick<Ref<FromRecording>, "send">): Running;
  /** The one that runs of this call. */
  running(callId: string): Running | null;
  /** The call leaves for another machine: resolves when all is stored that it will go on from, or it took too long. */
  left(callId: string): Promise<void>;
  /** Another machine has the call: nothing more of it is stored here. */
  callLost(callId: string): void;
  /** The call is gone, and its legs before it. */
  callEnded(callId: string): void;
  /** Resolves when all is stored, or `withinMs` have passed. */
  stored(withinMs: number): Promise<void>;
}

export interface RecordingsOptions {
  readonly system: System;
  readonly database: Database;
  readonly stores: Stores;
  /** What this machine shows with what it writes of a call; absent or null: it was never claimed. */
  readonly fenceOf?: (callId: string) => Fence | null;
  readonly clock: Clock;
  readonly log: Log;
}

const WRITE_MS = 2_000;
const POLL_MS = 50;
/** The caller hears nothing meanwhile. */
const LEAVE_MS = 1_000;

export function newRecordings(options: RecordingsOptions): Recordings {
  const { system, database, stores, clock, log } = options;
  const running = new Map<string, Running>();

  function begin(of: RecordedCall, call: Pick<Ref<FromRecording>, "send">): Running {
    const { tenantId, callId, consent, format } = of;
    let id = newId("recording"); // that of the row, if another machine has written one
    const fence = options.fenceOf?.(callId) ?? null;
    const objects = stores.current;
    const startedAt = clock.date();
    const row: NewRecording = { id, callId, store: objects.provider, format, consent, startedAt };
    const read = <T>(work: Work<T>) => database.asTenant("calls", tenantId, WRITE_MS, work);

    /** Of one that was another machine's it is known what that one has stored. */
    async function open(signal: AbortSignal): Promise<Opened> {
      const found = await read(async (sql) => {
        await insertRecording(sql, tenantId, row);
        return await getRecordingOfCall(sql, tenantId, callId);
      }) ?? row; // erased already: its end will tell
      id = found.id;
      const place = { prefix: recordingPrefix(tenantId, id), objects: stores.of(found.store) };
      if (id === row.id) return { ...place, earlier: null };
      const sinceMs = +startedAt - +found.startedAt;
      return { ...place, earlier: { ...await lastOf(place, signal), sinceMs } };
    }

    /** False: it was erased. Of a call that another machine has taken nothing is written: that one ends it. */
    function close(end: RecordingEnd): Promise<boolean> {
      return read(async (sql) => {
        const owned = fence === null ? null : await getOwner(sql, fence);
        if (owned !== null && owned.epoch !== fence?.epoch) return true;
        return await storeRecordingEnded(sql, tenantId, id, end);
      });
    }

    const ref = system.spawn(
      recordingKind,
      `${callId}.recording`,
      () => recording({ call, open, close, log }),
      {
        stopped(reason) {
          running.delete(callId);
          if (reason.type === "done") return;
          call.send({ type: "recordingLost", reason: "crashed" });
          log.error("recording broke off", { callId, reason });
          settleRecording(
            { tenantId, stores, read },
            { id, store: objects.provider },
            clock.date(),
            new AbortController().signal, // the store has a deadline of its own
          ).catch((error) => log.error("end of a recording not stored", { callId, error }));
        },
      },
    );
    return { ref, originMs: clock.now() };
  }

  return {
    open(of, call) {
      const found = running.get(of.callId) ?? begin(of, call);
      running.set(of.callId, found);
      return found;
    },
    running: (callId) => running.get(callId) ?? null,
    async left(callId) {
      const leaving = running.get(callId);
      leaving?.ref.send({ type: "stop", goesOn: true });
      const until = clock.now() + LEAVE_MS;
      const isThere = (): boolean => leaving !== undefined && running.get(callId) === leaving;
      while (isThere() && clock.now() < until) await sleep(clock, POLL_MS);
    },
    callLost: (callId) => void running.get(callId)?.ref.send({ type: "abandon" }),
    callEnded: (callId) => void running.get(callId)?.ref.send({ type: "stop" }),
    async stored(withinMs) {
      const until = clock.now() + withinMs;
      while (running.size > 0 && clock.now() < until) await sleep(clock, POLL_MS);
    },
  };
}

/** The segment that it goes on in: the last one, if that is not whole. */
async function lastOf(
  { prefix, objects }: Pick<Opened, "prefix" | "objects">,
  signal: AbortSignal,
): Promise<Pick<Earlier, "index" | "audio">> {
  const stored = await objects.list(prefix, signal);
  const last = stored.at(-1);
  if (last === undefined) return { index: 0, audio: new Uint8Array() };
  const index = Number(last.key.slice(prefix.length));
  if (last.bytes >= SEGMENT_BYTES) return { index: index + 1, audio: new Uint8Array() };
  return { index, audio: await objects.get(last.key, signal) ?? new Uint8Array() };
}
