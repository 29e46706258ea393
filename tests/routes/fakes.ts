/** What the routes need, made by hand: refs that note what they are sent and answer as a test says. */

import assert from "node:assert/strict";
import type { CallAnswer, DeskMessage } from "@/actors/desk/desk.ts";
import type { Webhook } from "@/actors/gate/carrier_door.ts";
import type { GateMessage, NumberOwner } from "@/actors/gate/gate.ts";
import { newFeed } from "@/actors/recorder/feed.ts";
import type { Message, Ref, Reply } from "@/actors/runtime/actor.ts";
import { type Principal, SCOPES } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { HOUSE_LIMITS, type TenantPlan } from "@/lib/limits/plan.ts";
import { newLog } from "@/lib/log.ts";
import { newApp } from "@/routes/app.ts";
import type { AppDeps } from "@/routes/deps.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";

export const TENANT = "tenant_0198f3c2-1b2c-7def-8123-000000000001";
export const AGENT = "agent_0198f3c2-1b2c-7def-8123-000000000002";
export const CALL = "call_0198f3c2-1b2c-7def-8123-000000000003";
export const PUBLIC_URL = "https://voice.example.com";
export const AUTH_TOKEN = "12345";
export const API_KEY = "a-key";
export const PRINCIPAL: Principal = {
  kind: "key",
  id: "key_0198f3c2-1b2c-7def-8123-000000000004",
  tenantId: TENANT,
  role: null,
  scopes: new Set(SCOPES),
  sessionId: null,
  configVersion: 1,
};

/** As if no tenant had a limit of its own. */
const PLAN: TenantPlan = { configVersion: 1, status: "active", limits: HOUSE_LIMITS };

/** A ref of an actor that is the function `handle`. What it throws, the ask rejects with. */
export function fakeRef<M extends Message>(handle: (message: M) => void): Ref<M> {
  return {
    kind: "fake",
    id: "fake",
    send(message) {
      handle(message);
      return true;
    },
    ask<T>(question: (reply: Reply<T>) => M) {
      return new Promise<T>((resolve, reject) => {
        const reply: Reply<T> = Object.assign((answer: T) => resolve(answer), { fail: reject });
        handle(question(reply));
      });
    },
  };
}

export interface Fakes {
  readonly app: ReturnType<typeof newApp>;
  readonly clock: ManualClock;
  /** Parsed log lines, `pii` included. */
  readonly logged: Record<string, unknown>[];
  /** The numbers whose owner the gate was asked for. */
  readonly asked: string[];
  /** Webhooks that the gate was to verify. */
  readonly shown: Webhook[];
  /** What desks were sent, without `reply`, and for whom. */
  readonly sent: (Record<string, unknown> & { tenantId: string })[];
}

export interface FakeAnswers {
  readonly owner?: NumberOwner | null | AppError;
  /** What the gate says of a webhook that a tenant's account has signed. */
  readonly webhook?: { readonly owner: NumberOwner | null } | AppError;
  readonly answer?: CallAnswer | Error;
  readonly desk?: (message: DeskMessage) => void;
  readonly deps?: Partial<AppDeps>;
}

export function setUp(answers: FakeAnswers = {}): Fakes {
  const clock = manualClock();
  const logged: Fakes["logged"] = [];
  const log = newLog({
    level: "debug",
    pii: true,
    date: clock.date,
    write: (line) => logged.push(JSON.parse(line)),
  });
  const asked: string[] = [];
  const shown: Webhook[] = [];
  const sent: Fakes["sent"] = [];
  const {
    owner = { tenantId: TENANT, agentId: AGENT, configVersion: 7, whenFull: "busy" },
    answer = { type: "hangUp" },
  } = answers;

  function desk(message: DeskMessage): void {
    if (answers.desk !== undefined) return answers.desk(message);
    if (message.type !== "ring" && message.type !== "resume") return;
    if (answer instanceof AppError) message.reply.fail(answer);
    else if (answer instanceof Error) throw answer;
    else message.reply(answer);
  }

  const app = newApp({
    gate: fakeRef<GateMessage>((message) => {
      if (message.type === "authenticate") {
        if (message.shown.token === API_KEY) return message.reply(PRINCIPAL);
        return message.reply.fail(new AppError("unauthenticated", "No valid bearer token"));
      }
      if (message.type === "webhook") {
        shown.push(message.webhook);
        const answer = answers.webhook ?? new AppError("forbidden", "Wrong signature");
        if (answer instanceof AppError) return message.reply.fail(answer);
        return message.reply(answer.owner);
      }
      assert.ok(message.type === "numberOwner");
      asked.push(message.number);
      if (owner instanceof AppError) message.reply.fail(owner);
      else message.reply(owner);
    }),
    desk: (tenantId) =>
      fakeRef<DeskMessage>((message) => {
        if (message.type === "errand") {
          const { type, name, input } = message;
          sent.push({ tenantId, type, name, input });
        } else {
          const { reply: _, ...rest } = { reply: undefined, ...message };
          sent.push({ tenantId, ...rest });
        }
        desk(message);
      }),
    feed: newFeed(),
    publicUrl: PUBLIC_URL,
    edge: {
      origins: ["https://app.example.com"],
      hosts: ["api.example.com"],
      trustsFly: false,
      clientHeader: null,
    },
    features: [{ name: "carrier", provider: null, missing: "TWILIO_AUTH_TOKEN" }],
    twilioAuthToken: AUTH_TOKEN,
    version: "1.2.3",
    notReady: () => Promise.resolve([]),
    isDraining: () => false,
    others: { urls: () => [], send: fetch, isHere: () => false },
    isShed: () => false,
    refusesCaller: () => false,
    random: () => 0,
    limiter: memoryLimiter(clock),
    addressLimiter: memoryLimiter(clock),
    plan: () => PLAN,
    clock,
    log,
    ...answers.deps,
  });
  return { app, clock, logged, asked, shown, sent };
}
