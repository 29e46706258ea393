/**
 * What a machine has in memory of its tenants' configuration. The version travels on every message (in
 * the principal of a request, in the owner of a number): what is cached under an older one is read again.
 */

import type { Clock } from "@/lib/clock.ts";

/** Without a version at hand, what was read is believed for so long. */
export const FRESH_MS = 1_000;
/** Tenants held; the one not asked for longest goes first. */
export const HELD_MAX = 10_000;

/** `configVersion`: of the same row and at the same time as the rest. */
export interface Versioned {
  readonly configVersion: number;
}

export interface ConfigCache<T extends Versioned> {
  /**
   * At least as new as `version`; a null `version` asks for what is at most FRESH_MS old. A value when
   * it is in memory, else a promise of it, which rejects as `load` does: a failure is not kept.
   */
  read(tenantId: string, version: number | null): T | Promise<T>;
  /** A hint that it has changed. Nothing depends on it. */
  forget(tenantId: string): void;
}

interface Held<T> {
  readonly value: T;
  readonly readAt: number;
}

/** `load` reads it from the database; more than one at a time waits for one reading. */
export function configCache<T extends Versioned>(
  { clock, load }: { readonly clock: Clock; load(tenantId: string): Promise<T> },
): ConfigCache<T> {
  const held = new Map<string, Held<T>>();
  const loading = new Map<string, Promise<T>>();

  function isFresh({ value, readAt }: Held<T>, version: number | null): boolean {
    if (version !== null) return value.configVersion >= version;
    return clock.now() - readAt < FRESH_MS;
  }

  function loadOnce(tenantId: string): Promise<T> {
    const readAt = clock.now(); // before it is read: what changes meanwhile counts as later
    const reading = load(tenantId).then((value) => {
      const before = held.get(tenantId);
      if (before === undefined || before.value.configVersion <= value.configVersion) {
        hold(tenantId, { value, readAt });
      }
      return value;
    }).finally(() => {
      if (loading.get(tenantId) === reading) loading.delete(tenantId);
    });
    loading.set(tenantId, reading);
    return reading;
  }

  function hold(tenantId: string, entry: Held<T>): void {
    held.delete(tenantId); // so that it stands last
    held.set(tenantId, entry);
    if (held.size <= HELD_MAX) return;
    const [oldest] = held.keys();
    if (oldest !== undefined) held.delete(oldest);
  }

  /** What is being read may have been asked for before the change: then it is read once more. */
  async function readAgain(tenantId: string, version: number | null): Promise<T> {
    const joined = loading.get(tenantId);
    if (joined === undefined || version === null) return await (joined ?? loadOnce(tenantId));
    const value = await joined;
    return value.configVersion >= version
      ? value
      : await (loading.get(tenantId) ?? loadOnce(tenantId));
  }

  return {
    read(tenantId, version) {
      const known = held.get(tenantId);
      if (known === undefined || !isFresh(known, version)) return readAgain(tenantId, version);
      return known.value;
    },
    forget: (tenantId) => void held.delete(tenantId),
  };
}
