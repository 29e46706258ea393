/** The kinds that messages of other machines reach, and which of their messages: what is not here stays on its machine. */

import { z } from "zod";
import { callKind, type CallMessage } from "@/actors/call/call.ts";
import type { Command } from "@/actors/call/control.ts";
import type { Switchboard } from "@/actors/call/switchboard.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { Movables } from "@/actors/cluster/claimed.ts";
import { type Crossings, type Reachable, reachable } from "@/actors/cluster/links/crossing.ts";
import { tenantKind, type TenantMessage } from "@/actors/tenant/tenant.ts";
import type { Rate, TenantPlan } from "@/lib/limits/plan.ts";
import type { CallProgress } from "@/lib/providers/carrier/carrier.ts";
import { CARRIER_ANSWERERS } from "@/lib/providers/carrier/detection.ts";
import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";

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

const relay: z.ZodType<RelaySetup> = z.object({
  language: name,
  voice: name.nullable(),
  ttsProvider: name.nullable(),
  transcriptionProvider: name.nullable(),
  speechModel: name.nullable(),
  hints: z.array(text),
  isInterruptible: z.boolean(),
  ignoresBackchannels: z.boolean(),
});

const callAnswer: z.ZodType<CallAnswer> = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("connect"),
    callId: name,
    mediaPath: z.string().max(1_000),
    token: name,
    resumePath: z.string().max(1_000),
    relay: relay.exactOptional(),
  }),
  z.object({ type: z.literal("busy") }),
  z.object({ type: z.literal("refused"), sentence: text }),
  z.object({ type: z.literal("transfer"), to: name }),
  z.object({ type: z.literal("hangUp") }),
]);

/** What may be done to a call through a machine that does not hold it. */
const CALL: Crossings<CallMessage> = {
  answer: {
    message: z.object({ type: z.literal("answer") }),
    reply: "always",
    answer: callAnswer,
  },
  resume: {
    message: z.object({ type: z.literal("resume"), carrierCallId: name }),
    reply: "always",
    answer: callAnswer,
  },
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
    reply: "maybe",
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

const rate: z.ZodType<Rate> = z.object({ capacity: z.number(), perSecond: z.number() });

const plan: z.ZodType<TenantPlan> = z.object({
  configVersion: z.number(),
  status: z.enum(["trial", "active", "suspended", "cancelled"]),
  limits: z.object({
    concurrentCalls: z.number(),
    callsPerDay: z.number().nullable(),
    callsPerMonth: z.number().nullable(),
    minutesPerMonth: z.number().nullable(),
    dialsPerMinute: z.number(),
    dialsPerDay: z.number(),
    rates: z.object({ read: rate, write: rate, dial: rate, export: rate }),
  }),
});

/** A tenant's slots, from the machines that its calls are on. */
const TENANT: Crossings<TenantMessage> = {
  admit: {
    message: z.object({ type: z.literal("admit"), callId: name, plan }),
    reply: "always",
    answer: z.null(),
  },
  started: { message: z.object({ type: z.literal("started"), callId: name }), reply: "never" },
  ended: { message: z.object({ type: z.literal("ended"), callId: name }), reply: "never" },
  liveCalls: {
    message: z.object({ type: z.literal("liveCalls") }),
    reply: "always",
    answer: z.number(),
  },
};

export interface Here {
  readonly switchboard: Pick<Switchboard, "find">;
  readonly movables: Movables;
}

/** By their names. `here`: the actors of this machine. */
export function crossings(here: () => Here): ReadonlyMap<string, Reachable> {
  const kinds = [
    reachable(tenantKind, {
      placement: "movable",
      messages: TENANT,
      here: (id) => here().movables.here(tenantKind, id),
    }),
    reachable(callKind, {
      placement: "pinned",
      messages: CALL,
      here: (id, tenantId) => tenantId === null ? null : here().switchboard.find(tenantId, id),
    }),
  ];
  return new Map(kinds.map((kind) => [kind.kind, kind]));
}
