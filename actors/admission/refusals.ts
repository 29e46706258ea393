/** Calls that were refused for want of a line, counted by tenant and told to it once a minute: it is the one that should know. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import type { EventPayloads } from "@/lib/event_types.ts";
import type { Log } from "@/lib/log.ts";

/** Who was refused: a caller, a person at a page, or whoever had a call placed. */
export type Refused = "callers" | "pages" | "placed";
export type RefusalsTold = EventPayloads["capacity.refused"];

/** From the first refusal on. */
export const TELL_MS = 60_000;
/** Tenants with refusals that are not told yet; those of more are not told. */
const TENANTS_MAX = 10_000;

export interface Refusals {
  count(tenantId: string, refused: Refused): void;
  /** Tells what is left, once. */
  close(): Promise<void>;
}

type Counts = { -readonly [K in Refused]: number } & { readonly from: string };

export function newRefusals({ clock, log, tell }: {
  readonly clock: Clock;
  readonly log: Log;
  tell(tenantId: string, told: RefusalsTold): Promise<void>;
}): Refusals {
  let counted = new Map<string, Counts>();
  let cancel: Cancel | null = null;

  /** What could not be told is told with the next. */
  async function tellAll(): Promise<void> {
    cancel = null;
    const all = counted;
    counted = new Map();
    const until = clock.date().toISOString();
    for (const [tenantId, counts] of all) {
      try {
        await tell(tenantId, { ...counts, until });
      } catch (error) {
        log.warn("a tenant is not told of its refused calls yet", { tenantId, error });
        addTo(tenantId, counts);
      }
    }
  }

  function addTo(tenantId: string, more: Counts): void {
    const { callers, pages, placed, from } = counted.get(tenantId) ?? NONE;
    if (counted.size >= TENANTS_MAX && !counted.has(tenantId)) return;
    counted.set(tenantId, {
      callers: callers + more.callers,
      pages: pages + more.pages,
      placed: placed + more.placed,
      from: from === "" || more.from < from ? more.from : from,
    });
    cancel ??= clock.timer(TELL_MS, () => void tellAll());
  }

  return {
    count: (tenantId, refused) =>
      addTo(tenantId, { ...NONE, [refused]: 1, from: clock.date().toISOString() }),
    async close() {
      if (cancel === null) return;
      cancel();
      await tellAll();
      // What failed now is lost with this machine: its timer is not waited for.
      cancel?.();
    },
  };
}

const NONE: Counts = { callers: 0, pages: 0, placed: 0, from: "" };
