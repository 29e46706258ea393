/** What may come from other machines: each message as it is, and no call of another tenant. */

import assert from "node:assert/strict";
import { crossings } from "@/actors/crossings.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { packed } from "@/actors/cluster/links/crossing.ts";
import type { Movables } from "@/actors/cluster/claimed.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { Message, Ref } from "@/actors/runtime/actor.ts";
import type { TenantMessage } from "@/actors/tenant/tenant.ts";
import { HOUSE_LIMITS } from "@/lib/limits/plan.ts";

const OURS = "tenant_1";
const CALL = "call_1";
const found = { kind: "call", id: CALL } as Ref<CallMessage>; // it is only looked for
const counting = { kind: "tenant", id: OURS } as Ref<Message>;

const table = crossings(() => ({
  switchboard: {
    find: (tenantId, callId) => tenantId === OURS && callId === CALL ? found : null,
  },
  movables: { here: () => counting } as unknown as Movables, // nothing else is asked of it
}));

function over<M extends Message>(kind: string, message: M): unknown {
  const crossing = table.get(kind)?.messages[message.type] ?? assert.fail(message.type);
  return crossing.message.parse(JSON.parse(packed(message)));
}

Deno.test("a call is reached for its own tenant only, and never without one", () => {
  const { here } = table.get("call") ?? assert.fail();
  assert.equal(here(CALL, OURS), found);
  assert.equal(here(CALL, "tenant_2"), null);
  assert.equal(here(CALL, null), null);
  assert.equal(here("call_2", OURS), null);
});

type WithoutReply<M> = M extends unknown ? Omit<M, "reply"> & { readonly type: string } : never;

Deno.test("every message that may cross arrives as it was sent", () => {
  const plan = { configVersion: 3, status: "active", limits: HOUSE_LIMITS } as const;
  const calls: WithoutReply<CallMessage>[] = [
    { type: "hangUp" },
    { type: "answer" },
    { type: "resume", carrierCallId: "CA1" },
    { type: "invite", by: "person_1" },
    { type: "progressed", carrierCallId: "CA1", progress: "no_answer" },
    { type: "carrierJudged", carrierCallId: "CA1", by: "machine_end_beep" },
    ...([
      { type: "say", text: "Grüß Gott 👋", interrupts: true },
      { type: "addContext", text: "" },
      { type: "mute" },
      { type: "unmute" },
      { type: "pressKeys", keys: "12w#" },
      { type: "pauseRecording" },
      { type: "resumeRecording" },
      { type: "transfer", to: "+15550100001", sentence: null },
      { type: "hangUp" },
    ] as const).map((command) => ({ type: "control" as const, command, by: "key_1" })),
  ];
  const tenants: WithoutReply<TenantMessage>[] = [
    { type: "admit", callId: CALL, plan },
    { type: "started", callId: CALL },
    { type: "ended", callId: CALL },
    { type: "liveCalls" },
  ];
  for (const message of calls) assert.deepEqual(over("call", message), message);
  for (const message of tenants) assert.deepEqual(over("tenant", message), message);
  const tried = new Set<string>([...calls, ...tenants].map(({ type }) => type));
  const names = ["call", "tenant"].flatMap((kind) => Object.keys(table.get(kind)?.messages ?? {}));
  assert.deepEqual(names.filter((name) => !tried.has(name)), [], "all are tried");
});

Deno.test("an answer to a carrier arrives as the call gave it", () => {
  const relay = {
    language: "en-US",
    voice: null,
    ttsProvider: "ElevenLabs",
    transcriptionProvider: null,
    speechModel: null,
    hints: ["Miller"],
    isInterruptible: true,
    ignoresBackchannels: false,
  };
  const connect = {
    type: "connect",
    callId: CALL,
    mediaPath: "/media/one/call_1/1/token",
    token: "token",
    resumePath: "/twilio/calls/call_1/resume",
  } as const;
  const answers: CallAnswer[] = [
    connect,
    { ...connect, relay },
    { type: "busy" },
    { type: "refused", sentence: "We are closed." },
    { type: "transfer", to: "+15550100001" },
    { type: "hangUp" },
  ];
  for (const type of ["answer", "resume"]) {
    const schema = table.get("call")?.messages[type]?.answer ?? assert.fail();
    for (const answer of answers) assert.deepEqual(schema.parse(answer), answer);
  }
});
