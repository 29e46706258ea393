/** F9: the disk is full. The recording is marked failed, what is whole stays whole, and the process lives. */

import assert from "node:assert/strict";
import { recording, recordingKind } from "@/actors/recording/recording.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import type { RecordingEnd } from "@/db/recordings.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { fileStore } from "@/lib/providers/storage/files.ts";
import { SEGMENT_BYTES } from "@/lib/recording/segments.ts";

/** Two segments, and a part of a third. */
const DISK_BYTES = 2.5 * SEGMENT_BYTES;

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test("a disk that is full fails the recording, and leaves what was stored", async () => {
  const dir = await Deno.makeTempDir();
  await run("mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", dir);
  const system = newSystem({ clock: systemClock, log: silentLog });
  const objects = fileStore(dir);
  const prefix = "recordings/a/b/";
  const lost: string[] = [];
  const ended = Promise.withResolvers<RecordingEnd>();
  const ref = system.spawn(recordingKind, "recording", () =>
    recording({
      call: { send: ({ reason }) => lost.push(reason) > 0 },
      open: () => Promise.resolve({ prefix, objects, earlier: null }),
      close(end) {
        ended.resolve(end);
        return Promise.resolve(true);
      },
      log: silentLog,
    }));
  try {
    const audio = new Uint8Array(SEGMENT_BYTES).fill(1);
    for (let i = 0; i < 4; i++) {
      ref.send({ type: "piece", piece: { at: i * SEGMENT_BYTES / 2, audio } });
    }
    const { status, reason, segments } = await ended.promise;
    assert.deepEqual([status, reason, segments, lost], ["failed", "store_failed", 2, [
      "store_failed",
    ]]);
    const { signal } = new AbortController();
    const stored = await objects.list(prefix, signal);
    assert.deepEqual(stored.map(({ bytes }) => bytes), [SEGMENT_BYTES, SEGMENT_BYTES]);
    assert.equal(await objects.delete(prefix, signal), 2);
    await objects.put(`${prefix}000000`, audio, signal); // there is room again
  } finally {
    await system.shutdown();
    await run("umount", dir);
    await Deno.remove(dir);
  }
});
