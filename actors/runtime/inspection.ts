/** What an operator may see of an actor. Never a payload: types, ages and sizes of messages only. */

import { messageOf } from "@/lib/errors.ts";
import type { Cell, CellPhase } from "./cell.ts";
import type { Envelope } from "./envelope.ts";
import { NO_STATE } from "./life.ts";
import type { WorkType } from "./work.ts";

const LAST_MESSAGES = 16;

export interface ActorSummary {
  readonly kind: string;
  readonly id: string;
  readonly phase: CellPhase;
  readonly depth: { readonly system: number; readonly control: number; readonly media: number };
  /** Null when nothing waits. */
  readonly oldestMessageMs: number | null;
  readonly crashes: number;
}

export interface ActorReport extends ActorSummary {
  readonly parent: { readonly kind: string; readonly id: string } | null;
  readonly children: readonly { readonly kind: string; readonly id: string }[];
  /** What the actor's own `view` shows of its state; null when it has none. */
  readonly view: unknown;
  /** The message being handled, or the hold that keeps the mailbox shut; null when it is at rest. */
  readonly handling: { readonly type: string; readonly forMs: number } | null;
  readonly waiting: readonly MessageTrace[];
  /** Newest first. */
  readonly lastMessages: readonly MessageTrace[];
  readonly lastError: { readonly message: string; readonly at: string } | null;
  readonly works: readonly {
    readonly type: WorkType;
    readonly name: string;
    readonly forMs: number;
  }[];
}

/** A message without what it says. Its size is that of its strings (UTF-16 units) and bytes, roughly. */
export interface MessageTrace {
  readonly type: string;
  readonly ageMs: number;
  readonly size: number;
}

export function summaryOf(cell: Cell): ActorSummary {
  const { kind, id, phase, control, media, signals } = cell;
  const now = cell.entry.host.clock.now();
  const oldest = [control.peek(), media?.peek()].filter((envelope) => envelope !== undefined);
  const ages = oldest.map(({ at }) => ageOf(now, at));
  return {
    kind,
    id,
    phase,
    depth: { system: signals?.length ?? 0, control: control.length, media: media?.length ?? 0 },
    oldestMessageMs: ages.length === 0 ? null : Math.max(...ages),
    crashes: cell.crashes?.total ?? 0,
  };
}

export function reportOf(cell: Cell): ActorReport {
  const { parent, life, control, media } = cell;
  const now = cell.entry.host.clock.now();
  const trace = ({ message, at }: Envelope): MessageTrace => {
    return { type: message.type, ageMs: ageOf(now, at), size: sizeOf(message) };
  };
  const last = [...control.recent(LAST_MESSAGES), ...media?.recent(LAST_MESSAGES) ?? []];
  const works = [...life?.works?.values() ?? []].map(({ type, name, since }) => {
    return { type, name, forMs: ageOf(now, since) };
  });
  return {
    ...summaryOf(cell),
    parent: parent === null ? null : nameOf(parent),
    children: [...life?.children ?? []].map(nameOf),
    view: viewOf(cell),
    handling: handlingOf(cell, works, now),
    waiting: [...control.waiting(), ...media?.waiting() ?? []].slice(0, LAST_MESSAGES).map(trace),
    lastMessages: last.sort((a, b) => b.at - a.at).slice(0, LAST_MESSAGES).map(trace),
    lastError: cell.crashes?.lastError ?? null,
    works,
  };
}

function handlingOf(
  cell: Cell,
  works: ActorReport["works"],
  now: number,
): ActorReport["handling"] {
  const { scheduler, handling } = cell.entry.host;
  if (handling !== null && scheduler.current === cell) {
    return { type: handling.type, forMs: ageOf(now, scheduler.stamp) };
  }
  const hold = works.find(({ type }) => type === "hold");
  return hold === undefined ? null : { type: `hold ${hold.name}`, forMs: hold.forMs };
}

function viewOf(cell: Cell): unknown {
  const { life } = cell;
  if (life === null || life.state === NO_STATE || life.actor.view === undefined) return null;
  try {
    return life.actor.view(life.state);
  } catch (error) {
    return { viewThrew: messageOf(error) };
  }
}

function nameOf({ kind, id }: Cell): { kind: string; id: string } {
  return { kind, id };
}

function ageOf(now: number, at: number): number {
  return Math.max(0, Math.round(now - at));
}

function sizeOf(value: unknown, depth = 3): number {
  if (typeof value === "string") return value.length;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== "object" || value === null || depth === 0) return 8;
  return Object.values(value).reduce((sum: number, part) => sum + sizeOf(part, depth - 1), 0);
}
