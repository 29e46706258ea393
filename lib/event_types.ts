/** The events that leave the house, each with its payload: the one list of what a webhook can be told. */

/** Payloads are JSON under 20 kB (Standard Webhooks); ids are prefixed, times ISO 8601 in UTC, numbers E.164. */
export interface EventPayloads {
  readonly "call.started": CallFacts;
  readonly "call.answered": CallFacts & { readonly answeredAt: string };
  readonly "call.ended": CallFacts & {
    /** Null: nobody answered. */
    readonly answeredAt: string | null;
    readonly endedAt: string;
    /** From the answer to the end; 0 when nobody answered. */
    readonly durationMs: number;
    readonly outcome: string;
    readonly reason: string | null;
    readonly variables: Readonly<Record<string, unknown>>;
  };
  /** What the record of a call says about it; `figures` are counts and milliseconds. */
  readonly "call.analyzed": CallFacts & { readonly analysis: Readonly<Record<string, unknown>> };
  /** Of the silences before an answer the 95th percentile was over what the agent is to keep. */
  readonly "call.slow": CallFacts & { readonly gapP95Ms: number; readonly goalMs: number };
  /** The transcript itself is read over the API: it may be longer than a webhook. */
  readonly "transcript.ready": CallFacts & { readonly turns: number };
  /** All of a call's recording is stored that will be; its link is read over the API. */
  readonly "recording.ended": {
    readonly callId: string;
    readonly recordingId: string;
    readonly status: "complete" | "failed";
    /** Why it failed. */
    readonly reason: string | null;
    readonly durationMs: number;
    readonly endedAt: string;
  };
  /**
   * Calls were refused since no line was free, or no slot of the tenant's plan: callers, people at pages, calls that
   * were to be placed. From the first one on, once a minute at the most from each machine.
   */
  readonly "capacity.refused": {
    readonly callers: number;
    readonly pages: number;
    readonly placed: number;
    readonly from: string;
    readonly until: string;
  };
  /** A caller who wanted to be called back was (`callId`), or has called again, or no line came free in an hour. */
  readonly "callback.ended": {
    /** Ours. */
    readonly from: string;
    /** The caller's. */
    readonly to: string;
    readonly wantedAt: string;
    readonly outcome: "placed" | "called_again" | "expired";
    /** Null: none was placed. */
    readonly callId: string | null;
  };
  readonly "agent.published": {
    readonly agentId: string;
    readonly version: number;
    readonly by: string;
  };
  readonly "member.invited": {
    readonly invitationId: string;
    readonly email: string;
    readonly role: string;
    readonly by: string;
  };
  /** A recording of a LiveKit room is over, however it came out. */
  readonly "livekit.egress_ended": {
    readonly egressId: string;
    readonly room: string;
    readonly status: string;
    readonly error: string | null;
    readonly files: readonly { readonly name: string; readonly location: string }[];
    readonly startedAt: string | null;
    readonly endedAt: string | null;
  };
  /** Sent by the test button of an endpoint, to it alone. */
  readonly "webhook.test": { readonly endpointId: string };
}

export interface CallFacts {
  readonly callId: string;
  readonly agentId: string;
  readonly direction: "inbound" | "outbound";
  readonly from: string;
  readonly to: string;
  readonly startedAt: string;
}

export type EventType = keyof EventPayloads;

export const EVENT_TYPES = [
  ...["call.started", "call.answered", "call.ended", "call.analyzed", "call.slow"] as const,
  ...[
    "transcript.ready",
    "recording.ended",
    "capacity.refused",
    "callback.ended",
    "agent.published",
    "member.invited",
  ] as const,
  ...["livekit.egress_ended", "webhook.test"] as const,
] as const satisfies readonly EventType[];
