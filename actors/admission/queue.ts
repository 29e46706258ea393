/** The line of callers who wait for one of this machine's lines: fair between tenants, by their coming within one. */

import type { Clock } from "@/lib/clock.ts";

/** Of one tenant, and of all: whoever comes then gets the busy tone. */
export const WAITING_MAX = 50;
const WAITING_ALL_MAX = 500;
/** Nobody waits for longer. */
export const WAIT_MAX_MS = 120_000;
/** Who has not asked again for so long has hung up: they ask every few seconds. */
export const GONE_MS = 20_000;
/** A caller whose place stays the same is told it again. */
const TELL_AGAIN_MS = 20_000;

export interface Waiting {
  readonly carrierCallId: string;
  readonly tenantId: string;
  /** Since when, of the wall clock: machines that a caller asks in turn agree about it. */
  readonly sinceMs: number;
  /** The machine has no line for them, or the tenant's own limits let them in no further. */
  readonly lacks: "line" | "slot";
}

export interface Place {
  /** From 1, among those who wait for the same tenant. */
  readonly position: number;
  /** It is to be said: it has changed, or was last said long ago. */
  readonly isTold: boolean;
}

export interface Queue {
  /** Waits, or goes on waiting. Null: the line is too long, or they have waited for too long. */
  wait(caller: Waiting): Place | null;
  /** Is gone, or has a line. */
  leave(carrierCallId: string): void;
  /** How many lines are to be left to others before this one may have one; Infinity: somebody of the same tenant is first. */
  before(tenantId: string, carrierCallId: string | null): number;
  has(carrierCallId: string): boolean;
  /** How many wait for a line. */
  readonly lacking: number;
  /** How many wait, for a line or for a slot of their tenant. */
  readonly length: number;
}

interface Entry extends Waiting {
  readonly seenAtMs: number;
  readonly told: { readonly position: number; readonly atMs: number } | null;
}

export function newQueue({ clock, heldBy, isClosed }: {
  readonly clock: Pick<Clock, "now" | "date">;
  /** Lines that a tenant has. */
  heldBy(tenantId: string): number;
  /** Nobody joins; who waits goes on waiting. */
  isClosed(): boolean;
}): Queue {
  const entries = new Map<string, Entry>();
  const wallMs = (): number => clock.date().getTime();

  /** Those of a tenant, in the order of their coming. */
  function lineOf(tenantId: string): Entry[] {
    return [...entries.values()].filter((entry) => entry.tenantId === tenantId).sort(byComing);
  }

  function forget(): void {
    const since = clock.now() - GONE_MS;
    for (const [id, { seenAtMs }] of entries) if (seenAtMs < since) entries.delete(id);
  }

  /** Everybody who waits for a line and comes before one with so many lines, who came then. */
  function aheadOf(claim: number, own: Waiting | null, tenantId: string): number {
    const counts = new Map<string, number>();
    let ahead = 0;
    for (const entry of [...entries.values()].sort(byComing)) {
      const nth = counts.get(entry.tenantId) ?? 0;
      counts.set(entry.tenantId, nth + 1);
      if (entry.lacks === "slot" || entry.tenantId === tenantId) continue;
      const theirs = heldBy(entry.tenantId) + nth; // who has fewer lines comes first
      if (theirs < claim) ahead++;
      if (theirs === claim && (own === null || byComing(entry, own) < 0)) ahead++;
    }
    return ahead;
  }

  return {
    wait(caller) {
      forget();
      const before = entries.get(caller.carrierCallId);
      const sinceMs = Math.min(before?.sinceMs ?? caller.sinceMs, wallMs());
      const isOver = wallMs() - sinceMs >= WAIT_MAX_MS;
      const isFull = isClosed() || entries.size >= WAITING_ALL_MAX ||
        lineOf(caller.tenantId).length >= WAITING_MAX;
      if (isOver || (before === undefined && isFull)) {
        entries.delete(caller.carrierCallId);
        return null;
      }
      const seenAtMs = clock.now();
      const entry = { ...caller, sinceMs, seenAtMs, told: before?.told ?? null };
      entries.set(caller.carrierCallId, entry);
      const position = lineOf(caller.tenantId).indexOf(entry) + 1;
      const { told } = entry;
      const isTold = told === null || told.position !== position ||
        seenAtMs - told.atMs >= TELL_AGAIN_MS;
      if (isTold) {
        entries.set(caller.carrierCallId, { ...entry, told: { position, atMs: seenAtMs } });
      }
      return { position, isTold };
    },
    has: (carrierCallId) => entries.has(carrierCallId),
    leave: (carrierCallId) => void entries.delete(carrierCallId),
    before(tenantId, carrierCallId) {
      if (entries.size === 0) return 0;
      forget();
      const own = carrierCallId === null ? null : entries.get(carrierCallId) ?? null;
      const first = lineOf(tenantId).filter((it) => own === null || byComing(it, own) < 0);
      if (first.some(({ lacks }) => lacks === "slot")) return Infinity;
      return first.length + aheadOf(heldBy(tenantId) + first.length, own, tenantId);
    },
    get lacking() {
      forget();
      return [...entries.values()].filter(({ lacks }) => lacks === "line").length;
    },
    get length() {
      forget();
      return entries.size;
    },
  };
}

function byComing(a: Waiting, b: Waiting): number {
  return a.sinceMs - b.sinceMs || (a.carrierCallId < b.carrierCallId ? -1 : 1);
}
