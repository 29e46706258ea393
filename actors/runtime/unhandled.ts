/** Errors that reached nobody: keeps the process up, finds the actor they came from, and says when there are too many. */

import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import { whoseCode } from "./blame.ts";

/** More than this within a minute and the process is not to be trusted: drain and exit. */
const MAX_PER_MINUTE = 5;
const MINUTE_MS = 60_000;

export interface ContainOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Told once when there are more than five within a minute. */
  readonly tooMany: () => void;
  /** Where the events come from; the global scope when absent. */
  readonly target?: EventTarget;
}

export interface Containment {
  /** How many there were; `attributed` of them crashed the actor whose work or guarded callback they came from. */
  readonly counts: { readonly attributed: number; readonly unattributed: number };
  /** Lets go: the next one ends the process again. */
  release(): void;
}

/**
 * Rejections find their actor through the promises of its work. Throws in a bare timer or event
 * listener carry no such trace and are only counted: those belong behind `ctx.guard`.
 */
export function containUnhandled(options: ContainOptions): Containment {
  const { clock, log, tooMany, target = globalThis } = options;
  const counts = { attributed: 0, unattributed: 0 };
  let times: number[] = [];
  let isTold = false;

  function contain(event: Event): void {
    event.preventDefault();
    const error = errorOf(event);
    const culprit = event.type === "unhandledrejection" ? whoseCode() : undefined;
    if (culprit === undefined) counts.unattributed++;
    else counts.attributed++;
    log.error("unhandled error", { source: event.type, attributed: culprit !== undefined, error });
    culprit?.fail(error);

    const now = clock.now();
    times = [...times.filter((at) => now - at < MINUTE_MS), now];
    if (times.length <= MAX_PER_MINUTE || isTold) return;
    isTold = true;
    tooMany();
  }

  target.addEventListener("unhandledrejection", contain);
  target.addEventListener("error", contain);
  return {
    counts,
    release() {
      target.removeEventListener("unhandledrejection", contain);
      target.removeEventListener("error", contain);
    },
  };
}

function errorOf(event: Event): unknown {
  if ("reason" in event) return event.reason;
  return "error" in event ? event.error : undefined;
}
