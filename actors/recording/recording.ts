/** A recording: puts what a call's tape gives into storage, segment by segment, and never delays the call. */

import type { Actor, Context, Kind, Outcome, Ref } from "@/actors/runtime/actor.ts";
import type { TapePiece } from "@/actors/call/tape.ts";
import type { RecordingEnd } from "@/db/recordings.ts";
import type { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { SEGMENT_BYTES, segmentKey, STORED_BYTES_PER_MS } from "@/lib/recording/segments.ts";
import { Cutter, type Earlier, type Segment } from "./cutter.ts";

export type RecordingMessage =
  /** From a leg: what was said and heard, in order. */
  | { type: "piece"; piece: TapePiece }
  /** The call is over, and so are its legs: or it `goesOn` on another machine, which ends this. May come twice. */
  | { type: "stop"; goesOn?: true }
  /** It is another machine's: what is not stored is lost. */
  | { type: "abandon" }
  | { type: "opened"; outcome: Outcome<Opened> }
  | { type: "written"; outcome: Outcome<void> }
  | { type: "writeLate" }
  | { type: "tryAgain" }
  /** `false`: its row is gone, and so must be what it has stored. */
  | { type: "closed"; outcome: Outcome<boolean> }
  | { type: "closeAgain" };

/** What a recording tells its call. */
export type FromRecording = { type: "recordingLost"; reason: RecordingFault };

/** Why a recording failed. */
export type RecordingFault = "store_failed" | "store_slow" | "database_unavailable" | "crashed";

export const recordingKind: Kind<RecordingMessage> = {
  name: "recording",
  controlMax: 64, // a piece of 16 kB a second: a minute
  restart: "temporary",
  intensity: { restarts: 0, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

/** A write that takes longer has failed. */
export const WRITE_MS = 5_000;
/** Of one segment, or of the row that tells of them. */
export const TRIES_MAX = 3;
const TRY_AGAIN_MS = 500;
/** Of how it ended, with doubling waits between them. */
const CLOSES_MAX = 8;

/** Pieces, of a second each, that wait for it to be opened. */
const EARLY_MAX = 20;

/** Where its segments go, and what is there already; null: nothing. */
export interface Opened {
  readonly prefix: string;
  readonly objects: ObjectStore;
  readonly earlier: Earlier | null;
}

export interface RecordingDeps {
  readonly call: Pick<Ref<FromRecording>, "send">;
  /** Writes its row, or finds the one that another machine has written: no segment is stored before. May run again. */
  open(signal: AbortSignal): Promise<Opened>;
  /** Writes how it came out; false when there is no such row any more. May run again. */
  close(end: RecordingEnd, signal: AbortSignal): Promise<boolean>;
  readonly log: Log;
}

interface State {
  readonly phase: "opening" | "recording" | "closing";
  readonly place: Omit<Opened, "earlier"> | null;
  /** What came before it was opened. */
  readonly early: readonly TapePiece[];
  /** Owned by this incarnation; changed in place. */
  readonly cutter: Cutter;
  /** What is being stored. */
  readonly writing: Segment | null;
  /** Of the write or of the row that is being tried. */
  readonly failures: number;
  /** Stored so far. */
  readonly segments: number;
  readonly bytes: number;
  /** The call is over: nothing more comes. */
  readonly isOver: boolean;
  /** Another machine goes on with it. */
  readonly goesOn: boolean;
  readonly end: RecordingEnd | null;
}

export function recording(deps: RecordingDeps): Actor<State, RecordingMessage> {
  const { call } = deps;

  function open(ctx: Context<RecordingMessage>): void {
    ctx.run("open", deps.open, (outcome) => ({ type: "opened", outcome }));
  }

  /** Stores the oldest segment that waits; when none is left of one that is over, closes it. */
  function write(state: State, ctx: Context<RecordingMessage>): State {
    if (state.phase !== "recording" || state.writing !== null) return state;
    const segment = state.cutter.next();
    if (segment !== null) return put({ ...state, writing: segment, failures: 0 }, segment, ctx);
    if (!state.isOver) return state;
    if (!state.goesOn) return close(state, { status: "complete", reason: null }, ctx);
    ctx.stop();
    return state;
  }

  function put(state: State, { index, audio }: Segment, ctx: Context<RecordingMessage>): State {
    const { place } = state;
    if (place === null) return state;
    const { objects, prefix } = place;
    ctx.timer("write late", WRITE_MS, { type: "writeLate" });
    ctx.run(
      "write",
      (signal) => objects.put(segmentKey(prefix, index), audio, signal),
      (outcome) => ({ type: "written", outcome }),
    );
    return state;
  }

  function tryAgain(state: State, fault: RecordingFault, ctx: Context<RecordingMessage>): State {
    const failures = state.failures + 1;
    if (failures >= TRIES_MAX) return fail(state, fault, ctx);
    ctx.timer("again", TRY_AGAIN_MS * 2 ** (failures - 1), { type: "tryAgain" });
    return { ...state, failures };
  }

  /** What is stored stays; the call goes on without. */
  function fail(state: State, reason: RecordingFault, ctx: Context<RecordingMessage>): State {
    if (state.phase === "closing") return state;
    for (const name of ["open", "write", "write late", "again"]) ctx.cancel(name);
    deps.log.warn("recording failed", { prefix: state.place?.prefix, reason });
    call.send({ type: "recordingLost", reason });
    return close(state, { status: "failed", reason }, ctx);
  }

  function close(
    state: State,
    how: Pick<RecordingEnd, "status" | "reason">,
    ctx: Context<RecordingMessage>,
  ): State {
    const { segments, bytes } = state;
    const durationMs = Math.round(bytes / STORED_BYTES_PER_MS);
    const end = { ...how, segments, bytes, durationMs, endedAt: ctx.date() };
    writeEnd(end, state.place, ctx);
    return { ...state, phase: "closing", cutter: new Cutter(), writing: null, failures: 0, end };
  }

  function writeEnd(
    end: RecordingEnd,
    place: State["place"],
    ctx: Context<RecordingMessage>,
  ): void {
    ctx.run(
      "close",
      async (signal) => {
        const isKnown = await deps.close(end, signal);
        if (!isKnown) await place?.objects.delete(place.prefix, signal); // erased while it was being stored
        return isKnown;
      },
      (outcome) => ({ type: "closed", outcome }),
    );
  }

  return {
    init(ctx) {
      open(ctx);
      const nothing = { writing: null, failures: 0, segments: 0, bytes: 0, end: null };
      const begun = { place: null, early: [], isOver: false, goesOn: false };
      return { phase: "opening", cutter: new Cutter(), ...begun, ...nothing };
    },
    on: {
      piece(state, { piece }, ctx) {
        if (state.phase === "closing" || state.isOver) return state;
        if (state.phase === "opening") {
          if (state.early.length === EARLY_MAX) return fail(state, "store_slow", ctx);
          return { ...state, early: [...state.early, piece] };
        }
        if (!state.cutter.add(piece)) return fail(state, "store_slow", ctx);
        return write(state, ctx);
      },
      stop(state, { goesOn = false }, ctx) {
        if (state.phase === "closing" || state.isOver) return state;
        if (state.phase === "recording") state.cutter.finish();
        return write({ ...state, isOver: true, goesOn }, ctx);
      },
      abandon: (_state, _message, ctx) => ctx.stop(),
      opened(state, { outcome }, ctx) {
        if (state.phase !== "opening") return state;
        if (!outcome.ok) return tryAgain(state, faultOf(outcome.error), ctx);
        const { earlier, ...place } = outcome.value;
        const cutter = new Cutter(earlier);
        for (const piece of state.early) cutter.add(piece);
        if (state.isOver) cutter.finish();
        const segments = earlier?.index ?? 0;
        const stored = { segments, bytes: segments * SEGMENT_BYTES };
        const opened = { ...state, ...stored, cutter, place, early: [], failures: 0 };
        return write({ ...opened, phase: "recording" }, ctx);
      },
      written(state, { outcome }, ctx) {
        ctx.cancel("write late");
        if (state.writing === null) return state;
        if (!outcome.ok) return tryAgain(state, "store_failed", ctx);
        const { audio } = state.writing;
        const stored = {
          ...state,
          writing: null,
          segments: state.segments + 1,
          bytes: state.bytes + audio.length,
        };
        return write(stored, ctx);
      },
      writeLate(state, _message, ctx) {
        if (state.writing === null) return state;
        ctx.cancel("write");
        return tryAgain(state, "store_slow", ctx);
      },
      tryAgain(state, _message, ctx) {
        if (state.phase === "opening") open(ctx);
        else if (state.writing !== null) put(state, state.writing, ctx);
      },
      closed(state, { outcome }, ctx) {
        if (outcome.ok || state.end === null) return ctx.stop();
        const failures = state.failures + 1;
        if (failures === CLOSES_MAX) {
          const { prefix } = state.place ?? {};
          deps.log.error("end of a recording not stored", { prefix, error: outcome.error });
          return ctx.stop();
        }
        ctx.timer("close again", TRY_AGAIN_MS * 2 ** (failures - 1), { type: "closeAgain" });
        return { ...state, failures };
      },
      closeAgain({ end, place }, _message, ctx) {
        if (end !== null) writeEnd(end, place, ctx);
      },
    },
    view: ({ phase, cutter, segments, bytes, failures }) => ({
      phase,
      segments,
      bytes,
      waiting: cutter.waitingCount,
      failures,
    }),
  };
}

/** Why it could not be opened: its row, or what another machine has stored of it. */
function faultOf({ code }: AppError): RecordingFault {
  return code === "database_unavailable" ? code : "store_failed";
}
