/** Who owns what, as far as this machine knows: from what it was told, then from the directory. */

import type { ActorKey, Boot, Owned } from "@/db/cluster.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";
import type { Reachable } from "@/actors/cluster/links/crossing.ts";
import type { Address, Place } from "@/actors/cluster/links/frames.ts";
import type { Peers } from "./peers.ts";
import { placeActor } from "./rendezvous.ts";

/** Owners that are remembered; the one that was learned first is forgotten first. */
const KNOWN_MAX = 10_000;

export interface Owners {
  isSelf(boot: Boot): boolean;
  /** Null: ask `find`. */
  known(actor: ActorKey): Place | null;
  /**
   * The owner; of a movable kind that nobody owns whoever has claimed it, or is to be asked to. `tried`: where it
   * is not. Null: nobody. Throws AppError when the database does not answer.
   */
  find(address: Address, tried: Boot | null): Promise<Place | null>;
  /** Of a movable one that this machine is asked for: claims it, and says who has it then. */
  claim(actor: ActorKey): Promise<Place | null>;
  /** From a machine that was asked: it does not have it, but this one does. */
  told(actor: ActorKey, by: Boot, place: Place | null): void;
  /** Forgets all that this boot had. */
  gone(boot: Boot): void;
}

export interface OwnersDeps {
  readonly table: ReadonlyMap<string, Reachable>;
  readonly directory: Pick<Directory, "owner">;
  readonly holdings: Pick<Holdings, "boot">;
  readonly peers: Peers;
  readonly region: string;
  /** False: nobody else can be there. */
  readonly isOneOfMany: boolean;
  /** Claims a movable actor, and says who has it then; null: it may not now. */
  claim(actor: ActorKey): Promise<Owned | null>;
  /** Looks at the machines anew. */
  look(): Promise<void>;
}

export function newOwners(deps: OwnersDeps): Owners {
  const { table, directory, holdings, peers, region } = deps;
  const places = new Map<string, Place>();

  const isSelf = ({ incarnation }: Boot): boolean => incarnation === holdings.boot?.incarnation;

  function learn(actor: ActorKey, place: Place): void {
    const key = keyOf(actor);
    const last = places.get(key);
    if (last !== undefined && last.epoch > place.epoch) return; // older news
    places.delete(key);
    if (places.size >= KNOWN_MAX) places.delete(places.keys().next().value ?? "");
    places.set(key, place);
  }

  /** Null: it is dead, or nobody's. */
  async function living(owned: Owned | null): Promise<Place | null> {
    const owner = owned?.owner ?? null;
    if (owned === null || owner === null) return null;
    if (!isSelf(owner) && peers.node(owner) === null) await deps.look(); // it may have come just now
    if (!isSelf(owner) && peers.node(owner) === null) return null;
    const place = { owner, epoch: owned.epoch };
    if (!isSelf(owner)) learn(owned, place);
    return place;
  }

  return {
    isSelf,
    known: (actor) => places.get(keyOf(actor)) ?? null,
    async find({ kind, id }, tried) {
      const actor = { kind, id };
      if (!deps.isOneOfMany) return null;
      if (table.get(kind)?.placement !== "movable") {
        return await living(await directory.owner(actor));
      }
      const others = peers.nodes.filter(({ incarnation }) => incarnation !== tried?.incarnation);
      const best = placeActor(`${kind}/${id}`, others, region);
      if (best !== null && !isSelf(best)) { // it claims it, or says who has it
        const { nodeId, incarnation } = best;
        const guess = { owner: { nodeId, incarnation }, epoch: 0 };
        learn(actor, guess);
        return guess;
      }
      return await living(await deps.claim(actor));
    },
    claim: async ({ kind, id }) => await living(await deps.claim({ kind, id })),
    told(actor, by, place) {
      const key = keyOf(actor);
      if (places.get(key)?.owner.incarnation === by.incarnation) places.delete(key);
      if (place !== null && !isSelf(place.owner) && place.epoch > 0) learn(actor, place);
    },
    gone(boot) {
      for (const [key, { owner }] of places) {
        if (owner.incarnation === boot.incarnation) places.delete(key);
      }
    },
  };
}

function keyOf({ kind, id }: ActorKey): string {
  return `${kind}/${id}`;
}
