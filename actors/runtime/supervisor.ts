/** What happens when an actor crashes or stops: restart it, give it up, or send the crash up to its parent. */

import type { Cancel } from "@/lib/clock.ts";
import { messageOf } from "@/lib/errors.ts";
import type { Kind, Message, Restart, StopReason } from "./actor.ts";
import { bury, type Cell } from "./cell.ts";
import type { Envelope } from "./envelope.ts";
import { NO_STATE } from "./life.ts";

/** How an actor fared so far. Kept only for one that has crashed. */
export interface Crashes {
  /** Times of the crashes within the window of its kind, oldest first. */
  readonly times: readonly number[];
  readonly total: number;
  /** How often the handling of a message crashed. */
  readonly tries: WeakMap<Envelope, number>;
  readonly lastError: { readonly message: string; readonly at: string } | null;
  /** What `init` is told. */
  readonly restart: Restart;
  cancelBackoff: Cancel | null;
}

export type Verdict =
  | { readonly type: "restart"; readonly count: number; readonly backoffMs: number }
  | { readonly type: "stop" } // this kind is not restarted
  | { readonly type: "escalate" }; // too many in too short a time

/** What to do about the last of these crashes. `times` are those within the window, it included. */
export function judge(
  kind: Pick<Kind<Message>, "restart" | "intensity" | "backoff">,
  times: readonly number[],
  random: () => number,
): Verdict {
  const count = times.length;
  if (kind.restart === "temporary") return { type: "stop" };
  if (count > kind.intensity.restarts) return { type: "escalate" };
  const ceiling = Math.min(kind.backoff.maxMs, kind.backoff.minMs * 2 ** (count - 1));
  return { type: "restart", count, backoffMs: random() * ceiling };
}

/** Ends the life that crashed and does what its kind says. `envelope` is the message whose handling threw. */
export function crash(cell: Cell, error: unknown, envelope: Envelope | null): void {
  const { entry } = cell;
  entry.crashes++;
  endLife(cell, { type: "crashed", error });
  const verdict = remember(cell, error);
  if (envelope !== null) tryAgain(cell, envelope);
  const handling = envelope?.message.type ?? null;
  const fields = { kind: cell.kind, id: cell.id, handling, verdict: verdict.type, error };
  entry.host.log.error("actor crashed", fields);
  follow(cell, verdict, error);
}

/** Stops an actor for good, its children first. Not from within its own handler: it is signalled there. */
export function stop(cell: Cell, reason: StopReason): void {
  if (cell.phase === "stopped" || cell.phase === "dormant") return;
  endLife(cell, reason);
  const { kind, host } = cell.entry;
  if (reason.type === "done" && kind.restart === "permanent" && host.phase !== "stopping") {
    const error = new Error(`Permanent actor ${cell.kind} "${cell.id}" stopped by itself`);
    return follow(cell, remember(cell, error), error);
  }
  bringToEnd(cell);
  cell.onStopped?.(reason);
}

function follow(cell: Cell, verdict: Verdict, error: unknown): void {
  const { entry, parent } = cell;
  switch (verdict.type) {
    case "restart":
      entry.restarts++;
      return restart(cell, verdict.backoffMs);
    case "escalate":
      bringToEnd(cell);
      if (parent === null) cell.onStopped?.({ type: "crashed", error });
      else if (parent.life !== null) crash(parent, error, null);
      return;
    case "stop":
      bringToEnd(cell);
      cell.onStopped?.({ type: "crashed", error });
  }
}

function restart(cell: Cell, backoffMs: number): void {
  const { clock, scheduler } = cell.entry.host;
  const begin = (): void => {
    cell.phase = "starting";
    scheduler.ready(cell);
  };
  cell.phase = "waiting";
  if (backoffMs === 0) begin();
  else if (cell.crashes !== null) cell.crashes.cancelBackoff = clock.timer(backoffMs, begin);
}

/** Enters the crash into the actor's record and judges it. */
function remember(cell: Cell, error: unknown): Verdict {
  const { kind, host } = cell.entry;
  const now = host.clock.now();
  const before = cell.crashes?.times ?? [];
  const times = [...before.filter((at) => now - at < kind.intensity.withinMs), now];
  cell.crashes = {
    times,
    total: (cell.crashes?.total ?? 0) + 1,
    tries: cell.crashes?.tries ?? new WeakMap(),
    restart: { count: times.length, error },
    lastError: { message: messageOf(error), at: host.clock.date().toISOString() },
    cancelBackoff: null,
  };
  return host.phase === "stopping" ? { type: "stop" } : judge(kind, times, host.random);
}

/** The message that crashed its handler comes first after the restart, unless it did so too often. */
function tryAgain(cell: Cell, envelope: Envelope): void {
  const { origin, message } = envelope;
  if (origin?.live === false) return; // an answered ask, or the ended life's own
  const tries = (cell.crashes?.tries.get(envelope) ?? 0) + 1;
  cell.crashes?.tries.set(envelope, tries);
  if (tries >= cell.entry.kind.poisonTries) {
    bury(cell, message, "poison");
    origin?.refused("poison");
  } else if (cell.entry.media?.has(message.type) === true) cell.media?.unshift(envelope);
  else cell.control.unshift(envelope);
}

/** Ends what the actor has started and then itself: its children first, the youngest of them first. */
function endLife(cell: Cell, reason: StopReason): void {
  const { life } = cell;
  if (life === null) return;
  cell.life = null;
  for (const child of [...life.children ?? []].reverse()) stop(child, { type: "shutdown" });
  for (const work of [...life.works?.values() ?? []]) work.cancel();
  if (life.state === NO_STATE) return;
  try {
    life.actor.stopped?.(life.state, reason);
  } catch (error) {
    const fields = { kind: cell.kind, id: cell.id, error };
    cell.entry.host.log.error("actor threw in its last words", fields);
  }
}

/** Takes the actor out of the system. What waits in its mailbox becomes dead letters. */
function bringToEnd(cell: Cell): void {
  const { entry, parent } = cell;
  cell.phase = "stopped";
  cell.crashes?.cancelBackoff?.();
  cell.idle?.stop();
  cell.idle = null;
  cell.signals = null;
  entry.cells.delete(cell.id);
  parent?.life?.children?.delete(cell);
  for (const { message, origin } of cell.empty()) {
    if (origin?.live === false) continue;
    bury(cell, message, "stopped");
    origin?.refused("actor_stopped");
  }
}
