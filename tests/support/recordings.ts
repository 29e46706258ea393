/** Recordings of calls at virtual time: the real actor over a store in memory, whose rows are kept beside it. */

import { recording, recordingKind } from "@/actors/recording/recording.ts";
import type { RecordedCall, Recordings, Running } from "@/actors/recording/recordings.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { RecordingEnd } from "@/db/recordings.ts";
import type { Clock } from "@/lib/clock.ts";
import { newLog } from "@/lib/log.ts";
import { SAMPLE_BYTES } from "@/lib/recording/segments.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";

export interface RecordingKit extends Pick<Recordings, "open" | "running" | "left" | "callEnded"> {
  readonly objects: ObjectStore;
  /** Calls whose rows were written, in order. */
  readonly rows: readonly RecordedCall[];
  readonly ends: readonly RecordingEnd[];
  /** When each began, on the clock. */
  readonly origins: readonly number[];
  /** What is stored of the first: the caller's side and the agent's. */
  sides(): Promise<{ readonly caller: Uint8Array; readonly agent: Uint8Array }>;
}

export const PREFIX = "recordings/test/";

export function recordingKit(
  { system, clock, objects = memoryStore() }: {
    readonly system: System;
    readonly clock: Clock;
    readonly objects?: ObjectStore;
  },
): RecordingKit {
  const running = new Map<string, Running>();
  const rows: RecordedCall[] = [];
  const ends: RecordingEnd[] = [];
  const origins: number[] = [];
  const log = newLog({ level: "error", pii: false, date: clock.date, write: () => {} });
  return {
    objects,
    rows,
    ends,
    origins,
    open(of, call) {
      const found = running.get(of.callId);
      if (found !== undefined) return found;
      const ref = system.spawn(recordingKind, `${of.callId}.recording`, () =>
        recording({
          call,
          open() {
            rows.push(of);
            return Promise.resolve({ prefix: PREFIX, objects, earlier: null });
          },
          close: (end) => Promise.resolve(ends.push(end) > 0),
          log,
        }), { stopped: () => void running.delete(of.callId) });
      origins.push(clock.now());
      const began = { ref, originMs: clock.now() };
      running.set(of.callId, began);
      return began;
    },
    running: (callId) => running.get(callId) ?? null,
    left: (callId) =>
      Promise.resolve(void running.get(callId)?.ref.send({ type: "stop", goesOn: true })),
    callEnded: (callId) => void running.get(callId)?.ref.send({ type: "stop" }),
    async sides() {
      const { signal } = new AbortController();
      const segments: Uint8Array[] = [];
      for (const { key } of await objects.list(PREFIX, signal)) {
        segments.push(await objects.get(key, signal) ?? new Uint8Array());
      }
      const all = new Uint8Array(segments.flatMap((it) => [...it]));
      const side = (nth: number) =>
        Uint8Array.from({ length: all.length / SAMPLE_BYTES }, (_, i) => all[i * 2 + nth] ?? 0);
      return { caller: side(0), agent: side(1) };
    },
  };
}
