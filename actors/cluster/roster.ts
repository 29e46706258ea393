/** The roster: the machines there are and who owns what, as operators see it from any of them. */

import type { ActorKey, Boot, DrainOrder, Node } from "@/db/cluster.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";
import { placeActor } from "./rendezvous.ts";

export interface NodeView extends Node {
  readonly isSelf: boolean;
  /** How many actors of each kind it owns. */
  readonly actors: Readonly<Record<string, number>>;
}

export interface ClusterView {
  readonly self: Boot | null;
  readonly nodes: readonly NodeView[];
  /** Actors of machines that are dead: nobody has taken them yet. */
  readonly orphans: Readonly<Record<string, number>>;
}

export interface OwnerView {
  readonly kind: string;
  readonly id: string;
  /** One more at every change of owner; null: nobody has ever owned it, or it has ended. */
  readonly epoch: number | null;
  readonly owner: (Boot & { readonly isSelf: boolean; readonly isDead: boolean }) | null;
  /** The machine's address; of a dead owner, or none, that of the one that a new one would go to. */
  readonly address: string | null;
}

export interface Roster {
  view(): Promise<ClusterView>;
  ownerOf(actor: ActorKey): Promise<OwnerView>;
  /** Has a machine drain, which sees so at its next look; false: there is none of this name. */
  drain(nodeId: string, order: DrainOrder): Promise<boolean>;
}

export function newRoster(
  { directory, holdings, region }: {
    readonly directory: Directory;
    readonly holdings: Holdings;
    readonly region: string;
  },
): Roster {
  const isSelf = ({ incarnation }: Boot): boolean => incarnation === holdings.boot?.incarnation;
  return {
    drain: directory.orderDrain,
    async view() {
      const [nodes, counts] = await Promise.all([directory.nodes(), directory.counts()]);
      const actorsOf = (isTheirs: (boot: Boot) => boolean): Record<string, number> => {
        const actors: Record<string, number> = {};
        for (const { kind, actors: count, ...boot } of counts) {
          if (isTheirs(boot)) actors[kind] = (actors[kind] ?? 0) + count;
        }
        return actors;
      };
      const living = new Set(nodes.map(({ incarnation }) => incarnation));
      return {
        self: holdings.boot,
        nodes: nodes.map((node) => ({
          ...node,
          isSelf: isSelf(node),
          actors: actorsOf(({ incarnation }) => incarnation === node.incarnation),
        })),
        orphans: actorsOf(({ incarnation }) => !living.has(incarnation)),
      };
    },
    async ownerOf({ kind, id }) {
      const [owned, nodes] = await Promise.all([directory.owner({ kind, id }), directory.nodes()]);
      const boot = owned?.owner ?? null;
      const at = nodes.find(({ incarnation }) => incarnation === boot?.incarnation);
      const owner = boot && { ...boot, isSelf: isSelf(boot), isDead: at === undefined };
      const next = at ?? placeActor(`${kind}/${id}`, nodes, region);
      return { kind, id, epoch: owned?.epoch ?? null, owner, address: next?.address ?? null };
    },
  };
}
