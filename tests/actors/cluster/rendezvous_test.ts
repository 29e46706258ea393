/** Where new actors are placed: evenly, by weight and region, and moved no more than must be. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { hash, type Place, placeActor, rank } from "@/actors/cluster/rendezvous.ts";

function place(nth: number, more: Partial<Place> = {}): Place {
  const nodeId = `148e${(0x1000 + nth * 977).toString(16)}c${nth}`; // as Fly names machines
  const address = `10.0.0.${nth}:8000`;
  return { nodeId, address, region: "iad", weight: 300, load: 0, state: "active", ...more };
}

const places = (count: number): Place[] => Array.from({ length: count }, (_, nth) => place(nth));
const KEYS = Array.from({ length: 10_000 }, (_, nth) => `call/${(nth * 7919).toString(36)}`);
const first = (key: string, nodes: readonly Place[]) => rank(key, nodes)[0];

Deno.test("the hash is what it was: another would move every idle actor", () => {
  const golden = [["", 2_872_998_923], ["a", 444_641_715], ["call/call_1", 1_801_670_031], [
    "ünïcode",
    3_362_576_538,
  ]] as const;
  assert.deepEqual(golden.map(([text]) => [text, hash(text)]), golden);
  const order = rank("tenant/tenant_1", places(5)).map(({ address }) => address);
  assert.deepEqual(order, [
    "10.0.0.2:8000",
    "10.0.0.0:8000",
    "10.0.0.1:8000",
    "10.0.0.4:8000",
    "10.0.0.3:8000",
  ]);
});

Deno.test("when a machine comes or goes, only its own share moves, whatever the weights", () => {
  const machines = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 2, maxLength: 12 });
  fc.assert(fc.property(machines, fc.nat(), (weights, pick) => {
    const all = weights.map((weight, nth) => place(nth, { weight }));
    const gone = all[pick % all.length];
    const rest = all.filter((node) => node !== gone);
    for (const key of KEYS.slice(0, 200)) {
      const [before, after] = [first(key, all), first(key, rest)];
      if (before !== gone) assert.equal(after, before);
      else assert.equal(after, rank(key, all)[1]); // the second choice was known before
    }
  }));
});

Deno.test("machines get a share by their weight", () => {
  const nodes = [100, 200, 300].map((weight, nth) => place(nth, { weight }));
  const counts = new Map<Place | undefined, number>();
  for (const key of KEYS) {
    const at = first(key, nodes);
    counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  for (const node of nodes) {
    const share = (counts.get(node) ?? 0) / KEYS.length;
    assert.ok(Math.abs(share - node.weight / 600) < 0.02, `${node.weight}: ${share}`);
  }
});

Deno.test("no machine is loaded past 1.1 times its share, in whatever order actors come", () => {
  const machines = fc.array(fc.integer({ min: 50, max: 400 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(machines, fc.integer(), (weights, salt) => {
      const nodes = weights.map((weight, nth) => place(nth, { weight }));
      const weight = weights.reduce((sum, one) => sum + one, 0);
      for (let nth = 0; nth < Math.floor(weight * 0.9); nth++) {
        const at = placeActor(`${salt}/${nth}`, nodes, "iad");
        assert.ok(at !== null);
        nodes[nodes.findIndex(({ nodeId }) => nodeId === at.nodeId)] = {
          ...at,
          load: at.load + 1,
        };
        assert.ok(at.load + 1 <= Math.ceil(1.1 * (nth + 1) * at.weight / weight));
        assert.ok(at.load + 1 <= at.weight);
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("a call stays in its region while that has room, and goes to no machine that drains", () => {
  const near = place(1, { region: "fra", weight: 2, load: 1 });
  const far = place(2);
  const full = { ...near, load: 2 };
  const key = "call/1";
  assert.equal(placeActor(key, [near, far], "fra"), near);
  assert.equal(placeActor(key, [full, far], "fra"), far);
  assert.equal(placeActor(key, [{ ...near, state: "draining" }, far], "fra"), far);
  assert.equal(placeActor(key, [full, { ...far, state: "dead" }], "fra"), full, "it says busy");
  assert.equal(placeActor(key, [{ ...far, state: "draining" }], "fra"), null);
});

Deno.test("machines without names of their own are told apart by their addresses", () => {
  const nodes = places(3).map((node) => ({ ...node, nodeId: "local" }));
  const used = new Set(KEYS.slice(0, 100).map((key) => first(key, nodes)));
  assert.equal(used.size, 3);
});
