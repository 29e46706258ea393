/** Slots are asked of whoever counts; while that one cannot be asked, this machine counts by itself. */

import assert from "node:assert/strict";
import { newSlots, standInKind } from "@/actors/tenant/slots.ts";
import { tenant, tenantKind, type TenantMessage } from "@/actors/tenant/tenant.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { HOUSE_LIMITS, type TenantPlan } from "@/lib/limits/plan.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const TENANT = "tenant_1";
const PLAN: TenantPlan = {
  configVersion: 1,
  status: "active",
  limits: { ...HOUSE_LIMITS, concurrentCalls: 2 },
};

/** A tenant two calls of which may live; `far.fails`: why the machine that counts for it cannot be asked. */
function setUp() {
  const { system, settle, clock } = actorKit();
  const here: string[] = [];
  const far: { fails: ErrorCode | null } = { fails: null };
  const unreachable: ErrorCode[] = [];
  const dials = { dialsPerMinute: 0, dialsPerDay: 0 };
  const usage = { callsPerDay: 0, callsPerMonth: 0, secondsPerMonth: 0, ...dials };
  const made = () =>
    tenant({
      live: () => here,
      census: () => Promise.resolve({ usage, at: clock.date(), elsewhere: [] }),
    });
  system.register(tenantKind, made);
  system.register(standInKind, made);
  const counting = system.at(tenantKind, TENANT);
  const ref: Ref<TenantMessage> = {
    kind: tenantKind.name,
    id: TENANT,
    send: (message) => far.fails === null && counting.send(message),
    ask: (question, options) =>
      far.fails === null
        ? counting.ask(question, options)
        : Promise.reject(new AppError(far.fails, "No answer")),
  };
  const slots = newSlots({
    tenant: () => ref,
    isHere: () => false,
    standIn: () => system.at(standInKind, TENANT),
    livingStandIn: () => system.find(standInKind, TENANT),
    unreachable: (_, error) => unreachable.push(error.code),
  });
  const signal = new AbortController().signal;
  async function admit(callId: string): Promise<string> {
    const asked = slots.admit({ tenantId: TENANT, callId, plan: PLAN }, signal)
      .then(() => "yes", (error: AppError) => error.code);
    await settle();
    return await asked;
  }
  return { system, settle, slots, admit, far, here, unreachable };
}

Deno.test("slots are counted by one for all, and a full tenant's answer is final", async () => {
  const { admit, slots, settle, unreachable, system } = setUp();
  assert.deepEqual([await admit("1"), await admit("2"), await admit("3")], ["yes", "yes", "busy"]);
  slots.ended(TENANT, "1");
  assert.equal(await admit("3"), "yes");
  const live = slots.liveCalls(TENANT);
  await settle();
  assert.equal(await live, 2);
  assert.deepEqual(unreachable, []);
  assert.equal(system.find(standInKind, TENANT), null, "nobody stands in for one that answers");
});

for (const code of ["unknown_outcome", "actor_stopped", "mailbox_full", "draining"] as const) {
  Deno.test(`while who counts answers ${code}, this machine counts its own`, async () => {
    const { admit, far, here, slots, unreachable } = setUp();
    far.fails = code;
    here.push("0");
    assert.deepEqual([await admit("1"), await admit("2")], ["yes", "busy"]);
    assert.deepEqual(unreachable, [code, code]);
    here.pop();
    slots.ended(TENANT, "0");
    assert.equal(await admit("2"), "yes", "it is told what ends");
    far.fails = null;
    assert.equal(await admit("3"), "yes", "and is asked no more than it must");
    assert.equal(unreachable.length, 3);
  });
}
