/** The feed: who watches conversations on this machine, and is told at once that something of them was committed. */

import type { NewEvent } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";

/** Watches of one tenant at once on this machine. */
export const WATCHES_MAX = 20;

export interface Watch {
  /** Aborted when this machine drains: go to another. */
  readonly signal: AbortSignal;
  /** Doing it twice does nothing. */
  close(): void;
}

export interface Feed {
  /** From the recorder: these are committed. */
  committed(events: readonly NewEvent[]): void;
  /**
   * `told` is called when there is something new to read of the conversation; what is committed by
   * another machine is not told. Throws AppError("rate_limited" | "draining").
   */
  watch(
    of: { readonly tenantId: string; readonly conversationId: string },
    told: () => void,
  ): Watch;
  /** Ends every watch, and takes no more. */
  close(): void;
}

export function newFeed(): Feed {
  const watchers = new Map<string, Set<() => void>>(); // by conversation
  const counts = new Map<string, number>(); // by tenant
  const closing = new AbortController();

  return {
    committed(events) {
      if (watchers.size === 0) return;
      const ids = new Set(events.map(({ conversationId }) => conversationId));
      for (const id of ids) for (const told of watchers.get(id) ?? []) told();
    },
    watch({ tenantId, conversationId }, told) {
      if (closing.signal.aborted) {
        throw new AppError("draining", "This machine is draining", { retryable: true });
      }
      const count = counts.get(tenantId) ?? 0;
      if (count >= WATCHES_MAX) {
        throw new AppError("rate_limited", `No more than ${WATCHES_MAX} streams can be open`, {
          retryable: true,
        });
      }
      counts.set(tenantId, count + 1);
      const one = (): void => told(); // the same function may watch twice
      watchers.set(conversationId, (watchers.get(conversationId) ?? new Set()).add(one));
      let isOpen = true;
      return {
        signal: closing.signal,
        close() {
          if (!isOpen) return;
          isOpen = false;
          const left = (counts.get(tenantId) ?? 1) - 1;
          if (left > 0) counts.set(tenantId, left);
          else counts.delete(tenantId);
          const others = watchers.get(conversationId);
          others?.delete(one);
          if (others?.size === 0) watchers.delete(conversationId);
        },
      };
    },
    close: () => closing.abort(),
  };
}
