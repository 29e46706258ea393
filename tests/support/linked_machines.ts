/** Machines in one process, each with its own actors, over tables that all share and sockets that a test can break. */

import { z } from "zod";
import { type Holdings, newHoldings } from "@/actors/cluster/holdings.ts";
import type { Directory } from "@/actors/cluster/directory.ts";
import { reachable } from "@/actors/cluster/links/crossing.ts";
import type { Hello } from "@/actors/cluster/links/proof.ts";
import { type Neighbours, openNeighbours } from "@/actors/cluster/neighbours.ts";
import type { Actor, Kind, Reply } from "@/actors/runtime/actor.ts";
import { newSystem, type System } from "@/actors/runtime/system.ts";
import type { Boot } from "@/db/cluster.ts";
import { AppError } from "@/lib/errors.ts";
import { newLog } from "@/lib/log.ts";
import type { Secret } from "@/lib/secret.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { prng } from "./actor_kit.ts";
import { type ClusterTables, clusterTables } from "./cluster_tables.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";
import { socketPair } from "./socket_pair.ts";

/** An actor to talk to: it adds up, or does what a test wants of it. */
export type SumMessage =
  | { type: "add"; amount: number }
  | { type: "sum"; reply: Reply<number> }
  | { type: "fail"; reply: Reply<null> }
  /** Answered when another one comes. */
  | { type: "wait"; reply: Reply<number> }
  /** May not cross. */
  | { type: "secret"; reply: Reply<number> };

const SUMS = {
  controlMax: 1_000,
  restart: "permanent",
  intensity: { restarts: 1, withinMs: 1_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
} as const;
export const pinnedKind: Kind<SumMessage> = { name: "pinned_sum", ...SUMS };
export const movableKind: Kind<SumMessage> = {
  name: "movable_sum",
  ...SUMS,
  passivateAfterMs: 60_000,
};

const MESSAGES = {
  add: { message: z.object({ type: z.literal("add"), amount: z.number() }), reply: "never" },
  sum: { message: z.object({ type: z.literal("sum") }), reply: "always", answer: z.number() },
  fail: { message: z.object({ type: z.literal("fail") }), reply: "always" },
  wait: { message: z.object({ type: z.literal("wait") }), reply: "always", answer: z.number() },
} as const;

export interface Machine {
  readonly boot: Boot;
  readonly system: System;
  readonly holdings: Holdings;
  readonly neighbours: Neighbours;
  /** What its actors were asked and told. */
  readonly handled: string[];
  readonly logged: readonly string[];
  /** Owns and starts a pinned actor. */
  pin(id: string): void;
}

/** Of a frame on its way between two machines: in its place these are delivered, in this order. */
export type Fault = (frame: string, from: string, to: string) => readonly string[];

export interface MachinesKit {
  readonly clock: ManualClock;
  readonly tables: ClusterTables;
  machine(nodeId: string): Machine;
  /** Every machine looks at the rows of all. */
  look(): Promise<void>;
  /** Both ends of every socket there is, newest last. */
  readonly sockets: { readonly from: string; readonly to: string; drop(): void }[];
  /** Hellos that were said. */
  readonly hellos: { readonly address: string; readonly hello: Hello }[];
  /** In place of what the machine says itself; a test may change it. */
  fault: Fault;
  /** Null: the address leads to the machine of that name. */
  redirect: string | null;
  knock(address: string, hello: Hello): Promise<MessageSocket>;
}

const FACTS = { region: "iad", version: "1", weight: 300, load: 0 };

export function machinesKit(seed = 1): MachinesKit {
  const clock = manualClock();
  const random = prng(seed);
  const tables = clusterTables();
  const machines = new Map<string, Machine>();
  const keys = new Map<number, Secret>();

  const nodes = () =>
    tables.list().map((it) => ({
      ...FACTS,
      ...it,
      address: it.nodeId,
      startedAt: clock.date(),
      seenAt: clock.date(),
    }));
  const unused = (): never => {
    throw new Error("No link asks for it");
  };

  function machine(nodeId: string): Machine {
    const logged: string[] = [];
    const handled: string[] = [];
    const log = newLog({
      level: "debug",
      pii: false,
      date: clock.date,
      write: (line) => logged.push(line),
    });
    const system = newSystem({ clock, log, random, yieldTo: clock.yieldTo });
    const holdings = newHoldings();
    const directory: Directory = {
      ...{ join: unused, beat: unused, counts: unused, bury: unused, drain: unused },
      ...{ leave: unused, releaseKinds: unused, orderDrain: unused },
      nodes: () => Promise.resolve(nodes()),
      claim: (actor, boot) => Promise.resolve(tables.claim(actor, boot, tables.snapshot())),
      owner: (actor) => Promise.resolve(tables.owner(actor)),
      release: (fence) => Promise.resolve(tables.release(fence)),
      linkKey: ({ incarnation }) => Promise.resolve(keys.get(incarnation) ?? null),
    };
    const table = [
      reachable(pinnedKind, {
        placement: "pinned",
        messages: MESSAGES,
        here: (id) => system.find(pinnedKind, id),
      }),
      reachable(movableKind, {
        placement: "movable",
        messages: MESSAGES,
        here: (id) => neighbours.movables.here(movableKind, id),
      }),
    ];
    const neighbours: Neighbours = openNeighbours({
      ...{ system, directory, holdings, clock, log, region: "iad", isOneOfMany: true },
      table: new Map(table.map((kind) => [kind.kind, kind])),
      connect: (address, hello) => {
        kit.hellos.push({ address, hello });
        return kit.knock(kit.redirect ?? address, hello);
      },
    });
    neighbours.movables.register(movableKind, (id) => sum(id, handled));
    const boot = { nodeId, incarnation: tables.join(nodeId) };
    keys.set(boot.incarnation, neighbours.linkKey);
    holdings.joined(boot);
    holdings.extend(Infinity);
    const made: Machine = {
      ...{ boot, system, holdings, neighbours, handled, logged },
      pin(id) {
        const owned = tables.claim({ kind: pinnedKind.name, id }, boot, tables.snapshot());
        if (owned === null || !holdings.take(owned)) throw new Error(`"${id}" is not ours`);
        system.spawn(pinnedKind, id, () => sum(id, handled));
      },
    };
    machines.set(nodeId, made);
    return made;
  }

  /** As the route does it, and a socket between the two. */
  async function knock(address: string, hello: Hello): Promise<MessageSocket> {
    const links = machines.get(address)?.neighbours.links;
    if (!links) throw new AppError("provider_failed", "Nobody answers", { retryable: true });
    await links.ask<null>((reply) => ({ type: "knock", hello, reply }));
    const [near, far] = socketPair({ clock });
    const from = hello.from.nodeId;
    links.send({ type: "connected", hello, socket: broken(far, () => [address, from]) });
    kit.sockets.push({ from, to: address, drop: () => near.close(1006, "dropped") });
    return broken(near, () => [from, address]);
  }

  /** A socket whose frames, once it has greeted, go through the kit's fault. */
  function broken(socket: MessageSocket, way: () => readonly [string, string]): MessageSocket {
    return {
      get bufferedBytes() {
        return socket.bufferedBytes;
      },
      close: socket.close,
      listen: socket.listen,
      send(data) {
        if (typeof data !== "string" || !data.startsWith("[")) return socket.send(data);
        for (const frame of kit.fault(data, ...way())) socket.send(frame);
      },
    };
  }

  const kit: MachinesKit = {
    clock,
    tables,
    machine,
    async look() {
      for (const { neighbours } of machines.values()) neighbours.seen(nodes());
      await clock.settle();
    },
    sockets: [],
    hellos: [],
    fault: (frame) => [frame],
    redirect: null,
    knock,
  };
  return kit;
}

function sum(id: string, handled: string[]): Actor<number, SumMessage> {
  let waiting: Reply<number> | null = null;
  return {
    init: () => 0,
    on: {
      add(total, { amount }) {
        handled.push(`${id} add ${amount}`);
        return total + amount;
      },
      sum(total, { reply }) {
        handled.push(`${id} sum`);
        reply(total);
      },
      fail(_total, { reply }) {
        reply.fail(new AppError("conflict", "Not now", { field: "sum", retryAfterS: 7 }));
      },
      wait(total, { reply }) {
        handled.push(`${id} wait`);
        waiting?.(total);
        waiting = reply;
      },
      secret: (total, { reply }) => reply(total),
    },
  };
}
