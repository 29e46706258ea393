/** A recording: what it stores, when it gives up, and that it never holds more than it may. */

import assert from "node:assert/strict";
import {
  type Opened,
  recording,
  type RecordingDeps,
  recordingKind,
  TRIES_MAX,
  WRITE_MS,
} from "@/actors/recording/recording.ts";
import { Cutter } from "@/actors/recording/cutter.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import type { RecordingEnd } from "@/db/recordings.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { SAMPLE_BYTES, SEGMENT_BYTES, SEGMENT_MS, segmentKey } from "@/lib/recording/segments.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const PREFIX = "recordings/a/b/";
const REFUSED = new AppError("provider_failed", "No room", { retryable: true });
const AWAY = new AppError("database_unavailable", "Away", { retryable: true });
const SECOND = 8_000;
const { signal } = new AbortController();

function setUp(
  { objects = memoryStore(), earlier = null, ...deps }:
    & Partial<RecordingDeps>
    & Partial<Pick<Opened, "objects" | "earlier">> = {},
) {
  const { clock, system, settle } = actorKit();
  const lost: string[] = [];
  const ends: RecordingEnd[] = [];
  let opened = 0;
  let hasStopped = false;
  const ref = system.spawn(recordingKind, "recording", () =>
    recording({
      call: { send: ({ reason }) => lost.push(reason) > 0 },
      open() {
        opened++;
        return Promise.resolve({ prefix: PREFIX, objects, earlier });
      },
      close: (end) => Promise.resolve(ends.push(end) > 0),
      log: silentLog,
      ...deps,
    }), { stopped: () => void (hasStopped = true) });
  let at = 0;
  return {
    clock,
    lost,
    ends,
    opened: () => opened,
    hasStopped: () => hasStopped,
    /** So many seconds of sound, as they come from a tape. */
    async record(seconds: number): Promise<void> {
      for (let i = 0; i < seconds; i++) {
        const audio = new Uint8Array(SECOND * SAMPLE_BYTES).fill(1);
        ref.send({ type: "piece", piece: { at, audio } });
        at += SECOND;
        await clock.advance(1_000);
      }
    },
    stop: () => ref.send({ type: "stop" }),
    goOnElsewhere: () => ref.send({ type: "stop", goesOn: true }),
    stored: async () =>
      (await objects.list(PREFIX, new AbortController().signal)).map((it) => it.bytes),
    async close() {
      const ended = system.shutdown();
      await settle();
      await ended;
    },
  };
}

/** Fails the first so many writes, and keeps the others. */
function shaky(failures: number) {
  const store = memoryStore();
  let tries = 0;
  return {
    ...store,
    put: (...args: Parameters<typeof store.put>) =>
      tries++ < failures ? Promise.reject(REFUSED) : store.put(...args),
  };
}

Deno.test("segments are stored as the call goes, and the rest at its end", async () => {
  const it = setUp();
  await it.record(12);
  assert.deepEqual(await it.stored(), [SEGMENT_BYTES, SEGMENT_BYTES], "while it goes on");
  it.stop();
  it.stop(); // told twice
  await it.clock.advance(1_000);
  assert.deepEqual(await it.stored(), [SEGMENT_BYTES, SEGMENT_BYTES, SEGMENT_BYTES * 0.4]);
  const [end] = it.ends;
  assert.deepEqual(
    [it.ends.length, end?.status, end?.segments, end?.durationMs],
    [1, "complete", 3, 12_000],
  );
  assert.equal(it.hasStopped(), true);
  await it.close();
});

Deno.test("a write that fails is tried again, and none is lost", async () => {
  const it = setUp({ objects: shaky(TRIES_MAX - 1) });
  await it.record(12);
  it.stop();
  await it.clock.advance(5_000);
  assert.deepEqual(it.lost, []);
  assert.equal((await it.stored()).length, 3);
  assert.equal(it.ends[0]?.status, "complete");
  await it.close();
});

Deno.test("a write that keeps failing fails the recording: what is stored stays, no more is", async () => {
  let puts = 0;
  const store = memoryStore();
  const it = setUp({
    objects: {
      ...store,
      put: (...args) => ++puts === 1 ? store.put(...args) : Promise.reject(REFUSED),
    },
  });
  await it.record(60);
  it.stop();
  await it.clock.advance(1_000);
  assert.deepEqual(it.lost, ["store_failed"]);
  assert.equal(puts, 1 + TRIES_MAX);
  const [end] = it.ends;
  assert.deepEqual([end?.status, end?.reason, end?.segments], ["failed", "store_failed", 1]);
  assert.equal(end?.durationMs, SEGMENT_MS);
  await it.close();
});

Deno.test("a store that never answers fails it within three deadlines", async () => {
  const it = setUp({ objects: { ...memoryStore(), put: () => new Promise(() => {}) } });
  await it.record(6);
  await it.clock.advance(TRIES_MAX * (WRITE_MS + 1_000));
  assert.deepEqual(it.lost, ["store_slow"]);
  assert.equal(it.hasStopped(), true, "nothing of it is left");
  await it.close();
});

Deno.test("nothing is stored before its row is there, and one that cannot be written fails it", async () => {
  const it = setUp({ open: () => Promise.reject(AWAY) });
  await it.record(12);
  assert.deepEqual(it.lost, ["database_unavailable"]);
  assert.deepEqual(await it.stored(), []);
  await it.close();
});

Deno.test("how it came out is written again until it is", async () => {
  let tries = 0;
  const it = setUp({ close: () => ++tries < 4 ? Promise.reject(AWAY) : Promise.resolve(true) });
  await it.record(1);
  it.stop();
  await it.clock.advance(60_000);
  assert.equal(tries, 4);
  assert.equal(it.hasStopped(), true);
  await it.close();
});

Deno.test("what was erased while it was being stored leaves nothing behind", async () => {
  const it = setUp({ close: () => Promise.resolve(false) });
  await it.record(12);
  it.stop();
  await it.clock.advance(1_000);
  assert.deepEqual(await it.stored(), []);
  await it.close();
});

Deno.test("one that goes on from another machine keeps what that stored, silent between the two", async () => {
  const objects = memoryStore();
  const first = setUp({ objects });
  await first.record(7);
  first.goOnElsewhere();
  await first.clock.advance(1_000);
  assert.deepEqual([first.ends, first.hasStopped()], [[], true], "its row stays open");
  const part = await objects.get(segmentKey(PREFIX, 1), signal) ?? assert.fail();
  const seconds = (bytes: number): number => bytes / (SECOND * SAMPLE_BYTES);
  assert.equal(seconds(part.length), 2);

  const second = setUp({ objects, earlier: { index: 1, audio: part, sinceMs: 9_000 } });
  await second.record(3);
  second.stop();
  await second.clock.advance(1_000);
  const [end] = second.ends;
  assert.deepEqual([end?.status, end?.segments, end?.durationMs], ["complete", 3, 12_000]);
  const again = await objects.get(segmentKey(PREFIX, 1), signal) ?? assert.fail();
  const heard = Array.from({ length: 5 }, (_, s) => again[s * SECOND * SAMPLE_BYTES]);
  assert.deepEqual(heard, [1, 1, SILENCE, SILENCE, 1]);
  await first.close();
  await second.close();
});

Deno.test("clocks that are apart cost neither sound nor hours of silence", () => {
  for (const [sinceMs, wantedMs] of [[0, 7_000], [-99_000, 7_000], [9e8, 127_000]] as const) {
    const audio = new Uint8Array(2 * SECOND * SAMPLE_BYTES).fill(1);
    const cutter = new Cutter({ index: 1, audio, sinceMs });
    cutter.add({ at: 100, audio: new Uint8Array(SAMPLE_BYTES).fill(2) });
    cutter.add({ at: 101, audio: new Uint8Array(SAMPLE_BYTES).fill(3) });
    cutter.finish();
    let last = cutter.next();
    for (let next = last; next !== null; next = cutter.next()) last = next;
    const bytes = (last?.index ?? 0) * SEGMENT_BYTES + (last?.audio.length ?? 0);
    assert.equal(bytes, (wantedMs * SECOND / 1_000 + 2) * SAMPLE_BYTES);
    assert.deepEqual([...last?.audio.slice(-2 * SAMPLE_BYTES) ?? []], [2, 2, 3, 3]);
  }
});
