/** Errands on clips: recorded sentences that agents play where their texts name them. */

import {
  agentWithClip,
  type Clip,
  countClips,
  deleteClip,
  getClip,
  insertClip,
  listClips,
} from "@/db/clips.ts";
import type { Sql } from "@/db/client.ts";
import { BYTES_PER_MS, FRAME_BYTES } from "@/lib/audio/frame.ts";
import { wav } from "@/lib/audio/wav.ts";
import { readWav } from "@/lib/audio/wav_read.ts";
import { CLIP_MAX_BYTES, CLIP_MAX_MS, clipKey, clipPrefix } from "@/lib/clip_library.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { errand } from "./errand.ts";

/** A company's. */
export const CLIPS_MAX = 200;

export interface ClipView {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly durationMs: number;
  readonly createdAt: string;
}

interface NewClip {
  readonly name: string;
  readonly text: string;
  readonly format: "wav" | "mulaw";
  /** In base64. */
  readonly audio: string;
}

interface ClipsPage {
  readonly limit: number;
  /** The id of the last one already seen. */
  readonly cursor?: string | undefined;
}

export const clipErrands = {
  clips: errand("agents:read", async (
    { read, tenantId },
    { limit, cursor }: ClipsPage,
  ): Promise<{ items: ClipView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: cursor };
    const items = (await read((sql) => listClips(sql, tenantId, page))).map(toView);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  clip: errand(
    "agents:read",
    async ({ read, tenantId }, clipId: string): Promise<ClipView> =>
      toView(await read((sql) => found(sql, tenantId, clipId))),
  ),

  /** As a file that everything plays. Throws gone when the store does not have it any more. */
  clipSound: errand(
    "agents:read",
    async (
      { read, tenantId, stores, signal },
      clipId: string,
    ): Promise<Uint8Array<ArrayBuffer>> => {
      const { id, store } = await read((sql) => found(sql, tenantId, clipId));
      const audio = await stores.of(store).get(clipKey(tenantId, id), signal);
      if (audio === null) throw new AppError("gone", "The clip's sound is not in its store");
      return wav([audio]);
    },
  ),

  /** The sound is stored first: a row whose sound is not there would be silence in a call. */
  createClip: errand("agents:write", async (
    { act, tenantId, stores, signal },
    { name, text, format, audio: base64 }: NewClip,
  ): Promise<ClipView> => {
    const audio = soundOf(format, base64);
    const id = newId("clip");
    const store = stores.current;
    await store.put(clipKey(tenantId, id), audio, signal);
    try {
      return await act(async ({ sql, audit }) => {
        if (await countClips(sql, tenantId) >= CLIPS_MAX) {
          throw new AppError(
            "conflict",
            `The company has ${CLIPS_MAX} clips, the most there may be`,
          );
        }
        const row = { id, name, text, store: store.provider, bytes: audio.length };
        const clip = await insertClip(sql, tenantId, row);
        if (clip === null) throw new AppError("conflict", "The name is taken", { field: "name" });
        await audit({ action: "clip.created", subjectId: id, details: { name } });
        return toView(clip);
      });
    } catch (error) {
      await store.delete(clipPrefix(tenantId, id), signal);
      throw error;
    }
  }),

  /** Refused while an agent names it. */
  deleteClip: errand("agents:write", async ({ act, tenantId, stores, signal }, clipId: string) => {
    const { store } = await act(async ({ sql, audit, changeConfig }) => {
      const clip = await found(sql, tenantId, clipId);
      const agent = await agentWithClip(sql, tenantId, clip.name);
      if (agent !== null) throw new AppError("conflict", `Agent "${agent}" names the clip`);
      await deleteClip(sql, tenantId, clipId);
      await audit({ action: "clip.deleted", subjectId: clipId, details: { name: clip.name } });
      await changeConfig();
      return clip;
    });
    await stores.of(store).delete(clipPrefix(tenantId, clipId), signal);
    return null;
  }),
};

/** µ-law of a file. Throws AppError("invalid") that names what is wrong with it. */
function soundOf(format: NewClip["format"], base64: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.fromBase64(base64);
  const { audio, fault } = format === "mulaw" ? { audio: bytes, fault: null } : readWav(bytes);
  if (fault !== null) throw wrongSound(fault);
  if (audio.length < FRAME_BYTES) throw wrongSound("Must hold sound");
  if (audio.length > CLIP_MAX_BYTES) {
    throw wrongSound(`Must not be longer than ${CLIP_MAX_MS / 1000} s`);
  }
  return audio;
}

function wrongSound(message: string): AppError {
  return new AppError("invalid", `Wrong input in "audio": ${message}`, {
    field: "audio",
    errors: [{ in: "body", field: "audio", message }],
  });
}

async function found(sql: Sql, tenantId: string, clipId: string): Promise<Clip> {
  const clip = await getClip(sql, tenantId, clipId);
  if (clip === null) throw new AppError("not_found", "No such clip");
  return clip;
}

function toView({ id, name, text, bytes, createdAt }: Clip): ClipView {
  const durationMs = Math.round(bytes / BYTES_PER_MS);
  return { id, name, text, durationMs, createdAt: createdAt.toISOString() };
}
