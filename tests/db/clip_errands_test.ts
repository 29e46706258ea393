/** Clips: stored as telephone audio under a name, and not deleted while an agent names them. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { decodeMulaw } from "@/lib/audio/mulaw.ts";
import { wav } from "@/lib/audio/wav.ts";
import { CLIP_MAX_BYTES, clipKey } from "@/lib/clip_library.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { never } from "@/tests/support/contract_provider.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const SOUND = speak("Open from nine to five.").audio;
const CLIP = {
  name: "opening-hours",
  text: "Open from nine to five.",
  format: "wav",
  audio: wav([SOUND]).toBase64(),
} as const;
const [start, ...nodes] = demoAgent.nodes;
const GRAPH = {
  ...demoAgent,
  nodes: [{ ...start, greeting: "Hello. {{clip:opening-hours}}" }, ...nodes],
};

Deno.test("a clip is stored as µ-law, listed, read and deleted with its sound", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const stores = storesOf(memoryStore());
  const { run } = errandRunner(database, tenantId, { services: { stores } });
  const made = await run("createClip", CLIP);
  assert.deepEqual([made.name, made.durationMs], [CLIP.name, Math.round(SOUND.length / 8)]);
  assert.deepEqual(await run("clip", made.id), made);
  assert.deepEqual(await run("clips", { limit: 10 }), { items: [made], next: null });
  const { current } = stores;
  const key = clipKey(tenantId, made.id);
  const stored = await current.get(key, never());
  assert.deepEqual(decodeMulaw(stored ?? new Uint8Array()), decodeMulaw(SOUND));
  const file = await run("clipSound", made.id);
  assert.equal(file.toBase64(), CLIP.audio, "it can be listened to");
  await assert.rejects(run("createClip", CLIP), { code: "conflict", field: "name" });
  const all = await current.list(key.slice(0, key.indexOf("/", "clips/".length) + 1), never());
  assert.equal(all.length, 1, "nothing is left of what was refused");
  await current.delete(key.slice(0, key.lastIndexOf("/") + 1), never());
  await assert.rejects(run("clipSound", made.id), { code: "gone" });
  assert.equal(await run("deleteClip", made.id), null);
  assert.equal(await current.get(key, never()), null);
  await assert.rejects(run("clip", made.id), { code: "not_found" });
});

Deno.test("sound that cannot be read, or is too long, is refused by its field", async () => {
  await using database = await open();
  const stores = storesOf(memoryStore());
  const { run } = errandRunner(database, await newTenant(database), { services: { stores } });
  const tooLong = new Uint8Array(CLIP_MAX_BYTES + 1).toBase64();
  for (
    const [change, message] of [
      [{ audio: "aGVsbG8=" }, /"audio": Must be a WAV file/],
      [{ format: "mulaw", audio: tooLong }, /"audio": Must not be longer than 60 s/],
      [{ format: "mulaw", audio: "aGVsbG8=" }, /"audio": Must hold sound/],
    ] as const
  ) {
    await assert.rejects(run("createClip", { ...CLIP, ...change }), {
      code: "invalid",
      field: "audio",
      message,
    });
  }
  assert.deepEqual(await run("clips", { limit: 10 }), { items: [], next: null });
});

Deno.test("an agent is published only with clips that there are, and they stay while it names them", async () => {
  await using database = await open();
  const stores = storesOf(memoryStore());
  const { run } = errandRunner(database, await newTenant(database), { services: { stores } });
  const { id: agentId } = await run("createAgent", { name: "Desk", graph: GRAPH });
  const publish = { agentId, expected: null };
  await assert.rejects(run("publishAgent", publish), {
    code: "invalid",
    field: "nodes[0].greeting",
    message: /There is no clip "opening-hours"/,
  });
  assert.equal((await run("validateAgent", agentId)).isValid, false);
  const { id: clipId } = await run("createClip", CLIP);
  assert.equal((await run("validateAgent", agentId)).isValid, true);
  await assert.rejects(run("deleteClip", clipId), { code: "conflict", message: /"Desk"/ });
  await run("publishAgent", publish);
  await assert.rejects(run("deleteClip", clipId), { code: "conflict", message: /"Desk"/ });
  await run("changeAgent", { agentId, draft: { ...demoAgent }, expected: null });
  await run("publishAgent", publish);
  const room = { ...demoAgent, ambient: { clip: CLIP.name } };
  await run("changeAgent", { agentId, draft: room, expected: null });
  await assert.rejects(run("deleteClip", clipId), { code: "conflict", message: /"Desk"/ });
  await run("publishAgent", publish);
  await assert.rejects(run("deleteClip", clipId), { code: "conflict", message: /"Desk"/ });
  await run("archiveAgent", publish);
  await run("deleteClip", clipId);
});
