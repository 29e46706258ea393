/** An actor's turn: the system lane first, then control, then media, one message after the other. */

import type { Cell, Signal } from "./cell.ts";
import type { Envelope } from "./envelope.ts";
import { IdleWatch } from "./idle.ts";
import { Life } from "./life.ts";
import { crash, stop } from "./supervisor.ts";

/** Handles at most `budget` messages. True: there is more to do. See `Runnable.step`. */
export function takeTurn(cell: Cell, budget: number): boolean {
  const { scheduler } = cell.entry.host;
  for (let left = budget;;) {
    if (cell.signals !== null) obey(cell, cell.signals);
    if (cell.phase === "starting") {
      begin(cell);
      scheduler.spend(); // one that crashes at every start must not keep the loop
    }
    if (cell.signals !== null) continue;
    const { life } = cell;
    if (cell.phase !== "live" || life === null || life.holds > 0) return false;
    if (left-- === 0) return cell.control.length > 0 || (cell.media?.length ?? 0) > 0;
    const envelope = cell.control.shift() ?? cell.media?.shift();
    if (envelope === undefined) return false;
    handle(cell, life, envelope);
    if (scheduler.spend()) left = 0;
  }
}

function obey(cell: Cell, signals: readonly Signal[]): void {
  cell.signals = null;
  for (const signal of signals) {
    switch (signal.type) {
      case "stop":
        if (signal.life?.live !== false) stop(cell, signal.reason);
        break;
      case "crash":
        if (signal.life.live) crash(cell, signal.error, null);
        break;
      case "holdEnded":
        if (cell.life !== null) handle(cell, cell.life, signal.envelope);
    }
  }
}

function begin(cell: Cell): void {
  cell.phase = "live";
  try {
    const life = new Life(cell, cell.make(cell.id));
    cell.life = life;
    life.state = life.actor.init(life, cell.crashes?.restart);
  } catch (error) {
    return crash(cell, error, null);
  }
  const { passivateAfterMs } = cell.entry.kind;
  if (passivateAfterMs !== undefined) cell.idle ??= new IdleWatch(cell, passivateAfterMs);
}

function handle(cell: Cell, life: Life, envelope: Envelope): void {
  const { message, origin } = envelope;
  if (origin !== null) {
    if (!origin.live) return;
    origin.taken();
  }
  const { entry } = cell;
  const { host } = entry;
  entry.handled++;
  if (cell.idle !== null) cell.idle.lastAt = host.scheduler.stamp;
  host.trace?.(entry.kind.name, cell.id, message.type);
  host.handling = message;
  try {
    const handler = life.actor.on[message.type];
    if (handler === undefined) throw new Error(`No handler for "${message.type}"`);
    const next = handler(life.state, message, life);
    if (next !== undefined) life.state = next;
  } catch (error) {
    crash(cell, error, envelope);
  }
  host.handling = null;
}
