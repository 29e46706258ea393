/** Objects in memory: of a process whose database is there too, and nowhere else. */

import { checkKey, type ObjectStore } from "./storage.ts";

export function memoryStore(): ObjectStore {
  const objects = new Map<string, Uint8Array<ArrayBuffer>>();
  const keysOf = (prefix: string): string[] =>
    [...objects.keys()].filter((key) => key.startsWith(checkKey(prefix))).sort();

  return {
    provider: "memory",
    put(key, bytes) {
      objects.set(checkKey(key), bytes.slice());
      return Promise.resolve();
    },
    get: (key) => Promise.resolve(objects.get(checkKey(key)) ?? null),
    list: (prefix) =>
      Promise.resolve(
        keysOf(prefix).map((key) => ({ key, bytes: objects.get(key)?.length ?? 0 })),
      ),
    delete(prefix) {
      const keys = keysOf(prefix);
      for (const key of keys) objects.delete(key);
      return Promise.resolve(keys.length);
    },
  };
}
