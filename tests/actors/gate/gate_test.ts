/** A gate: whose number is this? */

import assert from "node:assert/strict";
import { gate, type GateDeps, gateKind, type NumberOwner } from "@/actors/gate/gate.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const OWNER: NumberOwner = {
  tenantId: "tenant_1",
  agentId: "agent_1",
  configVersion: 1,
  whenFull: "busy",
};

function setUp(numberOwner: GateDeps["numberOwner"]) {
  const { system, settle, clock } = actorKit();
  const ref = system.spawn(gateKind, "gate", () =>
    gate({
      numberOwner,
      webhookOwner: () => Promise.reject(new AppError("forbidden", "Wrong signature")),
      authenticator: {
        known: () => null,
        principal: () => Promise.reject(new AppError("unauthenticated", "Nobody")),
        person: () => Promise.reject(new AppError("unauthenticated", "Nobody")),
        forget() {},
        forgetPerson() {},
      },
      writeKeyUse: () => Promise.resolve(),
      entries: {},
      lobby() {
        throw new Error("No entry is asked for here");
      },
      log: silentLog,
    }));
  return {
    settle,
    clock,
    view: () => system.inspect("gate", "gate")?.view,
    ask: (number: string) =>
      ref.ask<NumberOwner | null>((reply) => ({ type: "numberOwner", number, reply })),
  };
}

Deno.test("a gate tells the tenant and agent of a number, and null for nobody's", async () => {
  const { ask, settle } = setUp((number) => Promise.resolve(number === "+1" ? OWNER : null));
  const answers = Promise.all([ask("+1"), ask("+2")]);
  await settle();
  assert.deepEqual(await answers, [OWNER, null]);
});

Deno.test("a look-up that fails is answered with its error", async () => {
  const away = new AppError("database_unavailable", "No answer in time", { retryable: true });
  const { ask, settle, view } = setUp(() => Promise.reject(away));
  const answer = assert.rejects(ask("+1"), away);
  await settle();
  await answer;
  assert.deepEqual(view(), { lookups: 0, asked: 1, uses: 0 });
});

Deno.test("a look-up that is slow keeps no other waiting", async () => {
  const { promise, resolve } = Promise.withResolvers<NumberOwner | null>();
  const { ask, settle } = setUp((number) => number === "+1" ? promise : Promise.resolve(OWNER));
  const slow = ask("+1");
  const fast = ask("+2");
  await settle();
  assert.deepEqual(await fast, OWNER);
  resolve(null);
  await settle();
  assert.equal(await slow, null);
});

Deno.test("of more than 256 look-ups on their way the rest is busy, until they come back", async () => {
  const { promise, resolve } = Promise.withResolvers<NumberOwner | null>();
  const { ask, settle, view } = setUp(() => promise);
  const asked = Array.from({ length: 257 }, () => ask("+1"));
  const outcomes = Promise.allSettled(asked);
  await settle();
  await assert.rejects(asked[256] ?? Promise.resolve(), { code: "busy", retryable: true });
  resolve(OWNER);
  await settle();
  assert.equal((await outcomes).filter((it) => it.status === "fulfilled").length, 256);
  const later = ask("+1");
  await settle();
  assert.deepEqual(await later, OWNER);
  assert.deepEqual(view(), { lookups: 0, asked: 257, uses: 0 });
});

Deno.test("a gate with a bug in a look-up comes back", async () => {
  let asked = 0;
  const { ask, settle, clock } = setUp(() =>
    asked++ === 0 ? Promise.reject(new TypeError("planted")) : Promise.resolve(OWNER)
  );
  const first = ask("+1");
  first.catch(() => {});
  await clock.advance(1_000);
  const second = ask("+1");
  await settle();
  assert.deepEqual(await second, OWNER);
  await clock.advance(10_000);
  await assert.rejects(first);
});
