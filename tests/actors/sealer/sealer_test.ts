/** When the sealer works: a second at most after an entry, and hardly at all when there is none. */

import assert from "node:assert/strict";
import type { Passed } from "@/actors/sealer/pass.ts";
import { sealer, sealerKind } from "@/actors/sealer/sealer.ts";
import { AppError } from "@/lib/errors.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const NOTHING: Passed = { entries: 0, heads: new Map(), hasMore: false, isLeft: false };
const AWAY = new AppError("database_unavailable", "Away", { retryable: true });

async function setUp(answer: (pass: number) => Passed | AppError = () => NOTHING) {
  const kit = actorKit();
  const passes: number[] = [];
  const log = {
    lines: [] as Record<string, unknown>[],
  };
  const pass = (): Promise<Passed> => {
    passes.push(kit.clock.now());
    const passed = answer(passes.length);
    return passed instanceof AppError ? Promise.reject(passed) : Promise.resolve(passed);
  };
  const ref = kit.system.spawn(sealerKind, "sealer", () =>
    sealer({
      pass,
      log: { ...silent, info: (message, fields) => log.lines.push({ message, ...fields }) },
    }));
  await kit.settle();
  return { ...kit, ref, passes, lines: log.lines };
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

Deno.test("the sealer looks at least every second while nothing happens, and hardly oftener", async () => {
  const { clock, passes } = await setUp();
  await clock.advance(60_000);
  const gaps = passes.slice(1).map((at, i) => at - (passes[i] ?? 0));
  assert.ok(Math.max(...gaps) <= 1_000, `${Math.max(...gaps)}`);
  assert.ok(passes.length <= 80, `${passes.length}`);
});

Deno.test("an act that commits is sealed at once, and many together in one pass", async () => {
  const { clock, ref, passes } = await setUp();
  await clock.advance(200);
  for (let i = 0; i < 1_000; i++) ref.send({ type: "wake" });
  await clock.advance(200);
  assert.deepEqual(passes, [200, 400]);
});

Deno.test("a chain that is longer than a pass is sealed without a pause", async () => {
  const { clock, passes } = await setUp((pass) => ({ ...NOTHING, hasMore: pass < 4 }));
  await clock.advance(210);
  assert.deepEqual(passes, [200, 200, 200, 200]);
});

Deno.test("a pass that another machine was at is tried again as soon as an act would be", async () => {
  const { clock, passes } = await setUp((pass) => ({ ...NOTHING, isLeft: pass === 1 }));
  await clock.advance(1_000);
  assert.deepEqual(passes, [200, 400]);
});

Deno.test("while the database is away the sealer waits longer and longer, whoever wakes it", async () => {
  const { clock, ref, passes } = await setUp((pass) => pass < 10 ? AWAY : NOTHING);
  for (let i = 0; i < 300; i++) {
    ref.send({ type: "wake" });
    await clock.advance(100);
  }
  assert.equal(passes.filter((at) => at < 10_000).length, 7);
  await clock.advance(1_000);
  const [last = 0, before = 0] = passes.toReversed();
  assert.ok(last - before <= 1_000, "it is back at its pace");
});

Deno.test("the head of each chain that grew is logged hourly, and when the sealer stops", async () => {
  const heads = new Map([["tenant_1", { seq: 3, hash: "ab" }]]);
  const { clock, system, lines } = await setUp((pass) =>
    pass < 3 ? { ...NOTHING, heads } : NOTHING
  );
  const line = { message: "audit head", tenantId: "tenant_1", seq: 3, hash: "ab" };
  await clock.advance(3_600_000);
  assert.deepEqual(lines, [line]);
  await clock.advance(3_600_000);
  assert.deepEqual(lines, [line], "it has not grown since");
  await system.shutdown();
});
