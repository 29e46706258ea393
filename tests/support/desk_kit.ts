/** A desk on its own: its calls, its database and its tenant are what a test makes of them. */

import { callKind, type CallMessage } from "@/actors/call/call.ts";
import {
  type CallAnswer,
  desk,
  deskKind,
  type DeskMessage,
  type Ring,
} from "@/actors/desk/desk.ts";
import type { Agent, DeskDeps, NewCall } from "@/actors/desk/desk_deps.ts";
import type { CallView } from "@/actors/desk/calls.ts";
import type { Outfit } from "@/actors/desk/equipment.ts";
import { office, type RequestFacts, type Services } from "@/actors/desk/office.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Actor, Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { Principal, Scope } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { HOUSE_LIMITS, type TenantPlan } from "@/lib/limits/plan.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { actorKit } from "./actor_kit.ts";
import type { ManualClock } from "./manual_clock.ts";

export const TENANT = "tenant_0198f3c2-0000-7000-8000-000000000001";
export const AGENT: Agent = { agentId: "agent_1", version: 1, graph: parseGraph(demoAgent) };
/** No errand here uses them. */
const NO_SERVICES = {} as Services;
/** No call is really held here. */
export const OUTFIT = { account: "house", defaults: { language: null, voice: null } } as Outfit;
export const PLAN: TenantPlan = { configVersion: 1, status: "active", limits: HOUSE_LIMITS };
export const FULL = new AppError("busy", "The plan allows 1 live call, 1 is live", {
  retryable: true,
});
export const AWAY = new AppError("database_unavailable", "No answer in time", { retryable: true });

/** A call as far as a desk knows it: it answers, and ends when it is told to hang up. */
function fakeCall(id: string, got: string[]): Actor<null, CallMessage> {
  const ignored = () => {};
  const connect = {
    type: "connect",
    callId: id,
    mediaPath: "/",
    token: "",
    resumePath: "/",
  } as const;
  return {
    init: () => null,
    on: {
      carrierJudged() {},
      colleagueSaid() {},
      colleagueUnheard() {},
      stallDue() {},
      answer(_state, { reply }) {
        got.push("answer");
        reply(connect);
      },
      resume(_state, { reply }) {
        got.push("resume");
        reply(connect);
      },
      dial(_state, { from, to, reply }) {
        got.push(`dial ${from} ${to}`);
        reply({ callId: id });
      },
      progressed: (_state, { progress }) => void got.push(progress),
      hangUp: (_state, _message, ctx) => ctx.stop(),
      legStarted: ignored,
      keysNoted: ignored,
      marked: ignored,
      pressed: ignored,
      legFaulted: ignored,
      legEnded: ignored,
      calledBack: ignored,
      heard: ignored,
      sounded: ignored,
      unheard: ignored,
      beeped: ignored,
      beepDue: ignored,
      deaf: ignored,
      listenerLost: ignored,
      wordsPlaced: ignored,
      synthesisBegan: ignored,
      playoutBegan: ignored,
      synthesisFailed: ignored,
      speakerLost: ignored,
      modelSaid: ignored,
      modelLost: ignored,
      attach: ignored,
      connected: ignored,
      dialed: ignored,
      deadlinePassed: ignored,
      control: ignored,
      greetingDue: ignored,
      keysDue: ignored,
      hooksDue: ignored,
      invite: ignored,
      admit: ignored,
      tapped: ignored,
      tapLeft: ignored,
      tapAsked: ignored,
      tapSpoke: ignored,
      settleDue: ignored,
      durationPassed: ignored,
      connectMissed: ignored,
      endingDue: ignored,
      recordingLost: ignored,
      carrierHungUp: ignored,
      historyRead: ignored,
      savedMeanwhile: ignored,
      saved: ignored,
      saveAgain: ignored,
      leave: ignored,
      givenUp: ignored,
      sounding: ignored,
      onRecord: ignored,
    },
  };
}

export interface DeskKit {
  readonly clock: ManualClock;
  readonly system: System;
  settle(): Promise<void>;
  readonly ref: Ref<DeskMessage>;
  readonly machine: { lines: number; taken: number; draining: boolean };
  /** What was inserted, by our ids. */
  readonly rows: Map<string, CallView & { readonly carrierCallId: string | null }>;
  /** What its calls were asked. */
  readonly got: string[];
  /** Calls that have a slot of the tenant. */
  readonly slots: Set<string>;
  readonly refused: string[];
  /** Waits until nothing moves any more. */
  ask<T>(question: Promise<T>): Promise<T>;
  ring(
    carrierCallId: string,
    agentId?: string | null,
    more?: Pick<Ring, "whenFull" | "waitingSinceMs">,
  ): Promise<CallAnswer>;
  resume(callId: string): Promise<CallAnswer>;
  place(agentId?: string): Promise<{ readonly callId: string }>;
  run(name: string, input: unknown, scopes?: readonly Scope[]): Promise<unknown>;
  view(): unknown;
  /** Calls that live. */
  live(): number;
}

/** A machine with so many lines, and a database that knows what was inserted. */
export function setUp(
  options: { readonly lines?: number; readonly deps?: Partial<DeskDeps> } = {},
): DeskKit {
  const { clock, system, settle } = actorKit();
  const machine = { lines: options.lines ?? 10, taken: 0, draining: false };
  const rows = new Map<string, CallView & { readonly carrierCallId: string | null }>();
  const got: string[] = [];
  /** Calls that have a slot of the tenant. */
  const slots = new Set<string>();
  const refused: string[] = [];
  let ids = 0;

  function takeLine(): Line | null {
    if (machine.taken === machine.lines) return null;
    machine.taken++;
    let isTaken = true;
    return {
      release() {
        if (isTaken) machine.taken--;
        isTaken = false;
      },
    };
  }

  const deps: DeskDeps = {
    tenantId: TENANT,
    errands: {},
    office: (visit) => office(NO_SERVICES, visit),
    log: silentLog,
    newCallId: () => `call_${++ids}`,
    agent: ({ agentId }) => Promise.resolve(agentId === AGENT.agentId ? AGENT : null),
    admit({ callId }) {
      slots.add(callId);
      return Promise.resolve(PLAN);
    },
    release: (callId) => void slots.delete(callId),
    insertCall(call: NewCall) {
      const { callId, carrierCallId } = call;
      const known = carrierCallId === null
        ? undefined
        : [...rows.values()].find((row) => row.carrierCallId === carrierCallId);
      if (known !== undefined) {
        return Promise.resolve({
          callId: known.id,
          isNew: false,
          isEnded: known.status === "ended",
        });
      }
      rows.set(callId, { ...viewOf(callId), direction: call.direction, carrierCallId });
      return Promise.resolve({ callId, isNew: true, isEnded: false });
    },
    endCall(callId, reason) {
      const row = rows.get(callId);
      if (row !== undefined) {
        rows.set(callId, { ...row, status: "ended", outcome: "failed", reason });
      }
      return Promise.resolve();
    },
    call: (callId) => Promise.resolve(rows.get(callId) ?? null),
    callOfCarrier: (carrierCallId) =>
      Promise.resolve(
        [...rows.values()].find((it) => it.carrierCallId === carrierCallId)?.id ?? null,
      ),
    reported: () => Promise.resolve(),
    outfit: () => Promise.resolve(OUTFIT),
    takeLine,
    startCall({ callId }, line) {
      if (machine.draining) return null;
      return system.spawn(callKind, callId, () => fakeCall(callId, got), {
        stopped() {
          line.release();
          slots.delete(callId);
        },
      });
    },
    findCall: (callId) => system.find(callKind, callId),
    wait: () => null,
    wantCallback: () => Promise.resolve(),
    refused: (who) => void refused.push(who),
    leaveQueue: () => {},
    wallMs: () => clock.date().getTime(),
    findAnnounced: () => null,
    isAlone: () => false,
    findElsewhere: () => Promise.resolve(null),
    ownerOf: () => Promise.resolve(null),
    takeCall: () => Promise.resolve(null),
    ...options.deps,
  };
  system.register(deskKind, () => desk(deps));
  const ref = system.at(deskKind, TENANT);

  async function ask<T>(question: Promise<T>): Promise<T> {
    question.catch(() => {});
    await settle();
    return await question;
  }

  const ring = (
    carrierCallId: string,
    agentId: string | null = AGENT.agentId,
    more: Pick<Ring, "whenFull" | "waitingSinceMs"> = {},
  ) =>
    ref.ask<CallAnswer>((reply) => ({
      type: "ring",
      ring: {
        from: "+15550001",
        to: "+15550002",
        carrierCallId,
        agentId,
        account: "house",
        configVersion: 1,
        ...more,
      },
      reply,
    }), { timeoutMs: 60_000 });
  return {
    clock,
    system,
    settle,
    ref,
    machine,
    rows,
    got,
    slots,
    refused,
    ask,
    ring,
    resume: (callId: string) =>
      ask(
        ref.ask<CallAnswer>((reply) => ({ type: "resume", callId, carrierCallId: "CA1", reply })),
      ),
    place: (agentId = AGENT.agentId) =>
      ref.ask<{ callId: string }>((reply) => ({
        type: "placeCall",
        placedBy: "key_1",
        configVersion: 1,
        agentId,
        from: "+15550001",
        to: "+15550002",
        reply,
      }), { timeoutMs: 60_000 }),
    run: (name: string, input: unknown, scopes: readonly Scope[] = ["calls:read"]) =>
      ref.ask<unknown>(
        (reply) => ({
          type: "errand",
          name,
          input,
          by: principal(scopes),
          request: REQUEST,
          reply,
        }),
        { timeoutMs: 60_000 },
      ),
    view: () => system.inspect("desk", TENANT)?.view,
    live: () => system.count(callKind.name),
  };
}

const REQUEST: RequestFacts = { requestId: "r1", address: null, idempotencyKey: null };

function principal(scopes: readonly Scope[]): Principal {
  return {
    kind: "key",
    id: "key_1",
    tenantId: TENANT,
    role: null,
    scopes: new Set(scopes),
    sessionId: null,
    configVersion: 1,
  };
}

export function viewOf(id: string): CallView {
  return {
    id,
    agentId: AGENT.agentId,
    direction: "inbound",
    channel: "phone",
    from: "+15550001",
    to: "+15550002",
    placedBy: null,
    status: "live",
    outcome: null,
    reason: null,
    variables: {},
    usage: null,
    answeredAt: null,
    durationMs: null,
    startedAt: "2026-01-05T09:00:00.000Z",
    endedAt: null,
  };
}

/** Promises that settle when the test says so. */
export function gateway<T>(): {
  readonly waiting: PromiseWithResolvers<T>[];
  pass(): Promise<T>;
} {
  const waiting: PromiseWithResolvers<T>[] = [];
  return {
    waiting,
    pass(): Promise<T> {
      const entry = Promise.withResolvers<T>();
      waiting.push(entry);
      return entry.promise;
    },
  };
}
