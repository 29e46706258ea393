/** Where the machines are, as this one saw them last. Who is known is found without a query. */

import type { Boot, Node } from "@/db/cluster.ts";

export interface Places {
  /** What the last look found: those that are not dead. True: one that was there is gone. */
  seen(nodes: readonly Node[]): boolean;
  readonly nodes: readonly Node[];
  /** Those that take new work, but for this machine. */
  others(self: Boot | null): readonly Node[];
  /** `HOST:PORT` of the machine of this name; null: there is none. One that is not known may have joined just now. */
  addressOf(nodeId: string): Promise<string | null>;
}

/** `look` may fail: then nobody new is found. One look is under way at most, whoever asks. */
export function newPlaces(look: () => Promise<readonly Node[]>): Places {
  let nodes: readonly Node[] = [];
  let looking: Promise<void> | null = null;

  function known(nodeId: string): string | null {
    const boots = nodes.filter((node) => node.nodeId === nodeId);
    // Started anew before its last boot was buried: the newest one answers.
    return boots.toSorted((a, b) => b.incarnation - a.incarnation)[0]?.address ?? null;
  }

  async function lookAgain(): Promise<void> {
    try {
      nodes = await look();
    } catch { // the database is away: the node's actor says so
      return;
    } finally {
      looking = null;
    }
  }

  return {
    seen(found) {
      const isGone = nodes.some((it) => found.every((node) => node.incarnation !== it.incarnation));
      nodes = found;
      return isGone;
    },
    get nodes() {
      return nodes;
    },
    others: (self) =>
      nodes.filter(({ state, incarnation }) =>
        state === "active" && incarnation !== self?.incarnation
      ),
    async addressOf(nodeId) {
      const address = known(nodeId);
      if (address !== null) return address;
      await (looking ??= lookAgain());
      return known(nodeId);
    },
  };
}
