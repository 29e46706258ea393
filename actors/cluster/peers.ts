/** The machines there are, as of the last look at their rows, and the way to each of the others. */

import type { Boot, Node } from "@/db/cluster.ts";
import type { Wire } from "@/actors/cluster/links/wire.ts";

export interface Peers {
  /** This machine too; empty before the first look. Never the dead ones. */
  readonly nodes: readonly Node[];
  node(boot: Boot): Node | null;
  /** Null: it is not there, or is this machine. */
  wire(boot: Boot): Wire | null;
  /** From the node, at every look. `wireTo` makes the way to one that is new. Returns those that are gone. */
  seen(nodes: readonly Node[], self: Boot | null, wireTo: (peer: Boot) => Wire): readonly Wire[];
  /** All there are. */
  wires(): Iterable<Wire>;
}

export function newPeers(): Peers {
  let nodes: readonly Node[] = [];
  /** By incarnation: no two boots have the same. */
  const byBoot = new Map<number, Node>();
  const wires = new Map<number, Wire>();
  return {
    get nodes() {
      return nodes;
    },
    node: ({ incarnation }) => byBoot.get(incarnation) ?? null,
    wire: ({ incarnation }) => wires.get(incarnation) ?? null,
    seen(found, self, wireTo) {
      nodes = found;
      byBoot.clear();
      for (const node of found) byBoot.set(node.incarnation, node);
      const gone: Wire[] = [];
      for (const [incarnation, wire] of wires) {
        if (byBoot.has(incarnation) && incarnation !== self?.incarnation) continue;
        wires.delete(incarnation);
        gone.push(wire);
      }
      for (const { nodeId, incarnation } of found) {
        if (incarnation === self?.incarnation || wires.has(incarnation)) continue;
        if (self !== null) wires.set(incarnation, wireTo({ nodeId, incarnation }));
      }
      return gone;
    },
    wires: () => wires.values(),
  };
}
