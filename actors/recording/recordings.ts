/** The recordings of this machine: each outlives its call by what it has to store, and never longer. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { Database, Work } from "@/db/client.ts";
import { storeRecordingEnded } from "@/db/call_news.ts";
import { insertRecording, type NewRecording } from "@/db/recordings.ts";
import { settleRecording } from "@/db/settle_recordings.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix } from "@/lib/recording/segments.ts";
import {
  type FromRecording,
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
  /** The recording of a call: the one that runs already, else one that begins now. */
  open(of: RecordedCall, call: Pick<Ref<FromRecording>, "send">): Running;
  /** The one that runs of this call. */
  running(callId: string): Running | null;
  /** The call is gone, and its legs before it. */
  callEnded(callId: string): void;
  /** Resolves when all is stored, or `withinMs` have passed. */
  stored(withinMs: number): Promise<void>;
}

export interface RecordingsOptions {
  readonly system: System;
  readonly database: Database;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly log: Log;
}

const WRITE_MS = 2_000;
const POLL_MS = 50;

export function newRecordings(options: RecordingsOptions): Recordings {
  const { system, database, stores, clock, log } = options;
  const running = new Map<string, Running>();

  function begin(of: RecordedCall, call: Pick<Ref<FromRecording>, "send">): Running {
    const { tenantId, callId, consent, format } = of;
    const id = newId("recording");
    const objects = stores.current;
    const startedAt = clock.date();
    const row: NewRecording = { id, callId, store: objects.provider, format, consent, startedAt };
    const read = <T>(work: Work<T>) => database.asTenant("calls", tenantId, WRITE_MS, work);
    const ref = system.spawn(recordingKind, `${callId}.recording`, () =>
      recording({
        prefix: recordingPrefix(tenantId, id),
        objects,
        call,
        open: () => read((sql) => insertRecording(sql, tenantId, row)),
        close: (end) => read((sql) => storeRecordingEnded(sql, tenantId, id, end)),
        log,
      }), {
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
    });
    return { ref, originMs: clock.now() };
  }

  return {
    open(of, call) {
      const found = running.get(of.callId) ?? begin(of, call);
      running.set(of.callId, found);
      return found;
    },
    running: (callId) => running.get(callId) ?? null,
    callEnded: (callId) => void running.get(callId)?.ref.send({ type: "stop" }),
    async stored(withinMs) {
      const until = clock.now() + withinMs;
      while (running.size > 0 && clock.now() < until) await sleep(clock, POLL_MS);
    },
  };
}
