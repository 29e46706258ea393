/** Where recordings are kept: the store that is set, and those that held them before. */

import type { Clock } from "@/lib/clock.ts";
import type { StorageConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { fileStore } from "./files.ts";
import { memoryStore } from "./memory.ts";
import { s3Store } from "./s3.ts";
import type { ObjectStore } from "./storage.ts";

export interface Stores {
  /** Of what is new. */
  readonly current: ObjectStore;
  /** Of what was put into this kind of store. Throws AppError("not_configured") where it is set no more. */
  of(provider: ObjectStore["provider"]): ObjectStore;
}

/** A temporary one keeps nothing. */
export function newStores(
  { dir, s3 }: StorageConfig,
  { clock, isTemporary }: { readonly clock: Clock; readonly isTemporary: boolean },
): Stores {
  if (s3 === null) return storesOf(isTemporary ? memoryStore() : fileStore(dir));
  const bucket = s3Store({ ...s3, clock });
  return isTemporary ? storesOf(bucket) : storesOf(bucket, fileStore(dir));
}

/** The first one takes what is new. */
export function storesOf(current: ObjectStore, ...others: readonly ObjectStore[]): Stores {
  const all = [current, ...others];
  return {
    current,
    of(provider) {
      const found = all.find((it) => it.provider === provider);
      if (found !== undefined) return found;
      throw new AppError("not_configured", `Recordings in "${provider}" cannot be reached`, {
        field: provider === "s3" ? "S3_BUCKET" : "DATA_DIR",
      });
    },
  };
}
