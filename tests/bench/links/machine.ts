/** One of two machines of the benchmark: an actor that answers, the links, and a bare echo beside them. */

import { createServer } from "node:http";
import { z } from "zod";
import type { Directory } from "@/actors/cluster/directory.ts";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { reachable } from "@/actors/cluster/links/crossing.ts";
import { type Neighbours, openNeighbours } from "@/actors/cluster/neighbours.ts";
import type { Actor, Kind, Reply } from "@/actors/runtime/actor.ts";
import { newSystem, type System } from "@/actors/runtime/system.ts";
import type { Node } from "@/db/cluster.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { acceptSockets, bind } from "@/lib/socket_server.ts";
import { linkSocket } from "@/routes/link_socket.ts";

export const ECHO_PATH = "/echo";

/** 190 bytes of JSON as it crosses, `type` and all. */
export interface Question {
  readonly type: "question";
  readonly callId: string;
  readonly tenantId: string;
  readonly text: string;
  readonly reply: Reply<string>;
}

export const QUESTION: Omit<Question, "reply"> = {
  type: "question",
  callId: "call_0198f3c2-0000-7000-8000-000000000001",
  tenantId: "tenant_0198f3c2-0000-7000-8000-000000000001",
  text: "I would like an appointment on Thursday, please.",
};

export const answererKind: Kind<Question> = {
  name: "answerer",
  controlMax: 100_000,
  restart: "permanent",
  intensity: { restarts: 1, withinMs: 1_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

const SHAPE = z.object({
  type: z.literal("question"),
  callId: z.string().max(128),
  tenantId: z.string().max(128),
  text: z.string().max(1_000),
});

function answerer(): Actor<null, Question> {
  return { init: () => null, on: { question: (_state, { text, reply }) => reply(text) } };
}

export interface BenchMachine {
  readonly system: System;
  readonly neighbours: Neighbours;
  readonly port: number;
  /** There are these two from now on. */
  meet(other: { readonly port: number; readonly key: string }): void;
}

/** `nth`: 1 is the one that asks and dials, 2 has the actor. */
export async function benchMachine(nth: 1 | 2): Promise<BenchMachine> {
  const system = newSystem({ clock: systemClock, log: silentLog });
  const holdings = newHoldings();
  let otherKey = new Secret("");
  const owner = { nodeId: "2", incarnation: 2 };
  const unused = (): never => {
    throw new Error("No link asks for it");
  };
  const directory: Directory = {
    ...{ join: unused, beat: unused, counts: unused, bury: unused, drain: unused },
    ...{
      leave: unused,
      claim: unused,
      release: unused,
      releaseKinds: unused,
      nodes: unused,
      orderDrain: unused,
    },
    owner: (actor) => Promise.resolve({ ...actor, epoch: 1, owner }),
    linkKey: () => Promise.resolve(otherKey),
  };
  const table = reachable(answererKind, {
    placement: "pinned",
    messages: { question: { message: SHAPE, reply: "always", answer: z.string() } },
    here: (id) => system.find(answererKind, id),
  });
  const neighbours = openNeighbours({
    ...{ system, directory, holdings, clock: systemClock, log: silentLog },
    table: new Map([[table.kind, table]]),
    region: "iad",
    isOneOfMany: true,
  });
  if (nth === 2) system.spawn(answererKind, "one", answerer);
  holdings.joined({ nodeId: `${nth}`, incarnation: nth });

  const byMachine = linkSocket({ links: neighbours.links, log: silentLog });
  const server = createServer();
  acceptSockets(server, {
    messageBytesMax: 64 * 1024,
    rules: { clock: systemClock, silenceMs: 10_000, rate: { perSecond: 100, burst: 1_000 } },
    failed: () => {},
  }, async (request) =>
    await byMachine(request) ?? {
      type: "accept",
      trusted: { messageBytesMax: 64 * 1024 },
      opened: (socket) => socket.listen({ message: (data) => socket.send(data), closed() {} }),
    });
  await bind(server, { hostname: "127.0.0.1", port: 0 });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  const { port } = address;

  return {
    system,
    neighbours,
    port,
    meet(other) {
      otherKey = new Secret(other.key);
      const node = (n: number): Node => ({
        nodeId: `${n}`,
        incarnation: n,
        address: `127.0.0.1:${n === nth ? port : other.port}`,
        ...{ region: "iad", version: "1", weight: 1, load: 0, state: "active", beat: 0 },
        startedAt: systemClock.date(),
        seenAt: systemClock.date(),
      });
      neighbours.seen([node(1), node(2)]);
    },
  };
}
