/** The kinds that messages of other machines reach, and which of their messages: what is not here stays on its machine. */

import { z } from "zod";
import { callKind, type CallMessage } from "@/actors/call/call.ts";
import type { Command } from "@/actors/call/control.ts";
import type { Switchboard } from "@/actors/call/switchboard.ts";
import { type Crossings, type Reachable, reachable } from "@/actors/cluster/links/crossing.ts";
import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";
import { CARRIER_ANSWERERS } from "@/lib/providers/carrier/detection.ts";

/** Of what somebody has typed, and our own checks have passed. */
const text = z.string().max(10_000);
const name = z.string().max(128);

const command: z.ZodType<Command> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("say"), text, interrupts: z.boolean() }),
  z.object({ type: z.literal("addContext"), text }),
  z.object({ type: z.literal("mute") }),
  z.object({ type: z.literal("unmute") }),
  z.object({ type: z.literal("pressKeys"), keys: name }),
  z.object({ type: z.literal("pauseRecording") }),
  z.object({ type: z.literal("resumeRecording") }),
  z.object({ type: z.literal("transfer"), to: name, sentence: text.nullable() }),
  z.object({ type: z.literal("hangUp") }),
]);

const progress: z.ZodType<CallProgress> = z.enum([
  "queued",
  "ringing",
  "in_progress",
  "completed",
  "busy",
  "no_answer",
  "failed",
  "canceled",
]);

/** What may be done to a call through a machine that does not hold it. */
const CALL: Crossings<CallMessage> = {
  hangUp: { message: z.object({ type: z.literal("hangUp") }), reply: "maybe" },
  control: {
    message: z.object({ type: z.literal("control"), command, by: name }),
    reply: "always",
  },
  invite: {
    message: z.object({ type: z.literal("invite"), by: name }),
    reply: "always",
    answer: z.object({ ticket: name }),
  },
  progressed: {
    message: z.object({ type: z.literal("progressed"), carrierCallId: name, progress }),
    reply: "never",
  },
  carrierJudged: {
    message: z.object({
      type: z.literal("carrierJudged"),
      carrierCallId: name,
      by: z.enum(CARRIER_ANSWERERS),
    }),
    reply: "never",
  },
};

export interface Here {
  readonly switchboard: Pick<Switchboard, "find">;
}

/** By their names. `here`: the actors of this machine. */
export function crossings(here: () => Here): ReadonlyMap<string, Reachable> {
  const kinds = [
    reachable(callKind, {
      placement: "pinned",
      messages: CALL,
      here: (id, tenantId) => tenantId === null ? null : here().switchboard.find(tenantId, id),
    }),
  ];
  return new Map(kinds.map((kind) => [kind.kind, kind]));
}
