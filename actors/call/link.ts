/** The media stream that a call awaits or has: offered to the carrier, then taken once. */

import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";

/** A new one gets the next epoch and another token, so that an old path leads nowhere. */
export interface Link {
  /** Counts the streams of a call, from 1. */
  readonly epoch: number;
  readonly token: string;
  readonly phase: "offered" | "attached" | "started";
}

export type Attachment = "ok" | "taken" | "refused";

export function offer(epoch: number, token: string): Link {
  return { epoch, token, phase: "offered" };
}

/** Whether a socket that shows this epoch and token may be opened. */
export function admit(link: Link, shown: { epoch: number; token: string }): Attachment {
  if (link.phase !== "offered") return "taken";
  return shown.epoch === link.epoch && shown.token === link.token ? "ok" : "refused";
}

/** What the carrier is told: where to open the stream, and where to ask when it has ended. */
export function connectAnswer(
  link: Link,
  call: {
    readonly callId: string;
    readonly nodeId: string;
    readonly resumePath: string;
    /** Null: by a media stream. */
    readonly relay: RelaySetup | null;
  },
): CallAnswer {
  const { callId, nodeId, resumePath, relay } = call;
  return {
    type: "connect",
    callId,
    mediaPath: `/media/${nodeId}/${callId}/${link.epoch}/${link.token}`,
    token: link.token,
    resumePath,
    ...(relay === null ? {} : { relay }),
  };
}
