/** Follows a call's events over REST, as an integrator would, until it has ended. */

import type { CallEvent } from "@/actors/call/events.ts";
import type { EventView } from "@/actors/desk/calls.ts";
import { type Clock, sleep } from "@/lib/clock.ts";

export interface Transcript {
  readonly events: readonly CallEvent[];
  /** Null when the call's end was not stored. */
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  /** True when the end of the call was read. */
  readonly isComplete: boolean;
}

export interface FollowOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly callId: string;
  readonly clock: Clock;
  readonly lookEveryMs: number;
  told(event: CallEvent): void;
}

const PAGE = 500;
/** Longer than any call of ours, and the writes at its end. */
const FOLLOW_MAX_MS = 240_000;

/** Tells each event once, in order; resolves with all of them when the call has ended. */
export async function follow(options: FollowOptions): Promise<Transcript> {
  const { clock, told } = options;
  const events: CallEvent[] = [];
  const until = clock.now() + FOLLOW_MAX_MS;
  while (clock.now() < until) {
    for (const event of await read(options, events.length)) {
      events.push(event);
      told(event);
    }
    const end = events.findLast((event) => event.type === "call_ended");
    if (end !== undefined) {
      return { events, ...end, variables: variablesOf(events), isComplete: true };
    }
    await sleep(clock, options.lookEveryMs);
  }
  return {
    events,
    outcome: null,
    reason: null,
    variables: variablesOf(events),
    isComplete: false,
  };
}

async function read(options: FollowOptions, after: number): Promise<CallEvent[]> {
  const { url, apiKey, callId } = options;
  const response = await fetch(
    `${url}/api/v1/calls/${callId}/events?after=${after}&limit=${PAGE}`,
    { headers: { Authorization: `Bearer ${apiKey}` } },
  );
  if (response.status === 503 || response.status === 504) { // busy: the next look may do
    await response.body?.cancel();
    return [];
  }
  if (!response.ok) throw new Error(`Cannot read the transcript: ${await response.text()}`);
  const { items } = await response.json() as { items: EventView[] }; // our own server's answer
  return items.map(({ type, payload }) => ({ type, ...Object(payload) }) as CallEvent);
}

function variablesOf(events: readonly CallEvent[]): Readonly<Record<string, unknown>> {
  const moved = events.findLast((event) => event.type === "workflow_moved");
  return moved?.type === "workflow_moved" ? moved.workflow.variables : {};
}
