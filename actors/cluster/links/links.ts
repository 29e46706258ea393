/** The links of this machine: one to every other that lives, made and ended as the rows of machines come and go. */

import type { Actor, Context, Kind, Reply } from "@/actors/runtime/actor.ts";
import type { Boot, Node } from "@/db/cluster.ts";
import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Secret } from "@/lib/secret.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { Owners } from "@/actors/cluster/owners.ts";
import type { Peers } from "@/actors/cluster/peers.ts";
import { link, type LinkDeps, linkKind } from "./link.ts";
import type { Hello } from "./proof.ts";
import { Wire, type WireOptions } from "./wire.ts";

/** How often what waits without a link is looked through. */
const SWEEP_MS = 1_000;

export type LinksMessage =
  /** From the node, and from whoever has looked again: the machines there are. */
  | { type: "seen"; self: Boot; nodes: readonly Node[]; reply?: Reply<null> }
  /** From the route: who wants to open a socket. Fails with misdirected, not_found, forbidden or busy. */
  | { type: "knock"; hello: Hello; reply: Reply<null> }
  | { type: "connected"; hello: Hello; socket: MessageSocket }
  | { type: "sweepDue" };

export const linksKind: Kind<LinksMessage> = {
  name: "links",
  controlMax: 1_024,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface LinksDeps
  extends Pick<LinkDeps, "connect" | "newNonce" | "random" | "newService"> {
  readonly peers: Peers;
  readonly owners: Pick<Owners, "gone">;
  readonly key: Secret;
  peerKey(peer: Boot): Promise<Secret | null>;
  readonly undelivered: WireOptions["undelivered"];
  readonly clock: Clock;
  readonly log: Log;
}

interface State {
  readonly self: Boot | null;
}

export function links(deps: LinksDeps): Actor<State, LinksMessage> {
  const { peers, owners, key, log } = deps;
  type Ctx = Context<LinksMessage>;
  /** By the other's incarnation, of this boot. Changed in place, by this life alone. */
  const refs = new Map<number, ReturnType<typeof start>>();

  function start(self: Boot, wire: Wire, address: string, ctx: Ctx) {
    const { peer } = wire;
    return ctx.spawn(
      linkKind,
      `${self.incarnation}-${peer.incarnation}`,
      () =>
        link({ self, peer, address, key }, {
          ...deps,
          wire,
          peerKey: () => deps.peerKey(peer),
          lost: owners.gone,
        }),
    );
  }

  function stop(incarnation: number, ctx: Ctx): void {
    const ref = refs.get(incarnation);
    refs.delete(incarnation);
    if (ref !== undefined) ctx.stopChild(ref, "the machine is gone");
  }

  return {
    init(ctx) {
      ctx.timer("sweep", SWEEP_MS, { type: "sweepDue" });
      return { self: null };
    },
    view: ({ self }) => ({ self, links: refs.size }),
    stopped() {
      for (const wire of peers.wires()) wire.closed();
    },
    on: {
      seen(state, { self, nodes, reply }, ctx) {
        if (state.self?.incarnation !== self.incarnation) { // another boot proves itself anew
          for (const incarnation of [...refs.keys()]) stop(incarnation, ctx);
        }
        const { clock, undelivered } = deps;
        const gone = peers.seen(nodes, self, (peer) => new Wire({ peer, clock, undelivered }));
        for (const wire of gone) {
          log.info("machine is gone", { ...wire.peer });
          stop(wire.peer.incarnation, ctx);
          owners.gone(wire.peer);
          wire.ended();
        }
        for (const wire of peers.wires()) {
          const { incarnation } = wire.peer;
          const address = peers.node(wire.peer)?.address;
          if (refs.has(incarnation) || address === undefined) continue;
          refs.set(incarnation, start(self, wire, address, ctx));
        }
        reply?.(null);
        return { self };
      },
      knock({ self }, { hello, reply }) {
        const { from, to } = hello;
        if (to.incarnation !== self?.incarnation || to.nodeId !== self.nodeId) {
          return reply.fail(new AppError("misdirected", "Another boot is here"));
        }
        const ref = refs.get(from.incarnation);
        if (ref === undefined || peers.node(from)?.nodeId !== from.nodeId) {
          return reply.fail(new AppError("not_found", "No such machine"));
        }
        ref.send({ type: "knock", hello, reply });
      },
      connected(_state, { hello, socket }) {
        const ref = refs.get(hello.from.incarnation);
        if (ref === undefined) socket.close(4006, "machine is gone");
        else ref.send({ type: "connected", hello, socket });
      },
      sweepDue(_state, _message, ctx) {
        for (const wire of peers.wires()) wire.sweep();
        ctx.timer("sweep", SWEEP_MS, { type: "sweepDue" });
      },
    },
  };
}
