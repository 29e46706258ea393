/** An actor that does what a test tells it and remembers what it has heard. */

import type {
  Actor,
  Context,
  Kind,
  Ref,
  Reply,
  Restart,
  StopReason,
} from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";

export type ProbeMessage =
  | { type: "note"; text: string }
  | { type: "frame"; n: number } // media lane
  | { type: "act"; act: (ctx: Context<ProbeMessage>) => void }
  | { type: "heard"; reply: Reply<readonly string[]> };

/** What happened, in order, over all lives of a probe. */
export interface Probe {
  readonly ref: Ref<ProbeMessage>;
  readonly events: string[];
  readonly restarts: Restart[];
  readonly stops: StopReason[];
  act(act: (ctx: Context<ProbeMessage>) => void): void;
  note(text: string): boolean;
}

export function probeKind(changes: Partial<Kind<ProbeMessage>> = {}): Kind<ProbeMessage> {
  return {
    name: "probe",
    controlMax: 100,
    media: { types: ["frame"], max: 3 },
    restart: "transient",
    intensity: { restarts: 3, withinMs: 10_000 },
    backoff: { minMs: 0, maxMs: 0 },
    poisonTries: 1,
    ...changes,
  };
}

const PROBE = probeKind();

export interface ProbeOptions {
  readonly kind?: Kind<ProbeMessage>;
  readonly id?: string;
  readonly init?: (ctx: Context<ProbeMessage>, restart?: Restart) => void;
  /** Makes its last words throw. */
  readonly lastWords?: () => void;
}

/** Starts a probe that has no parent. */
export function startProbe(system: System, options: ProbeOptions = {}): Probe {
  const stops: StopReason[] = [];
  const record = newRecord(options);
  const ref = system.spawn(options.kind ?? PROBE, options.id ?? "p", record.make, {
    stopped: (reason) => stops.push(reason),
  });
  return probeOf(ref, record, stops);
}

interface ProbeRecord {
  readonly events: string[];
  readonly restarts: Restart[];
  readonly make: () => Actor<number, ProbeMessage>;
}

/** The behaviour alone, for children and registered kinds. Its state is the number of messages handled in this life. */
export function newRecord(options: ProbeOptions = {}): ProbeRecord {
  const events: string[] = [];
  const restarts: Restart[] = [];
  const make = (): Actor<number, ProbeMessage> => ({
    init(ctx, restart) {
      events.push(restart === undefined ? "init" : "again");
      if (restart !== undefined) restarts.push(restart);
      options.init?.(ctx, restart);
      return 0;
    },
    on: {
      note(handled, { text }) {
        events.push(text);
        if (text === "boom") throw new Error("boom");
        return handled + 1;
      },
      frame(handled, { n }) {
        events.push(`frame ${n}`);
        return handled + 1;
      },
      act(handled, { act }, ctx) {
        act(ctx);
        return handled + 1;
      },
      heard(_, { reply }) {
        reply(events);
      },
    },
    view: (handled) => ({ handled }),
    stopped(_, reason) {
      events.push(`stopped: ${reason.type}`);
      options.lastWords?.();
    },
  });
  return { events, restarts, make };
}

export function probeOf(
  ref: Ref<ProbeMessage>,
  record: ProbeRecord,
  stops: StopReason[] = [],
): Probe {
  return {
    ref,
    events: record.events,
    restarts: record.restarts,
    stops,
    act: (act) => void ref.send({ type: "act", act }),
    note: (text) => ref.send({ type: "note", text }),
  };
}
