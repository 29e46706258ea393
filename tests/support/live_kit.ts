/** An actor system in real time, for what stands behind real sockets: the actor kit's shape, and its clock counts timers. */

import { newSystem } from "@/actors/runtime/system.ts";
import { type Clock, sleep, systemClock } from "@/lib/clock.ts";
import { newLog } from "@/lib/log.ts";
import type { ActorKit } from "./actor_kit.ts";
import type { ManualClock } from "./manual_clock.ts";

/** A real clock that knows how many timers are armed; its `advance` waits. */
export function liveClock(): ManualClock {
  let armed = 0;
  const timer: Clock["timer"] = (ms, callback) => {
    let isArmed = true;
    const settle = (): void => {
      if (isArmed) armed--;
      isArmed = false;
    };
    armed++;
    const cancel = systemClock.timer(ms, () => {
      settle();
      callback();
    });
    return () => {
      settle();
      cancel();
    };
  };
  return {
    ...systemClock,
    timer,
    advance: (ms) => sleep(systemClock, ms),
    advanceTo: (ms) => sleep(systemClock, ms - systemClock.now()),
    settle: () => sleep(systemClock, 0),
    yieldTo: (resume) => void systemClock.timer(0, resume),
    get armed() {
      return armed;
    },
  };
}

export function liveKit(): ActorKit {
  const clock = liveClock();
  const logged: string[] = [];
  const system = newSystem({
    clock,
    log: newLog({
      level: "info",
      pii: false,
      date: clock.date,
      write: (line) => void logged.push(line),
    }),
  });
  return { clock, system, trace: [], traceHash: () => "", logged, settle: clock.settle };
}
