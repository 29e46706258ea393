/** Loops of ambient sound: made or fetched once, and shared by the calls of a machine. */

import { newByteCache } from "./byte_cache.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import { ambience, looped } from "@/lib/audio/ambience.ts";
import { atLoudness } from "@/lib/audio/mix.ts";
import { type Clock, sleep } from "./clock.ts";
import type { AmbientSettings } from "@/lib/workflow/graph.ts";
import type { ClipLibrary, ClipRef } from "./clip_library.ts";

/** Some tens of sounds at their loudness. */
const KEPT_MAX_BYTES = 16 << 20;
const ENTRY_MAX_BYTES = 1 << 20;

export interface AmbientLoops {
  /** Null: its clip cannot be had, or has no sound. */
  loop(
    settings: AmbientSettings,
    clips: { readonly tenantId: string; readonly all: readonly ClipRef[] },
  ): Promise<Uint8Array | null>;
}

export function newAmbientLoops(
  { library, clock }: { readonly library: ClipLibrary; readonly clock: Clock },
): AmbientLoops {
  const kept = newByteCache<Uint8Array>({
    maxBytes: KEPT_MAX_BYTES,
    entryMaxBytes: ENTRY_MAX_BYTES,
  });
  const making = new Map<string, Promise<Uint8Array | null>>();

  /** Once, whoever asks meanwhile. */
  async function shared(
    key: string,
    volume: number,
    make: () => Promise<Uint8Array | null>,
  ): Promise<Uint8Array | null> {
    const found = kept.get(key);
    if (found !== null) return found;
    const before = making.get(key);
    if (before !== undefined) return await before;
    const made = make().then((sound) => {
      if (sound === null || sound.length === 0) return null;
      const loop = atLoudness(sound, 20 * Math.log10(volume));
      kept.put(key, loop, loop.length);
      return loop;
    });
    making.set(key, made);
    return await made.finally(() => making.delete(key));
  }

  return {
    async loop({ sound, clip: name, volume }, { tenantId, all }) {
      if (sound !== null) {
        // Calls go on between its layers.
        return await shared(
          `${sound} ${volume}`,
          volume,
          () => ambience(sound, () => sleep(clock, 0)),
        );
      }
      const clip = all.find((it) => it.name === name);
      if (clip === undefined) return null;
      return await shared(`${clip.id} ${volume}`, volume, async () => {
        const audio = await library.audio(tenantId, clip);
        return audio === null ? null : encodeMulaw(looped(decodeMulaw(audio)));
      });
    },
  };
}
