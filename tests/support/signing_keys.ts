/** A place for signing keys in memory, that counts how often it is read. */

import type { SigningKey, SigningKeyStore } from "@/lib/access_tokens.ts";

export interface KeyShelf extends SigningKeyStore {
  readonly keys: SigningKey[];
  /** How often `list` was called. */
  readonly listed: number;
}

export function keyShelf(): KeyShelf {
  const keys: SigningKey[] = [];
  let listed = 0;
  return {
    keys,
    get listed() {
      return listed;
    },
    list(now) {
      listed++;
      const live = keys.filter((key) => key.verifiesUntil > now);
      return Promise.resolve(
        live.sort((a, b) =>
          b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? -1 : 1)
        ),
      );
    },
    add(key) {
      keys.push(key);
      return Promise.resolve();
    },
  };
}
