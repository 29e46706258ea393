/** A machine as one of many: it joins them, leaves them, hands its calls over, and sees to those that others have left. */

import type { Database } from "@/db/client.ts";
import type { NewNode } from "@/db/cluster.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import type { Log } from "@/lib/log.ts";
import type { Directory } from "@/actors/cluster/directory.ts";
import { type Drain, newDrain } from "@/actors/cluster/drain.ts";
import type { Holdings } from "@/actors/cluster/holdings.ts";
import { releaseMovables } from "@/actors/cluster/movables.ts";
import type { Neighbours } from "@/actors/cluster/neighbours.ts";
import { node, nodeKind, type NodeMessage } from "@/actors/cluster/node.ts";
import type { Places } from "@/actors/cluster/places.ts";
import { reaper, reaperKind, turnOf } from "@/actors/cluster/reaper.ts";
import { callKind, type HandOver } from "@/actors/call/call.ts";
import { newOrphans, type OrphansDeps } from "@/actors/call/orphans.ts";
import type { Ownership } from "@/actors/call/ownership.ts";
import { callStore } from "@/actors/call/store.ts";
import { ELSEWHERE, type Switchboard } from "@/actors/call/switchboard.ts";
import type { Feed } from "@/actors/recorder/feed.ts";
import type { RecorderDeps, RecorderMessage } from "@/actors/recorder/recorder.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";

/** A caller hears nothing meanwhile. */
const FLUSH_CALL_MS = 1_500;
/** What goes on while this machine drains. */
const SERVED_IN_DRAIN = [
  ...["desk", "gate", "node", "links", "tenant", "recorder", "sealer", "jobs", "deliveries"],
  ...["call", "recording", "tenant_stand_in"],
];
const FLUSH_MS = 10_000;
const LOOKUP_MS = 1_000;

export interface AmongMachinesDeps extends Pick<OrphansDeps, "equipment" | "resumeUrl" | "rooms"> {
  readonly config: Pick<Config, "region" | "maxCalls">;
  /** Absent: it joins none. */
  readonly machine: Pick<NewNode, "nodeId" | "address" | "version"> | undefined;
  /** Whether there can be others. */
  readonly isOneOfMany: boolean;
  readonly system: System;
  readonly database: Database;
  readonly directory: Directory;
  readonly holdings: Holdings;
  readonly neighbours: Neighbours;
  readonly places: Places;
  readonly switchboard: Switchboard;
  readonly calls: Ownership;
  readonly events: Ref<RecorderMessage>;
  readonly fenceOf: NonNullable<RecorderDeps["fences"]>["fenceOf"];
  readonly feed: Feed;
  readonly clock: Clock;
  readonly log: Log;
}

export interface AmongMachines {
  /** Null: this machine joins no others. */
  readonly membership: Ref<NodeMessage> | null;
  readonly drain: Drain;
  /** Its row may go when all that it has written is on disk. */
  callEnded(callId: string): Promise<void>;
  handOver(callId: string): HandOver;
}

export function amongMachines(deps: AmongMachinesDeps): AmongMachines {
  const { config, machine, isOneOfMany, system, database, directory, holdings, neighbours } = deps;
  const { places, switchboard, calls, events, fenceOf, feed, clock, log } = deps;
  const { equipment, resumeUrl, rooms } = deps;

  const membership: Ref<NodeMessage> | null = machine === undefined ? null : system.spawn(
    nodeKind,
    "node",
    () =>
      node({
        directory,
        holdings,
        node: { ...machine, region: config.region, weight: config.maxCalls },
        load: () => system.count(callKind.name),
        lost: ({ kind, id }) => void system.stop(kind, id, ELSEWHERE),
        movable: neighbours.movables.kinds,
        linkKey: neighbours.linkKey,
        seen(nodes) {
          neighbours.seen(nodes);
          if (places.seen(nodes)) system.find(reaperKind, "reaper")?.send({ type: "machinesGone" });
          const self = nodes.find(({ incarnation }) => incarnation === holdings.boot?.incarnation);
          if (self?.state === "draining") drain.told(self.drain ?? null);
        },
        log,
      }),
  );

  async function callEnded(callId: string): Promise<void> {
    await events.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: FLUSH_MS })
      .catch((error) => log.warn("events of a call that ended not flushed", { callId, error }));
    membership?.send({ type: "ended", actor: { kind: callKind.name, id: callId } });
  }

  /** What it still wrote once it is released would show its fence, and be refused. */
  function handOver(callId: string): HandOver {
    return {
      flush: () =>
        events.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: FLUSH_CALL_MS }),
      async release() {
        const fence = holdings.fenceOf({ kind: callKind.name, id: callId });
        if (fence !== null) await directory.release(fence);
      },
    };
  }

  const drain = newDrain({
    begin() {
      feed.close();
      membership?.send({ type: "drain" });
      system.drain({ serves: SERVED_IN_DRAIN });
      releaseMovables({ kinds: neighbours.movables.drained(), system, holdings, directory, clock })
        .catch((error) => log.error("actors not released: others must bury them", { error }));
    },
    callCount: () => system.count(callKind.name),
    hasOthers: () => places.others(holdings.boot).length > 0,
    leave: switchboard.leaveAll,
    clock,
    log,
  });

  const ownCall = (callId: string): Promise<boolean> =>
    database.lookup("calls", LOOKUP_MS, (sql) => calls.own(sql, callId));
  const lone = newOrphans({
    database,
    equipment,
    resumeUrl,
    own: ownCall,
    isHere: ({ tenantId, callId }) => switchboard.find(tenantId, callId) !== null,
    store: (call) => callStore(call, { database, recorder: events, fenceOf }),
    ended: (callId) => void callEnded(callId),
    rooms,
    clock,
  });
  if (isOneOfMany) {
    system.spawn(
      reaperKind,
      "reaper",
      () =>
        reaper({ ...lone, log, turnOf: (callId) => turnOf(callId, places.nodes, holdings.boot) }),
    );
  }

  return { membership, drain, callEnded, handOver };
}
