/** A desk: one tenant's door on this machine. Routes send here; it answers reads and forwards commands. */

import type { Reply } from "@/actors/runtime/actor.ts";
import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";

/** An inbound call as the carrier announces it. Numbers are E.164; an agent named here wins over the number's. */
export interface Ring {
  readonly from: string;
  readonly to: string;
  readonly carrierCallId: string;
  readonly agentId: string | null;
}

/**
 * What to tell the carrier. `connect`: open the media socket at `mediaPath`, handing over `token`,
 * and ask `resumePath` when it ends. Paths are relative to PUBLIC_URL. `refused`: say the sentence, hang up.
 */
export type CallAnswer =
  | {
    readonly type: "connect";
    readonly callId: string;
    readonly mediaPath: string;
    readonly token: string;
    readonly resumePath: string;
  }
  | { readonly type: "busy" }
  | { readonly type: "refused"; readonly sentence: string }
  | { readonly type: "hangUp" };

/** A call as REST shows it. */
export interface CallView {
  readonly id: string;
  readonly agentId: string;
  readonly direction: "inbound" | "outbound";
  readonly from: string;
  readonly to: string;
  readonly status: "ringing" | "live" | "ended";
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly startedAt: string;
  readonly endedAt: string | null;
}

export interface EventView {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly payload: unknown;
}

export type DeskMessage =
  /** The carrier announces an inbound call. */
  | { type: "ring"; ring: Ring; reply: Reply<CallAnswer> }
  /** A call we placed was answered, or a media stream ended: what now? */
  | { type: "resume"; callId: string; carrierCallId: string; reply: Reply<CallAnswer> }
  /** The carrier reports progress. Terminal progress of a call that is live ends it. */
  | { type: "progressed"; callId: string | null; carrierCallId: string; progress: CallProgress }
  /** Place an outbound call. Rejects with not_configured, not_found or busy. */
  | {
    type: "placeCall";
    agentId: string;
    to: string;
    from: string;
    reply: Reply<{ callId: string }>;
  }
  | { type: "call"; callId: string; reply: Reply<CallView | null> }
  | { type: "events"; callId: string; after: number; limit: number; reply: Reply<EventView[]> };
