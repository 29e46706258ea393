/** Our runtime, as production starts it: bounded, supervised, inspectable, on the system clock. */

import type { Actor, Kind, Ref, Reply } from "@/actors/runtime/actor.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import type { Contender, Counted } from "./contender.ts";

type CounterMessage =
  | { readonly type: "count"; readonly n: number }
  | { readonly type: "question"; readonly n: number; readonly reply: Reply<number> };

const counterKind: Kind<CounterMessage> = {
  name: "counter",
  controlMax: 65_536,
  restart: "transient",
  intensity: { restarts: 3, withinMs: 5_000 },
  backoff: { minMs: 100, maxMs: 1_000 },
  poisonTries: 3,
};

const system = newSystem({ clock: systemClock, log: silentLog });
let spawned = 0;

type Make = () => Actor<number, CounterMessage>;

/** One behaviour for all who count alike: the memory measured is the runtime's share. */
const makes = new WeakMap<(message: Counted) => void, Make>();

function makeOf(handle: (message: Counted) => void): Make {
  const known = makes.get(handle);
  if (known !== undefined) return known;
  const actor: Actor<number, CounterMessage> = {
    init: () => 0,
    on: { count: (_, message) => handle(message), question: (_, message) => handle(message) },
  };
  const make = (): Actor<number, CounterMessage> => actor;
  makes.set(handle, make);
  return make;
}

export const ours: Contender<Ref<CounterMessage>> = {
  scale: 1,
  spawn: (handle) => system.spawn(counterKind, `counter_${spawned++}`, makeOf(handle)),
  tell: (actor, n) => void actor.send({ type: "count", n }),
  ask: (actor, n) => actor.ask<number>((reply) => ({ type: "question", n, reply })),
};
