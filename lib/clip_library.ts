/** The sound of clips: fetched from the store once, and kept while it is used. */

import { newByteCache } from "./byte_cache.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { type Clock, deadline } from "./clock.ts";
import { uuidOf } from "./ids.ts";
import type { Log } from "./log.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { orAborted } from "./until_aborted.ts";

/** Of one clip. */
export const CLIP_MAX_MS = 60_000;
export const CLIP_MAX_BYTES = CLIP_MAX_MS * BYTES_PER_MS;
/** Of a machine: over an hour. */
const KEPT_MAX_BYTES = 32 << 20;
/** A caller waits for it; without it the words are spoken. */
const FETCH_MS = 1_000;

/** A clip as a call knows it. */
export interface ClipRef {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly store: ObjectStore["provider"];
}

export interface ClipLibrary {
  /** µ-law; null: it cannot be had now, which is logged. */
  audio(tenantId: string, clip: ClipRef): Promise<Uint8Array<ArrayBuffer> | null>;
}

/** Under which its sound is stored; the prefix of it is what is deleted. */
export function clipPrefix(tenantId: string, clipId: string): string {
  return `clips/${uuidOf("tenant", tenantId)}/${uuidOf("clip", clipId)}/`;
}

export function clipKey(tenantId: string, clipId: string): string {
  return `${clipPrefix(tenantId, clipId)}mulaw`;
}

export function newClipLibrary(
  { stores, log, clock }: {
    readonly stores: Pick<Stores, "of">;
    readonly log: Log;
    readonly clock: Clock;
  },
): ClipLibrary {
  const kept = newByteCache<Uint8Array<ArrayBuffer>>({
    maxBytes: KEPT_MAX_BYTES,
    entryMaxBytes: CLIP_MAX_BYTES,
  });
  const fetching = new Map<string, Promise<Uint8Array<ArrayBuffer> | null>>();

  async function fetched(
    key: string,
    { id, store }: ClipRef,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const limit = deadline(clock, FETCH_MS, () => new Error(`No answer within ${FETCH_MS} ms`));
    try {
      const audio = await orAborted(stores.of(store).get(key, limit.signal), limit.signal);
      if (audio === null) log.warn("clip has no sound", { clipId: id });
      else kept.put(key, audio, audio.length);
      return audio;
    } catch (error) {
      log.warn("clip could not be fetched", { clipId: id, error });
      return null;
    } finally {
      limit.cancel();
    }
  }

  return {
    async audio(tenantId, clip) {
      const key = clipKey(tenantId, clip.id);
      const found = kept.get(key);
      if (found !== null) return found;
      const before = fetching.get(key);
      if (before !== undefined) return await before;
      const asked = fetched(key, clip);
      fetching.set(key, asked);
      try {
        return await asked;
      } finally {
        fetching.delete(key);
      }
    },
  };
}
