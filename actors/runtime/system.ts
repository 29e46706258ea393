/** An actor system: starts actors, finds them, shows them, drains and stops them. */

import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import type { Actor, Kind, Message, Ref, StopReason } from "./actor.ts";
import { drainingError } from "./ask.ts";
import { Cell, startCell } from "./cell.ts";
import { type DeadLetter, DeadLetters } from "./dead_letters.ts";
import { anyMake, entryOf, type Host, type Phase } from "./host.ts";
import { type ActorReport, type ActorSummary, reportOf, summaryOf } from "./inspection.ts";
import { type Metrics, metricsOf } from "./metrics.ts";
import { type Lag, LagWatch } from "./lag.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import { stop } from "./supervisor.ts";
import { Wheel } from "./wheel.ts";

export interface SystemOptions extends SchedulerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1): for the jitter of backoffs. */
  readonly random?: () => number;
  /** Told of every message just before it is handled. For tests. */
  readonly trace?: (kind: string, id: string, type: string) => void;
}

export interface System {
  readonly phase: Phase;
  /**
   * Starts an actor that has no parent. `stopped` is told once, when it has ended for good. Throws
   * `draining` when new work is not taken, and an Error when the id is alive already in its kind.
   */
  spawn<M extends Message, S>(
    kind: Kind<M>,
    id: string,
    make: () => Actor<S, M>,
    options?: { readonly stopped?: (reason: StopReason) => void },
  ): Ref<M>;
  /** From now on a message to any id of this kind brings that actor to life. */
  register<M extends Message, S>(kind: Kind<M>, make: (id: string) => Actor<S, M>): void;
  /** The address of an actor of a registered kind. Its first message brings it to life, and back when it was idle. */
  at<M extends Message>(kind: Kind<M>, id: string): Ref<M>;
  /** A living actor, or null. */
  find<M extends Message>(kind: Kind<M>, id: string): Ref<M> | null;
  /** How many actors of this kind live. */
  count(kind: string): number;

  /** The living actors, of one kind or of all. */
  list(kind?: string): ActorSummary[];
  /** Null when no such actor lives. */
  inspect(kind: string, id: string): ActorReport | null;
  /** Newest first, bounded. */
  deadLetters(): DeadLetter[];
  /** Of a message that was for an actor elsewhere. */
  deadLetter(letter: Omit<DeadLetter, "at">): void;
  metrics(): Metrics;
  /** Stops an actor, whatever it is doing, before its next message. False when no such actor lives. */
  stop(kind: string, id: string, why: string): boolean;
  /** Measures how late the event loop is, until shutdown. */
  watchLag(): void;
  /** Null until `watchLag`. */
  lag(): Lag | null;

  /**
   * No new work: `spawn` and sends from outside fail with `draining`. What lives goes on: handlers,
   * work and guarded callbacks of actors still send, and outsiders reach the kinds in `serves`.
   */
  drain(options?: { readonly serves?: readonly string[] }): void;
  /** Stops every actor, children first, kinds that came last first. From its start on every send fails. */
  shutdown(): Promise<void>;
}

export function newSystem(options: SystemOptions): System {
  const { clock, log } = options;
  const host: Host = {
    clock,
    log,
    random: options.random ?? Math.random,
    scheduler: new Scheduler(clock, options),
    wheel: new Wheel(clock),
    deadLetters: new DeadLetters(),
    kinds: new Map(),
    trace: options.trace ?? null,
    phase: "running",
    serves: new Set(),
    asksExpired: 0,
    handling: null,
  };
  let lag: LagWatch | null = null;
  let shuttingDown: Promise<void> | null = null;

  function cellOf(kind: string, id: string): Cell | undefined {
    return host.kinds.get(kind)?.cells.get(id);
  }

  function cellsOf(kind?: string): Cell[] {
    const entries = [...host.kinds.values()];
    return entries.filter((entry) => kind === undefined || entry.kind.name === kind)
      .flatMap((entry) => [...entry.cells.values()]);
  }

  async function stopAll(): Promise<void> {
    host.phase = "stopping";
    await null; // a handler that asked for it ends first
    for (const cell of cellsOf().reverse()) {
      if (cell.parent === null) stop(cell, { type: "shutdown" });
    }
    lag?.stop();
    host.wheel.stop();
    host.phase = "stopped";
  }

  return {
    get phase() {
      return host.phase;
    },
    spawn(kind, id, make, { stopped } = {}) {
      if (host.phase !== "running") throw drainingError();
      const onStopped = stopped === undefined ? null : (reason: StopReason): void => {
        try {
          stopped(reason);
        } catch (error) {
          log.error("callback of a stopped actor threw", { kind: kind.name, id, error });
        }
      };
      return startCell(entryOf(host, kind), id, anyMake(make), { parent: null, onStopped });
    },
    register(kind, make) {
      entryOf(host, kind).make = anyMake(make);
    },
    at(kind, id) {
      const entry = entryOf(host, kind);
      if (entry.make === null) throw new Error(`Kind "${kind.name}" is not registered`);
      const place = { parent: null, onStopped: null, phase: "dormant" } as const;
      return entry.cells.get(id) ?? new Cell(entry, id, entry.make, place);
    },
    find: (kind, id) => entryOf(host, kind).cells.get(id) ?? null,
    count: (kind) => host.kinds.get(kind)?.cells.size ?? 0,
    list: (kind) => cellsOf(kind).map(summaryOf),
    inspect(kind, id) {
      const cell = cellOf(kind, id);
      return cell === undefined ? null : reportOf(cell);
    },
    deadLetters: () => host.deadLetters.list(),
    deadLetter: (letter) => host.deadLetters.add({ at: clock.date().toISOString(), ...letter }),
    metrics: () => metricsOf(host, lag),
    stop(kind, id, why) {
      const cell = cellOf(kind, id);
      cell?.signal({ type: "stop", reason: { type: "asked", why } });
      return cell !== undefined;
    },
    lag: () => lag?.read() ?? null,
    watchLag() {
      lag ??= new LagWatch(clock);
    },
    drain({ serves = [] } = {}) {
      if (host.phase !== "running") return;
      host.serves = new Set(serves);
      host.phase = "draining";
    },
    shutdown: () => shuttingDown ??= stopAll(),
  };
}
