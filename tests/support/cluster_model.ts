/**
 * Histories of machines that own actors: the protocol's own decisions (`membership.ts`) and its statements in
 * memory, under a scheduler, clocks and a network that a seed makes wrong in every way they can be.
 */

import {
  mayAct,
  type Membership,
  type MembershipEvent,
  newMembership,
  take,
  TIMINGS,
  type Timings,
} from "@/actors/cluster/membership.ts";
import type { ActorKey, Boot, Fence } from "@/db/cluster.ts";
import { type Holdings, newHoldings } from "@/actors/cluster/holdings.ts";
import { hash } from "@/actors/cluster/rendezvous.ts";
import { prng } from "./actor_kit.ts";
import { newEventQueue } from "./event_queue.ts";
import {
  ALL_RULES,
  type ClusterTables,
  clusterTables,
  type Rules,
  type Snapshot,
} from "./cluster_tables.ts";

export interface ModelOptions {
  readonly seed: number;
  /** `any`: all of them; the others: the database is away for all at once, or takes no writes, and nothing else is wrong. */
  readonly faults?: "any" | "outage" | "readOnly";
  readonly rules?: Rules;
  readonly timings?: Timings;
  /** An outside effect has its row before it happens; without: it happens, and is written down. */
  readonly writesIntent?: boolean;
  /** What was given up is not taken again under its epoch. */
  readonly remembersReleases?: boolean;
}

export interface History {
  /** What must never be; empty. */
  readonly violations: readonly string[];
  /** Of all that happened, in order. */
  readonly traceHash: number;
  readonly counts: Readonly<Record<Counted, number>>;
}

type Counted =
  | ("events" | "burials" | "takeovers" | "writes" | "refused" | "acts" | "paused" | "dials")
  | ("crashes" | "rejoins" | "releases" | "resumes" | "takings" | "robbed" | "late");

const LENGTH_MS = 90_000;
const ASK_MS = 1_500;
const CALLS: readonly ActorKey[] = ["1", "2"].map((id) => ({ kind: "call", id }));
/** A carrier waits so long for an answer, and asks again. */
const CARRIER_MS = 4_000;
const OWNER_MS = 300;
const ACTORS: readonly ActorKey[] = ["1", "2", "3"].map((id) => ({ kind: "tenant", id }));
const WORK_MS = 400;
const FAULT_MS = 8_000;
/** Clock rates agree within 1 %. */
const DRIFT = 0.005;

/** One machine; `life` is another one at every boot of its process. */
interface Machine {
  readonly nodeId: string;
  readonly rate: number;
  readonly offsetMs: number;
  life: number;
  isUp: boolean;
  /** Stopped until then, as by SIGSTOP: its clock goes on. */
  pausedUntilMs: number;
  /** Cut off from the database until then. */
  cutUntilMs: number;
  membership: Membership;
  holdings: Holdings;
  /** Whom it knows to have been dialed. */
  dialed: Set<string>;
}

export function runHistory(options: ModelOptions): History {
  const { seed, faults = "any", timings = TIMINGS, writesIntent = true } = options;
  const { remembersReleases = true } = options;
  const random = prng(seed);
  const between = (min: number, max: number): number => min + random() * (max - min);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T; // never empty
  const tables: ClusterTables = clusterTables(options.rules ?? ALL_RULES);
  const { at, takeFirst } = newEventQueue();
  const violations: string[] = [];
  const counts: Record<Counted, number> = {
    ...{ events: 0, burials: 0, takeovers: 0, writes: 0, refused: 0, acts: 0, paused: 0 },
    ...{ dials: 0, crashes: 0, rejoins: 0, releases: 0 },
    ...{ resumes: 0, takings: 0, robbed: 0, late: 0 },
  };
  const written = new Map<string, number>();
  const intents = new Set<string>();
  const done = new Set<string>();
  const rung = new Set<string>();
  let now = 0;
  let trace = 0;
  let outageUntilMs = 0;
  let readOnlyUntilMs = 0;

  const machines: Machine[] = Array.from({ length: 3 + seed % 3 }, (_, nth) => ({
    nodeId: `n${nth}`,
    rate: between(1 - DRIFT, 1 + DRIFT),
    offsetMs: between(0, 1e6),
    life: 0,
    isUp: false,
    pausedUntilMs: 0,
    cutUntilMs: 0,
    membership: newMembership(),
    holdings: newHoldings(),
    dialed: new Set(),
  }));

  function note(what: string, count?: Counted): void {
    trace = Math.imul(trace ^ hash(what), 0x01000193) >>> 0;
    if (count !== undefined) counts[count]++;
  }

  const local = ({ rate, offsetMs }: Machine): number => offsetMs + now * rate;

  /** On this life of the machine, when it runs again. */
  function onMachine(machine: Machine, atMs: number, run: () => void): void {
    const { life } = machine;
    function tryNow(): void {
      if (machine.life !== life || !machine.isUp) return;
      if (machine.pausedUntilMs > now) return at(machine.pausedUntilMs, tryNow);
      run();
    }
    at(atMs, tryNow);
  }

  const after = (machine: Machine, ms: number, run: () => void): void =>
    onMachine(machine, now + ms / machine.rate, run);

  /** A statement: sent, lost, late, twice, done with its answer lost; the asker waits for ASK_MS at most. */
  function ask<T>(
    machine: Machine,
    statement: (seen: Snapshot) => T,
    answered: (answer: T | null) => void,
    { lagMs = 0, isRead = false }: { readonly lagMs?: number; readonly isRead?: boolean } = {},
  ): void {
    let isSettled = false;
    const settle = (answer: T | null): void => {
      if (isSettled) return;
      isSettled = true;
      answered(answer);
    };
    const isCut = now < Math.max(machine.cutUntilMs, outageUntilMs);
    const luck = faults === "any" ? random() : 1;
    const isLate = luck < 0.03;
    const isLost = luck >= 0.03 && luck < 0.05;
    const isAnswerLost = luck >= 0.05 && luck < 0.08;
    const isTwice = luck >= 0.08 && luck < 0.1;
    const healed = Math.max(machine.cutUntilMs, outageUntilMs);
    function execute(atMs: number): void {
      let seen: Snapshot = new Map();
      if (lagMs > 0) at(atMs, () => seen = tables.snapshot());
      at(atMs + lagMs, () => {
        if (!isRead && now < readOnlyUntilMs) {
          return onMachine(machine, now + between(0.1, 5), () => settle(null));
        }
        const answer = statement(lagMs > 0 ? seen : tables.snapshot());
        const isAnswerCut = now < Math.max(machine.cutUntilMs, outageUntilMs);
        if (isAnswerLost || isAnswerCut) return;
        onMachine(machine, now + between(0.1, luck < 0.2 ? 1_000 : 5), () => settle(answer));
      });
    }
    // What was in a socket when it was cut may arrive when that is over.
    if (isCut && faults === "any" && random() < 0.3) execute(healed + between(0, 500));
    else if (!isCut && !isLost) {
      execute(now + (isLate ? between(100, 3 * TIMINGS.ttlMs) : between(0.1, 5)));
      if (isTwice) execute(now + between(1, TIMINGS.ttlMs));
    }
    after(machine, ASK_MS, () => settle(null));
  }

  /** A claim reads who is dead when it begins, and takes the row when it gets to it. */
  function claim(machine: Machine, actor: ActorKey, boot: Boot): void {
    const lagMs = random() < 0.2 ? between(0, 500) : 0;
    ask(machine, (seen) => {
      const before = tables.owner(actor);
      const owned = tables.claim(actor, boot, seen);
      if (owned?.epoch !== before?.epoch && before?.owner) note("takeover", "takeovers");
      return owned;
    }, (owned) => {
      if (owned === null || machine.holdings.take(owned)) return;
      // What it has given up, and has still: the release was lost.
      const { epoch, owner } = owned;
      if (owner === null || owner.incarnation !== boot.incarnation) return;
      ask(machine, () => tables.release({ ...actor, epoch, ...owner }), () => {});
    }, { lagMs });
  }

  function hear(machine: Machine, event: MembershipEvent): void {
    const { next, suspects, buried } = take(machine.membership, event, timings);
    machine.membership = next;
    if (buried !== null) {
      machine.holdings.buried();
      for (const fence of machine.holdings.stale()) machine.holdings.drop(fence); // all are movable
      note(`rejoin ${machine.nodeId}`, "rejoins");
    }
    for (const { beat, ...boot } of suspects) {
      ask(machine, () => bury(boot, beat), () => {});
    }
  }

  /** No machine is buried that may still act, but one that was stopped: nobody can know its clock. */
  function bury(boot: Boot, beat: number): void {
    if (!tables.bury(boot, beat)) return;
    note(`buried ${boot.nodeId}/${boot.incarnation}`, "burials");
    const victim = machines.find(({ membership, isUp }) =>
      isUp && membership.incarnation === boot.incarnation
    );
    if (victim === undefined) return;
    if (faults !== "any") fault(`${boot.nodeId} was well, and buried`);
    if (mayAct(victim.membership, local(victim))) fault(`${boot.nodeId} may act, and is buried`);
  }

  function fault(what: string): void {
    violations.push(`seed ${seed}, ${now.toFixed(1)} ms: ${what}`);
  }

  function beat(machine: Machine): void {
    const sentAtMs = local(machine);
    const { nodeId, membership: { incarnation } } = machine;
    const again = (): void => after(machine, timings.beatMs, () => beat(machine));
    if (incarnation === null) {
      return ask(machine, () => tables.join(nodeId), (joined) => {
        if (joined === null) return after(machine, timings.retryMs, () => beat(machine));
        hear(machine, { type: "joined", sentAtMs, incarnation: joined });
        machine.holdings.joined({ nodeId, incarnation: joined });
        note(`joined ${nodeId}/${joined}`);
        again();
      });
    }
    ask(machine, () => tables.beat({ nodeId, incarnation }), (state) => {
      if (state === null) return after(machine, timings.retryMs, () => beat(machine));
      hear(machine, { type: "beaten", sentAtMs, incarnation, state });
      if (machine.membership.incarnation === null) beat(machine);
      else again();
    });
  }

  function watch(machine: Machine): void {
    const sentAtMs = local(machine);
    ask(machine, () => tables.list(), (nodes) => {
      if (nodes !== null) {
        hear(machine, { type: "looked", sentAtMs, answeredAtMs: local(machine), nodes });
      }
      after(machine, timings.watchMs, () => watch(machine));
    }, { isRead: true });
  }

  /** What an actor does: it acts, writes, dials, is taken, is given up. */
  function work(machine: Machine): void {
    after(machine, between(0.5, 1.5) * WORK_MS, () => work(machine));
    const { membership, nodeId } = machine;
    const { incarnation } = membership;
    const actor = pick(ACTORS);
    const fence = machine.holdings.fenceOf(actor);
    if (!mayAct(membership, local(machine))) {
      return fence === null ? undefined : note("pause", "paused");
    }
    if (incarnation === null) return;
    if (fence === null) {
      if (random() < 0.5) claim(machine, actor, { nodeId, incarnation });
      return;
    }
    act(fence);
    const luck = random();
    if (luck < 0.7) return write(machine, fence);
    if (luck < 0.95) return dial(machine, fence);
    if (remembersReleases) machine.holdings.giveUp(actor);
    else machine.holdings.drop(actor);
    note("release", "releases");
    ask(machine, () => tables.release(fence), () => {});
  }

  /** I2: whoever acts is the owner. */
  function act(fence: Fence): void {
    note(`act ${fence.id}/${fence.epoch}`, "acts");
    const row = tables.owner(fence);
    if (row !== null && row.epoch > fence.epoch) {
      fault(`${fence.nodeId} acts for ${fence.id} in epoch ${fence.epoch}, now ${row.epoch}`);
    }
  }

  /** I1: epochs of committed writes never fall, and none commits after the next claim. */
  function commit(fence: Fence): boolean {
    if (!tables.holds(fence)) {
      note("refused", "refused");
      return false;
    }
    note(`write ${fence.kind} ${fence.id}/${fence.epoch}`, "writes");
    const key = `${fence.kind}/${fence.id}`;
    const last = written.get(key) ?? 0;
    const epoch = tables.owner(fence)?.epoch;
    if (fence.epoch < last || fence.epoch !== epoch) {
      fault(`a write of epoch ${fence.epoch} to ${fence.id} after epoch ${epoch ?? last}`);
    }
    written.set(key, Math.max(last, fence.epoch));
    return true;
  }

  function write(machine: Machine, fence: Fence): void {
    ask(machine, () => commit(fence), (isOurs) => {
      const now = machine.holdings.fenceOf(fence);
      if (isOurs === false && now?.epoch === fence.epoch) machine.holdings.drop(fence);
    });
  }

  /** Nobody is dialed twice. */
  function dial(machine: Machine, fence: Fence): void {
    const contact = `${fence.id}/${Math.floor(now / 10_000)}`;
    function ring(): void {
      note(`dial ${contact}`, "dials");
      if (rung.has(contact)) fault(`${contact} was dialed twice`);
      rung.add(contact);
    }
    if (writesIntent) {
      ask(machine, () => {
        if (intents.has(contact) || !commit(fence)) return false;
        intents.add(contact);
        return true;
      }, (isMine) => isMine && ring());
      return;
    }
    ask(machine, () => !done.has(contact), (isToDo) => {
      if (!isToDo || machine.dialed.has(contact)) return;
      machine.dialed.add(contact);
      ring();
      ask(machine, () => commit(fence) && done.add(contact), () => {});
    });
  }

  /** Where the media stream of a call goes; null: it has ended, and the carrier asks what is next. */
  const streams = new Map<string, { readonly machine: Machine; readonly life: number } | null>();
  const asked = new Map<string, number>();
  const takenAt = new Map<string, number>();

  /** The carrier of a call: it streams to one machine, and when that ends it asks any of them. */
  function carry(call: ActorKey): void {
    const { id } = call;
    const stream = streams.get(id) ?? null;
    const isOver = stream === null || !stream.machine.isUp || stream.machine.life !== stream.life ||
      random() < 0.05;
    at(now + between(0.5, 1.5) * (isOver ? CARRIER_MS : 1_000), () => carry(call));
    if (!isOver) return;
    streams.set(id, null);
    const nth = (asked.get(id) ?? 0) + 1;
    asked.set(id, nth);
    const machine = pick(machines);
    onMachine(machine, now + between(1, 20), () => resume(machine, call, nth));
  }

  /** The machine that holds it is asked first, for `OWNER_MS`; then it is taken. */
  function resume(machine: Machine, call: ActorKey, nth: number): void {
    const { nodeId, membership: { incarnation } } = machine;
    if (incarnation === null) return;
    const me = { nodeId, incarnation };
    ask(machine, () => ({ owned: tables.owner(call), atMs: now }), (seen) => {
      if (seen === null) return;
      const { owned, atMs } = seen;
      if (owned === null) return claim(machine, call, me);
      const { owner } = owned;
      if (owner?.incarnation === incarnation) return stream(machine, call, nth);
      const holder = machines.find(({ membership }) =>
        owner !== null && membership.incarnation === owner.incarnation
      );
      const isHeard = holder?.isUp === true && holder.pausedUntilMs <= now && random() < 0.5;
      if (holder !== undefined && isHeard) {
        return onMachine(holder, now + between(1, 20), () => stream(holder, call, nth));
      }
      after(machine, OWNER_MS, () =>
        ask(machine, () => {
          const before = tables.owner(call);
          const taken = tables.take(owned, me);
          if (taken === null) {
            note("late", "late");
            return null;
          }
          const isAlive = before?.owner &&
            tables.nodes.get(before.owner.incarnation)?.state !== "dead";
          note(`take ${call.id}/${taken.epoch}`, isAlive ? "robbed" : "takings");
          if ((takenAt.get(call.id) ?? 0) > atMs) {
            fault(`${nodeId} takes call ${call.id}, which was taken since it was seen`);
          }
          takenAt.set(call.id, now);
          return taken;
        }, (taken) => {
          if (taken !== null && machine.holdings.take(taken)) stream(machine, call, nth);
        }));
    });
  }

  /** Whoever has answered the carrier's last question is whom the caller hears. */
  function stream(machine: Machine, call: ActorKey, nth: number): void {
    if (asked.get(call.id) !== nth || machine.holdings.fenceOf(call) === null) return;
    streams.set(call.id, { machine, life: machine.life });
    note(`stream ${call.id} ${machine.nodeId}`, "resumes");
  }

  /** Calls are pinned: on lease doubt they go on talking and writing, and their fence alone says whether it counts. */
  function talk(machine: Machine): void {
    after(machine, between(0.5, 1.5) * WORK_MS, () => talk(machine));
    for (const call of CALLS) {
      const fence = machine.holdings.fenceOf(call);
      if (fence !== null && random() < 0.5) write(machine, fence);
    }
  }

  function boot(machine: Machine): void {
    machine.life++;
    Object.assign(machine, {
      isUp: true,
      pausedUntilMs: 0,
      membership: newMembership(),
      holdings: newHoldings(),
      dialed: new Set(),
    });
    beat(machine);
    watch(machine);
    work(machine);
    talk(machine);
  }

  /** Something goes wrong, again and again. */
  function strike(): void {
    at(now + between(0.2, 1.8) * FAULT_MS / machines.length, strike);
    const machine = pick(machines);
    const lengthMs = between(0.1, 1) * (random() < 0.2 ? 20 : 2) * TIMINGS.ttlMs;
    const luck = faults === "any" ? random() : 1;
    if (luck < 0.25) {
      note(`crash ${machine.nodeId}`, "crashes");
      machine.isUp = false;
      at(now + between(100, 20_000), () => machine.isUp || boot(machine));
    } else if (luck < 0.6) {
      machine.pausedUntilMs = Math.max(machine.pausedUntilMs, now + lengthMs);
    } else if (luck < 0.9) machine.cutUntilMs = Math.max(machine.cutUntilMs, now + lengthMs);
    else if (random() < 0.3) {
      if (faults === "readOnly" || (faults === "any" && random() < 0.3)) {
        readOnlyUntilMs = Math.max(readOnlyUntilMs, now + lengthMs);
      } else outageUntilMs = Math.max(outageUntilMs, now + lengthMs);
    }
  }

  for (const call of CALLS) at(between(5_000, 8_000), () => carry(call));
  for (const machine of machines) at(between(0, 5_000), () => boot(machine));
  at(FAULT_MS, strike);
  for (let next = takeFirst(); next !== null; next = takeFirst()) {
    if (next.atMs > LENGTH_MS || violations.length > 0) break;
    now = next.atMs;
    counts.events++;
    next.run();
  }
  return { violations, traceHash: trace, counts };
}
