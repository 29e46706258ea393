/** What a call has recorded of itself, in memory: what its store is in the house. */

import type { CallDeps, History } from "@/actors/call/call.ts";
import type { CallEvent } from "@/actors/call/events.ts";

export interface EventLog extends Pick<CallDeps, "record" | "history"> {
  readonly events: CallEvent[];
}

export function eventLog(): EventLog {
  const events: CallEvent[] = [];
  const times: Date[] = [];
  return {
    events,
    record(seq, event, at) {
      events[seq - 1] = event;
      times[seq - 1] = at;
    },
    history: () => Promise.resolve(historyOf(events, times)),
  };
}

/** As a store reads it back. */
export function historyOf(events: readonly CallEvent[], times: readonly Date[]): History {
  const began = events.findIndex(({ type }) => type === "leg_started");
  return {
    events: [...events],
    answeredAt: times[began] ?? null,
    lastAt: times[events.length - 1] ?? null,
  };
}
