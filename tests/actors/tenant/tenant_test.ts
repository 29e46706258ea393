/** A tenant's slots and quotas: never one call too many, and none lost or doubled when its actor goes down among calls. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { RESERVED_MS } from "@/actors/tenant/quota.ts";
import {
  type Census,
  RECOUNT_MS,
  tenant,
  type TenantDeps,
  tenantKind,
  type TenantMessage,
} from "@/actors/tenant/tenant.ts";
import type { TenantStatus } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { HOUSE_LIMITS, type TenantLimits, type TenantPlan } from "@/lib/limits/plan.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const TENANT = "tenant_1";
const NOTHING = {
  callsPerDay: 0,
  callsPerMonth: 0,
  secondsPerMonth: 0,
  dialsPerMinute: 0,
  dialsPerDay: 0,
};

function planOf(limits: Partial<TenantLimits> = {}, status: TenantStatus = "active"): TenantPlan {
  return { configVersion: 1, status, limits: { ...HOUSE_LIMITS, ...limits } };
}

/** A machine whose live calls are `live`, and a database that has counted what it has. */
function setUp(options: { readonly seed?: number; readonly deps?: Partial<TenantDeps> } = {}) {
  const kit = actorKit(options.seed ?? {});
  const { system, clock, settle } = kit;
  const live = new Set<string>();
  const known = { ...NOTHING };
  const census = (): Promise<Census> =>
    Promise.resolve({ usage: { ...known }, at: clock.date(), elsewhere: [] });
  system.register(tenantKind, () => tenant({ live: () => [...live], census, ...options.deps }));
  const ref = () => system.at(tenantKind, TENANT);

  async function asked<T>(question: Promise<T>): Promise<T> {
    question.catch(() => {});
    await settle();
    return await question;
  }
  const admit = (callId: string, plan = planOf()) =>
    asked(
      ref().ask<null>((reply) => ({ type: "admit", callId, plan, reply }), { timeoutMs: 60_000 }),
    );
  return {
    ...kit,
    live,
    known,
    admit,
    async begin(callId: string) {
      live.add(callId);
      known.callsPerDay++;
      known.callsPerMonth++;
      ref().send({ type: "started", callId });
      await settle();
    },
    async end(callId: string) {
      live.delete(callId);
      ref().send({ type: "ended", callId });
      await settle();
    },
    slots: () =>
      asked(
        ref().ask<number>((reply) => ({ type: "liveCalls", reply }), { timeoutMs: 60_000 }),
      ),
    /** A throw in a handler, as a bug would. */
    async crash() {
      const bug = { type: "admit", callId: "", plan: null, reply: null } as unknown;
      ref().send(bug as TenantMessage); // none of the right shape would throw
      await settle();
    },
  };
}

Deno.test("a tenant has as many calls as its plan says, and one more when one has ended", async () => {
  const { admit, begin, end, slots } = setUp();
  const plan = planOf({ concurrentCalls: 2 });
  await admit("a", plan);
  await begin("a");
  await admit("b", plan); // on its way counts as well
  await assert.rejects(admit("c", plan), {
    code: "busy",
    retryable: true,
    message: "The plan allows 2 live calls, 2 are live",
  });
  await end("a");
  await admit("c", plan);
  assert.equal(await slots(), 2);
});

Deno.test("a call that asks, begins or ends twice counts once", async () => {
  const { admit, begin, end, slots } = setUp();
  for (let n = 0; n < 2; n++) {
    await admit("a");
    await begin("a");
  }
  assert.equal(await slots(), 1);
  await end("a");
  await end("a");
  await end("never");
  assert.equal(await slots(), 0);
});

for (const status of ["suspended", "cancelled"] as const) {
  Deno.test(`a ${status} tenant has no calls`, async () => {
    const { admit } = setUp();
    await assert.rejects(admit("a", planOf({}, status)), { code: "tenant_suspended" });
  });
}

Deno.test("a slot whose call never began is free again after a while", async () => {
  const { admit, slots, clock } = setUp();
  const plan = planOf({ concurrentCalls: 1 });
  await admit("a", plan);
  await clock.advance(RESERVED_MS - 1);
  await assert.rejects(admit("b", plan), { code: "busy" });
  await clock.advance(1);
  await admit("b", plan);
  assert.equal(await slots(), 1);
});

Deno.test("a slot whose end was never told is free again after the next recount", async () => {
  const { admit, begin, slots, live, clock } = setUp();
  await admit("a");
  await begin("a");
  live.delete("a");
  assert.equal(await slots(), 1);
  await clock.advance(RECOUNT_MS);
  assert.equal(await slots(), 0);
});

Deno.test("quotas count what the database had counted and what was let in since, until the period ends", async () => {
  const { admit, begin, end, known, clock } = setUp();
  known.callsPerDay = 3;
  const plan = planOf({ callsPerDay: 5 });
  await admit("a", plan);
  await begin("a");
  await end("a");
  await admit("b", plan);
  await assert.rejects(admit("c", plan), { code: "quota_exceeded", message: /5 calls a day/ });
  await end("b"); // it never began
  await admit("c", plan);
  await begin("c");
  await assert.rejects(admit("d", plan), { code: "quota_exceeded" });
  await clock.advance(15 * 3_600_000); // past midnight, UTC
  known.callsPerDay = 0;
  await clock.advance(RECOUNT_MS);
  await admit("d", plan);
});

Deno.test("the minutes of a month that are used up let no more calls in", async () => {
  const { admit, known } = setUp();
  known.secondsPerMonth = 600;
  await assert.rejects(admit("a", planOf({ minutesPerMonth: 10 })), { code: "quota_exceeded" });
  await admit("a", planOf({ minutesPerMonth: 11 }));
});

Deno.test("calls of other machines take slots here too", async () => {
  const elsewhere = ["x", "y"];
  const at = new Date("2026-01-05T09:00:00Z");
  const { admit, slots, clock } = setUp({
    deps: { census: () => Promise.resolve({ usage: NOTHING, at, elsewhere: [...elsewhere] }) },
  });
  const plan = planOf({ concurrentCalls: 3 });
  await admit("a", plan);
  await assert.rejects(admit("b", plan), { code: "busy" });
  elsewhere.pop();
  await clock.advance(RECOUNT_MS);
  assert.equal(await slots(), 1);
});

Deno.test("without the database slots are counted all the same, and quotas are when it is back", async () => {
  let isAway = true;
  const { admit, clock } = setUp({
    deps: {
      census: () =>
        isAway
          ? Promise.reject(new AppError("database_unavailable", "No answer in time"))
          : Promise.resolve({
            usage: { ...NOTHING, callsPerDay: 9 },
            at: clock.date(),
            elsewhere: [],
          }),
    },
  });
  const plan = planOf({ concurrentCalls: 1, callsPerDay: 9 });
  await admit("a", plan);
  await assert.rejects(admit("b", plan), { code: "busy" });
  isAway = false;
  await clock.advance(RESERVED_MS);
  await assert.rejects(admit("b", plan), { code: "quota_exceeded" });
});

Deno.test("a tenant that goes down among calls has them all again, and no room for more", async () => {
  const { admit, begin, crash, slots } = setUp();
  const plan = planOf({ concurrentCalls: 3 });
  for (const callId of ["a", "b", "c"]) {
    await admit(callId, plan);
    await begin(callId);
  }
  await crash();
  assert.equal(await slots(), 3);
  await assert.rejects(admit("d", plan), { code: "busy" });
});

Deno.test("over any history with crashes no call is let in beyond the plan, and every slot is a live call", async () => {
  const step = fc.record({
    type: fc.constantFrom("admit", "begin", "end", "drop", "crash", "wait"),
    call: fc.integer({ min: 0, max: 7 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 60 }), async (seed, history) => {
      const kit = setUp({ seed });
      const plan = planOf({ concurrentCalls: 3 });
      const granted = new Map<string, number>(); // not begun yet, and when granted
      let made = 0;
      const pick = (from: Iterable<string>, n: number) =>
        [...from][n % Math.max(1, [...from].length)];
      for (const { type, call } of history) {
        if (type === "admit") {
          const callId = `call_${++made}`;
          const before = kit.live.size;
          const isIn = await kit.admit(callId, plan).then(() => true, () => false);
          if (isIn) {
            assert.ok(before < 3, "let in, and all slots were live calls");
            granted.set(callId, kit.clock.now());
          } else {
            // Granted ones count, and after a crash only those that live.
            assert.ok(before + granted.size >= 3, "refused, and there was room");
          }
        }
        const waiting = pick(granted.keys(), call);
        if (type === "begin" && waiting !== undefined && kit.live.size < 3) {
          granted.delete(waiting);
          await kit.begin(waiting);
        }
        const living = pick(kit.live, call);
        if (type === "end" && living !== undefined) await kit.end(living);
        if (type === "drop" && waiting !== undefined) {
          granted.delete(waiting);
          await kit.end(waiting);
        }
        if (type === "crash") await kit.crash();
        if (type === "wait") {
          await kit.clock.advance(5_000);
          for (const [callId, at] of granted) {
            if (kit.clock.now() - at >= RESERVED_MS) granted.delete(callId);
          }
        }
        const slots = await kit.slots();
        assert.ok(slots >= kit.live.size, "a live call without its slot");
        assert.ok(slots <= kit.live.size + granted.size, "a slot without its call");
      }
      for (const callId of [...kit.live]) await kit.end(callId);
      await kit.clock.advance(RESERVED_MS);
      assert.equal(await kit.slots(), 0);
    }),
    { seed: 5, numRuns: Number(Deno.env.get("HISTORY_RUNS") ?? 100) },
  );
});
