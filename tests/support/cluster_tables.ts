/** The tables of the ownership protocol in memory, statement by statement as `db/cluster.ts` has them. */

import type { ActorKey, Boot, Fence, NodeState, Owned } from "@/db/cluster.ts";

export interface SimulatedNode extends Boot {
  state: NodeState;
  beat: number;
}

/** Which rules of the protocol the statements keep; without one of them something must break. */
export interface Rules {
  /** A burial compares the beat that was watched. */
  readonly comparesBeat: boolean;
  /** A claim wants a row that says dead; without it, that no living row is seen suffices. */
  readonly wantsEvidence: boolean;
  /** A durable write is made under the owner's row. */
  readonly fences: boolean;
  /** A call is taken only from whom it was seen with. */
  readonly comparesSeen: boolean;
}

export const ALL_RULES: Rules = {
  comparesBeat: true,
  wantsEvidence: true,
  fences: true,
  comparesSeen: true,
};

/** What a statement saw of the nodes when it began. */
export type Snapshot = ReadonlyMap<number, NodeState>;

export interface ClusterTables {
  readonly nodes: ReadonlyMap<number, Readonly<SimulatedNode>>;
  join(nodeId: string): number;
  beat(boot: Boot): NodeState;
  list(): readonly Readonly<SimulatedNode>[];
  bury(boot: Boot, seenBeat: number): boolean;
  drain(boot: Boot): void;
  leave(boot: Boot): void;
  snapshot(): Snapshot;
  /** `seen`: when the statement began, which may be before another one changed what it reads. */
  claim(actor: ActorKey, boot: Boot, seen: Snapshot): Owned | null;
  /** Whoever has it, if it is as `seen` says. */
  take(seen: Owned, boot: Boot): Owned | null;
  holds(fence: Fence): boolean;
  release(fence: Fence): void;
  /** All that a boot owns of some kinds; returns how many that were. */
  releaseAll(incarnation: number, isMeant: (kind: string) => boolean): number;
  owner(actor: ActorKey): Owned | null;
}

export function clusterTables(rules: Rules = ALL_RULES): ClusterTables {
  const nodes = new Map<number, SimulatedNode>();
  const owners = new Map<string, Owned>();
  const keyOf = ({ kind, id }: ActorKey): string => `${kind}/${id}`;
  const isSame = (owner: Boot | null | undefined, boot: Boot): boolean =>
    owner?.incarnation === boot.incarnation && owner.nodeId === boot.nodeId;

  function living(boot: Boot): SimulatedNode | null {
    const node = nodes.get(boot.incarnation);
    return node === undefined || node.state === "dead" ? null : node;
  }

  function holds(fence: Fence): boolean {
    const row = owners.get(keyOf(fence));
    return !rules.fences || (row?.epoch === fence.epoch && isSame(row.owner, fence));
  }

  return {
    nodes,
    join(nodeId) {
      const incarnation = nodes.size + 1;
      nodes.set(incarnation, { nodeId, incarnation, state: "active", beat: 0 });
      return incarnation;
    },
    beat(boot) {
      const node = living(boot);
      if (node === null) return "dead";
      node.beat++;
      return node.state;
    },
    list: () =>
      [...nodes.values()].filter(({ state }) => state !== "dead").map((it) => ({ ...it })),
    bury(boot, seenBeat) {
      const node = living(boot);
      if (node === null || (rules.comparesBeat && node.beat !== seenBeat)) return false;
      node.state = "dead";
      return true;
    },
    drain(boot) {
      const node = living(boot);
      if (node?.state === "active") node.state = "draining";
    },
    leave(boot) {
      const node = living(boot);
      for (const [key, row] of owners) {
        if (isSame(row.owner, boot)) owners.set(key, { ...row, owner: null });
      }
      if (node !== null) node.state = "dead";
    },
    snapshot: () => new Map([...nodes].map(([incarnation, { state }]) => [incarnation, state])),
    claim({ kind, id }, { nodeId, incarnation }, seen) {
      const key = keyOf({ kind, id });
      const row = owners.get(key);
      if (seen.get(incarnation) !== "active") return row ?? null;
      const state = row?.owner && seen.get(row.owner.incarnation);
      const isGone = rules.wantsEvidence
        ? state === "dead"
        : state !== "active" && state !== "draining";
      if (row !== undefined && row.owner !== null && !isGone) return row;
      const won = { kind, id, epoch: (row?.epoch ?? 0) + 1, owner: { nodeId, incarnation } };
      owners.set(key, won);
      return won;
    },
    take(seen, { nodeId, incarnation }) {
      const row = owners.get(keyOf(seen));
      if (row === undefined || nodes.get(incarnation)?.state !== "active") return null;
      const isSeen = row.epoch === seen.epoch && row.owner?.incarnation === seen.owner?.incarnation;
      if (rules.comparesSeen && !isSeen) return null;
      const won = { ...row, epoch: row.epoch + 1, owner: { nodeId, incarnation } };
      owners.set(keyOf(seen), won);
      return won;
    },
    holds,
    release(fence) {
      const row = owners.get(keyOf(fence));
      if (row?.epoch !== fence.epoch || !isSame(row.owner, fence)) return;
      owners.set(keyOf(fence), { ...row, owner: null });
    },
    releaseAll(incarnation, isMeant) {
      let released = 0;
      for (const [key, row] of owners) {
        if (row.owner?.incarnation !== incarnation || !isMeant(row.kind)) continue;
        owners.set(key, { ...row, owner: null });
        released++;
      }
      return released;
    },
    owner: (actor) => owners.get(keyOf(actor)) ?? null,
  };
}
