/** The sound of clips and rooms: fetched or made once for all calls of a machine, and never waited for long. */

import assert from "node:assert/strict";
import { newAmbientLoops } from "@/lib/ambient_loops.ts";
import { LOOP_MS } from "@/lib/audio/ambience.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { clipKey, type ClipRef, newClipLibrary } from "@/lib/clip_library.ts";
import { newLog } from "@/lib/log.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { newId } from "@/lib/ids.ts";
import { never } from "@/tests/support/contract_provider.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const SOUND = new Uint8Array(8_000).fill(0x90);

async function setUp(change: (store: ObjectStore) => Partial<ObjectStore> = () => ({})) {
  const clock = manualClock();
  const store = memoryStore();
  const tenantId = newId("tenant");
  const clip: ClipRef = { id: newId("clip"), name: "music", text: "Music.", store: "memory" };
  await store.put(clipKey(tenantId, clip.id), SOUND, never());
  let fetches = 0;
  const counted: ObjectStore = {
    ...store,
    get(key, signal) {
      fetches++;
      return store.get(key, signal);
    },
    ...change(store),
  };
  const logged: string[] = [];
  const log = newLog({
    date: clock.date,
    write: (line) => logged.push(line),
    level: "info",
    pii: false,
  });
  const library = newClipLibrary({ stores: storesOf(counted), log, clock });
  const loops = newAmbientLoops({ library, clock });
  return { clock, library, loops, tenantId, clip, logged, fetches: () => fetches };
}

Deno.test("a clip is fetched once, whoever asks for it at once or later", async () => {
  const { library, tenantId, clip, fetches } = await setUp();
  const both = await Promise.all([library.audio(tenantId, clip), library.audio(tenantId, clip)]);
  assert.deepEqual(both, [SOUND, SOUND]);
  await library.audio(tenantId, clip);
  assert.equal(fetches(), 1);
});

Deno.test("a store that fails, hangs or has lost it costs a second at the most, and the next call asks again", async () => {
  for (
    const get of [
      () => Promise.reject(new Error("away")),
      () => new Promise<never>(() => {}),
      () => Promise.resolve(null),
    ]
  ) {
    let isIll = true;
    const { clock, library, tenantId, clip, logged } = await setUp((store) => ({
      get: (key, signal) => isIll ? get() : store.get(key, signal),
    }));
    const asked = library.audio(tenantId, clip);
    await clock.advance(1_000);
    assert.equal(await asked, null);
    assert.equal(logged.length, 1);
    isIll = false;
    assert.deepEqual(await library.audio(tenantId, clip), SOUND);
    assert.equal(clock.armed, 0);
  }
});

Deno.test("a room is made once for each loudness, and a clip goes round", async () => {
  const { clock, loops, tenantId, clip, fetches } = await setUp();
  const all = { tenantId, all: [clip] };
  const office = { sound: "office", clip: null, volume: 0.3 } as const;
  const asked = Promise.all([loops.loop(office, all), loops.loop(office, all)]);
  await clock.advance(100);
  const [one, other] = await asked;
  assert.equal(one, other);
  assert.equal(one?.length, LOOP_MS * BYTES_PER_MS);
  assert.equal(await loops.loop(office, all), one);
  const music = { sound: null, clip: "music", volume: 1 };
  const round = await loops.loop(music, all);
  assert.equal(round?.length, SOUND.length - 800);
  assert.equal(await loops.loop(music, all), round);
  assert.equal(fetches(), 1);
  assert.equal(await loops.loop({ ...music, clip: "other" }, all), null);
});
