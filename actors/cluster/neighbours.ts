/** This machine among others: the links to them, and the router that uses them. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import type { ActorKey, Node, Owned } from "@/db/cluster.ts";
import type { Clock } from "@/lib/clock.ts";
import { newToken } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";
import {
  type Health,
  inspector,
  INSPECTOR_ID,
  inspectorCrossing,
  inspectorKind,
} from "./inspector.ts";
import { connectLink } from "@/actors/cluster/links/connect.ts";
import type { Reachable } from "@/actors/cluster/links/crossing.ts";
import { linksText } from "@/actors/cluster/links/metrics_text.ts";
import { links, linksKind, type LinksMessage } from "@/actors/cluster/links/links.ts";
import { newService } from "@/actors/cluster/links/serve.ts";
import { type Movables, newMovables } from "./claimed.ts";
import { newOwners } from "./owners.ts";
import { newPeers, type Peers } from "./peers.ts";
import { newRouter, type Router } from "./router.ts";

export interface Neighbours {
  readonly router: Router;
  readonly peers: Peers;
  readonly movables: Movables;
  /** Where the sockets of other machines are taken; null: there are none. */
  readonly links: Ref<LinksMessage> | null;
  /** What this machine proves itself to others with. */
  readonly linkKey: Secret;
  /** From the node, at every look. */
  seen(nodes: readonly Node[]): void;
  /** How this machine is. */
  health(): Health;
  /** Prometheus text. */
  metricsText(): string;
}

export interface NeighboursOptions {
  readonly system: System;
  readonly directory: Directory;
  readonly holdings: Holdings;
  /** The kinds that messages reach over links. */
  readonly table: ReadonlyMap<string, Reachable>;
  readonly region: string;
  /** False: nobody else can be there, and nothing is asked or opened. */
  readonly isOneOfMany: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly connect?: typeof connectLink;
}

export function openNeighbours(options: NeighboursOptions): Neighbours {
  const { system, directory, holdings, region, isOneOfMany, clock, log } = options;
  const { connect = connectLink } = options;
  const table = new Map([...options.table, [inspectorKind.name, inspectorCrossing(system)]]);
  const linkKey = new Secret(newToken());
  const peers = newPeers();

  async function claim(actor: ActorKey): Promise<Owned | null> {
    const { boot } = holdings;
    if (boot === null || system.phase !== "running") return await directory.owner(actor);
    const owned = await directory.claim(actor, boot);
    if (owned !== null) holdings.take(owned);
    return owned;
  }

  function seen(nodes: readonly Node[]): void {
    const { boot } = holdings;
    if (boot !== null) ref?.send({ type: "seen", self: boot, nodes });
  }

  async function look(): Promise<void> {
    const nodes = await directory.nodes();
    const { boot } = holdings;
    if (ref === null || boot === null) return;
    await ref.ask<null>((reply) => ({ type: "seen", self: boot, nodes, reply }));
  }

  const owners = newOwners({
    ...{ table, directory, holdings, peers, region, isOneOfMany, claim, look },
  });
  const router = newRouter({ table, owners, peers, system, clock });
  const ref = !isOneOfMany ? null : system.spawn(linksKind, "links", () =>
    links({
      peers,
      owners,
      key: linkKey,
      peerKey: directory.linkKey,
      connect,
      newNonce: newToken,
      random: Math.random,
      newService: (wire) => newService({ table, owners, returns: router, log }, wire),
      undelivered: ({ address: { kind, id }, type }) =>
        system.deadLetter({ kind, id, type, reason: "lost" }),
      clock,
      log,
    }));
  const movables = newMovables({
    ...{ system, directory, holdings, isOneOfMany, clock, log },
    othersClaim: () => peers.nodes.some((node) => node.state === "active" && !owners.isSelf(node)),
  });

  function health(): Health {
    const ages = system.list().map(({ oldestMessageMs }) => oldestMessageMs ?? 0);
    const now = clock.now();
    for (const { oldestAt } of peers.wires()) if (oldestAt !== null) ages.push(now - oldestAt);
    return { oldestUndeliveredMs: Math.round(ages.reduce((a, b) => Math.max(a, b), 0)) };
  }

  if (isOneOfMany) {
    system.spawn(inspectorKind, INSPECTOR_ID, () => inspector({ system, health }));
  }
  return {
    ...{ router, peers, movables, links: ref, linkKey, seen, health },
    metricsText: () => linksText(peers.wires(), health()),
  };
}
