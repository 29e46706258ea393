/** What is kept of what was last used, up to so many bytes. */

export interface ByteCache<T> {
  /** It then counts as the one last used. */
  get(key: string): T | null;
  /** What was used longest ago makes room; one that is larger than a part of the whole is not kept. */
  put(key: string, value: T, bytes: number): void;
  delete(key: string): void;
  readonly bytes: number;
  readonly count: number;
}

export interface ByteCacheOptions {
  readonly maxBytes: number;
  /** Of one. */
  readonly entryMaxBytes: number;
}

export function newByteCache<T>({ maxBytes, entryMaxBytes }: ByteCacheOptions): ByteCache<T> {
  const kept = new Map<string, { readonly value: T; readonly bytes: number }>(); // the one last used stands last
  let total = 0;

  function remove(key: string): void {
    total -= kept.get(key)?.bytes ?? 0;
    kept.delete(key);
  }

  return {
    get(key) {
      const found = kept.get(key);
      if (found === undefined) return null;
      kept.delete(key);
      kept.set(key, found);
      return found.value;
    },
    put(key, value, bytes) {
      remove(key);
      if (bytes > entryMaxBytes) return;
      kept.set(key, { value, bytes });
      total += bytes;
      for (const oldest of kept.keys()) {
        if (total <= maxBytes) return;
        remove(oldest);
      }
    },
    delete: remove,
    get bytes() {
      return total;
    },
    get count() {
      return kept.size;
    },
  };
}
