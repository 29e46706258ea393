/** The inspector: shows and stops the actors of this machine for operators who are at another one. Never past a mailbox. */

import { z } from "zod";
import type { Actor, Kind, Reply } from "@/actors/runtime/actor.ts";
import type { ActorReport, ActorSummary } from "@/actors/runtime/inspection.ts";
import type { System } from "@/actors/runtime/system.ts";
import { type Crossings, type Reachable, reachable } from "@/actors/cluster/links/crossing.ts";

/** Summaries in one answer, which one frame must hold; those whose oldest message is oldest go first. */
export const LISTED_MAX = 250;

/** How a machine is, by itself. */
export interface Health {
  /** The age of the oldest message that waits in any mailbox of it, or for another machine; 0: none waits. */
  readonly oldestUndeliveredMs: number;
}

export interface Listing {
  readonly actors: readonly ActorSummary[];
  /** More live than are listed. */
  readonly leftOut: number;
}

export type InspectorMessage =
  | { type: "inspect"; kind: string; id: string; reply: Reply<ActorReport | null> }
  /** Null: of all kinds. */
  | { type: "list"; kind: string | null; reply: Reply<Listing> }
  | { type: "health"; reply: Reply<Health> }
  /** False: no such actor lives here. */
  | { type: "stop"; kind: string; id: string; why: string; reply: Reply<boolean> };

export const inspectorKind: Kind<InspectorMessage> = {
  name: "inspector",
  controlMax: 256,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};
/** There is one. */
export const INSPECTOR_ID = "inspector";

export interface InspectorDeps {
  readonly system: Pick<System, "inspect" | "list" | "stop">;
  health(): Health;
}

export function inspector({ system, health }: InspectorDeps): Actor<null, InspectorMessage> {
  return {
    init: () => null,
    on: {
      inspect: (_state, { kind, id, reply }) => reply(asJson(system.inspect(kind, id))),
      list: (_state, { kind, reply }) => reply(listed(system.list(kind ?? undefined))),
      health: (_state, { reply }) => reply(health()),
      stop: (_state, { kind, id, why, reply }) => reply(system.stop(kind, id, why)),
    },
  };
}

function listed(all: readonly ActorSummary[]): Listing {
  const age = ({ oldestMessageMs }: ActorSummary): number => oldestMessageMs ?? -1;
  const actors = all.toSorted((a, b) => age(b) - age(a)).slice(0, LISTED_MAX);
  return { actors, leftOut: all.length - actors.length };
}

/** A view may hold what JSON writes in its own way. */
function asJson(report: ActorReport | null): ActorReport | null {
  return JSON.parse(JSON.stringify(report));
}

const name = z.string().max(128);
/** What is shown as it is, whatever version made it. */
const shown = z.looseObject({ kind: z.string(), id: z.string() });

const MESSAGES: Crossings<InspectorMessage> = {
  inspect: {
    message: z.object({ type: z.literal("inspect"), kind: name, id: name }),
    reply: "always",
    answer: shown.nullable(),
  },
  list: {
    message: z.object({ type: z.literal("list"), kind: name.nullable() }),
    reply: "always",
    answer: z.object({ actors: z.array(shown), leftOut: z.number() }),
  },
  health: {
    message: z.object({ type: z.literal("health") }),
    reply: "always",
    answer: z.object({ oldestUndeliveredMs: z.number() }),
  },
  stop: {
    message: z.object({ type: z.literal("stop"), kind: name, id: name, why: name }),
    reply: "always",
    answer: z.boolean(),
  },
};

export function inspectorCrossing(system: Pick<System, "find">): Reachable {
  return reachable(inspectorKind, {
    placement: "local",
    messages: MESSAGES,
    here: () => system.find(inspectorKind, INSPECTOR_ID),
  });
}
