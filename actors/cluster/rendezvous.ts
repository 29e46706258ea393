/** On which machine a new actor is to live: weighted rendezvous hashing with bounded loads. Pure; it only proposes. */

import type { Node } from "@/db/cluster.ts";

/** A machine's share of all actors, over its weight, stays under this. */
const BOUND = 1.1;

export type Place = Pick<
  Node,
  "nodeId" | "address" | "region" | "weight" | "load" | "state"
>;

/**
 * The best machine for `key` that is active, in the region and under its bound; of other regions only when
 * this one has none with room. Null: no machine is active. Two that see different loads may differ: the
 * owner's row decides.
 */
export function placeActor<P extends Place>(
  key: string,
  nodes: readonly P[],
  region: string,
): P | null {
  const active = nodes.filter(({ state }) => state === "active");
  const near = active.filter((node) => node.region === region);
  const far = active.filter((node) => node.region !== region);
  const ranked = [near, far].map((group) => rank(key, group));
  for (const group of ranked) {
    const found = group.find(withRoom(group));
    if (found !== undefined) return found;
  }
  return ranked.flat()[0] ?? null; // all are full: whoever it is says so
}

/** The machines in the order in which `key` prefers them. */
export function rank<P extends Pick<Place, "nodeId" | "address" | "weight">>(
  key: string,
  nodes: readonly P[],
): P[] {
  return nodes
    .map((node) => ({ node, score: score(key, node) }))
    .sort((a, b) => b.score - a.score || (name(a.node) < name(b.node) ? -1 : 1))
    .map(({ node }) => node);
}

/** Not past 1.1 times its share of what there is with this one, nor past what it can hold. */
function withRoom(nodes: readonly Place[]): (node: Place) => boolean {
  const load = nodes.reduce((sum, node) => sum + node.load, 0);
  const weight = nodes.reduce((sum, node) => sum + node.weight, 0);
  return (node) => {
    const bound = Math.ceil(BOUND * (load + 1) * node.weight / weight);
    return node.load < Math.min(bound, node.weight);
  };
}

/** Highest wins: of machines a and b it is a's with probability w(a) / (w(a) + w(b)), and others change nothing. */
function score(key: string, node: Pick<Place, "nodeId" | "address" | "weight">): number {
  const uniform = (hash(`${name(node)} ${key}`) + 0.5) / 2 ** 32;
  return -node.weight / Math.log(uniform);
}

/** Machines that were given no name of their own differ by their address. */
function name({ nodeId, address }: Pick<Place, "nodeId" | "address">): string {
  return `${nodeId}@${address}`;
}

/**
 * FNV-1a over UTF-16 units, then MurmurHash3's finaliser, since ids are often alike. To change it would move
 * every idle actor: a golden test pins it.
 */
export function hash(text: string): number {
  let bits = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) bits = Math.imul(bits ^ text.charCodeAt(at), 0x01000193);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
