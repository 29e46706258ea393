/** The roster: the machines there are and who owns what, as operators see it from any of them. */

import type { Reply } from "@/actors/runtime/actor.ts";
import type { ActorKey, Boot, DrainOrder, Node } from "@/db/cluster.ts";
import { AppError } from "@/lib/errors.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";
import {
  type Health,
  INSPECTOR_ID,
  inspectorKind,
  type InspectorMessage,
  type Listing,
} from "./inspector.ts";
import type { WireView } from "@/actors/cluster/links/wire.ts";
import type { Neighbours } from "./neighbours.ts";
import { placeActor } from "./rendezvous.ts";

/** Operators wait for a machine that does not answer for so long. */
const LOOK_MS = 1_000;

export interface NodeView extends Node {
  readonly isSelf: boolean;
  /**
   * The age of the oldest message that waits on it, in a mailbox or for another machine: high means that it makes no
   * progress, whatever else looks well. Null: it did not answer.
   */
  readonly oldestUndeliveredMs: number | null;
  /** The link from here; null: it is this machine, or there is none. */
  readonly link: { readonly isOpen: boolean } & WireView | null;
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

/** An actor as its own machine shows it. */
export interface FarReport extends OwnerView {
  /** Null: that machine did not answer. */
  readonly report: unknown;
  /** Which machine has shown it; null: none did. */
  readonly shownBy: Boot | null;
}

export interface Roster {
  /** An actor that is not on this machine, as its own one shows it; null: no machine knows of it. */
  inspect(actor: ActorKey): Promise<FarReport | null>;
  /** Stops it on whichever other machine has it; false: none that answered does. */
  stop(actor: ActorKey, why: string): Promise<boolean>;
  /** The actors of another machine; null: there is none of this name, or it did not answer. */
  list(nodeId: string, kind: string | null): Promise<Listing | null>;
  view(): Promise<ClusterView>;
  ownerOf(actor: ActorKey): Promise<OwnerView>;
  /** Has a machine drain, which sees so at its next look; false: there is none of this name. */
  drain(nodeId: string, order: DrainOrder): Promise<boolean>;
}

export function newRoster(
  { directory, holdings, region, neighbours }: {
    readonly directory: Directory;
    readonly holdings: Holdings;
    readonly region: string;
    readonly neighbours: Pick<Neighbours, "router" | "peers" | "health">;
  },
): Roster {
  const { router, peers } = neighbours;
  const isSelf = ({ incarnation }: Boot): boolean => incarnation === holdings.boot?.incarnation;

  /** Null: it did not answer. */
  async function ask<T>(
    boot: Boot,
    question: (reply: Reply<T>) => InspectorMessage,
  ): Promise<T | null> {
    const there = router.at(boot, inspectorKind, INSPECTOR_ID);
    return await there.ask(question, { timeoutMs: LOOK_MS }).catch((error) => {
      if (error instanceof AppError) return null;
      throw error;
    });
  }

  async function healthOf(boot: Boot): Promise<Health | null> {
    if (isSelf(boot)) return neighbours.health();
    return await ask<Health>(boot, (reply) => ({ type: "health", reply }));
  }

  function linkTo(boot: Boot): NodeView["link"] {
    const wire = peers.wire(boot);
    return wire === null ? null : { isOpen: wire.isOpen, ...wire.view };
  }
  async function ownerOf({ kind, id }: ActorKey): Promise<OwnerView> {
    const [owned, nodes] = await Promise.all([directory.owner({ kind, id }), directory.nodes()]);
    const boot = owned?.owner ?? null;
    const at = nodes.find(({ incarnation }) => incarnation === boot?.incarnation);
    const owner = boot && { ...boot, isSelf: isSelf(boot), isDead: at === undefined };
    const next = at ?? placeActor(`${kind}/${id}`, nodes, region);
    return { kind, id, epoch: owned?.epoch ?? null, owner, address: next?.address ?? null };
  }

  /** The other machines that an actor may be at: what has no row, as a desk or the leg of a call, may be anywhere. */
  function mayHave({ owner }: OwnerView): readonly Boot[] {
    if (owner === null) return peers.nodes.filter((node) => !isSelf(node));
    return owner.isSelf ? [] : [owner];
  }

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
      const healths = await Promise.all(nodes.map(healthOf));
      const living = new Set(nodes.map(({ incarnation }) => incarnation));
      return {
        self: holdings.boot,
        nodes: nodes.map((node, nth) => ({
          ...node,
          isSelf: isSelf(node),
          oldestUndeliveredMs: healths[nth]?.oldestUndeliveredMs ?? null,
          link: linkTo(node),
          actors: actorsOf(({ incarnation }) => incarnation === node.incarnation),
        })),
        orphans: actorsOf(({ incarnation }) => !living.has(incarnation)),
      };
    },
    async stop({ kind, id }, why) {
      for (const boot of mayHave(await ownerOf({ kind, id }))) {
        const stop = (reply: Reply<boolean>): InspectorMessage => {
          return { type: "stop", kind, id, why, reply };
        };
        if (await ask<boolean>(boot, stop) === true) return true;
      }
      return false;
    },
    async inspect({ kind, id }) {
      const owned = await ownerOf({ kind, id });
      const reports = await Promise.all(
        mayHave(owned).map(async ({ nodeId, incarnation }) => {
          const shownBy = { nodeId, incarnation };
          const report = await ask<unknown>(
            shownBy,
            (reply) => ({ type: "inspect", kind, id, reply }) as InspectorMessage,
          );
          return { report, shownBy };
        }),
      );
      const found = reports.find(({ report }) => report !== null);
      if (found === undefined && owned.epoch === null) return null;
      return { ...owned, ...found ?? { report: null, shownBy: null } };
    },
    async list(nodeId, kind) {
      const node = peers.nodes.find((it) => it.nodeId === nodeId);
      return node === undefined
        ? null
        : await ask<Listing>(node, (reply) => ({ type: "list", kind, reply }));
    },
    ownerOf,
  };
}
