/** A leg: one media socket of a carrier. It turns wire messages into messages to a call, and back. */

import type { Actor, Context, Kind, Ref } from "@/actors/runtime/actor.ts";
import type { FromRecording } from "@/actors/recording/recording.ts";
import type { Running } from "@/actors/recording/recordings.ts";
import { AppError } from "@/lib/errors.ts";
import type { MediaEvent, MediaProtocol, Notice } from "@/lib/providers/carrier/carrier.ts";
import type { SaidPart } from "@/lib/providers/carrier/relay.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { type MarkArrival, parseMark } from "./ledger.ts";
import { LineMeter } from "./line_meter.ts";
import type { ListenerMessage } from "./listener.ts";
import { Joiner, type Pieces } from "./pieces.ts";
import type { SpeakerMessage } from "./speaker.ts";
import type { TapMessage } from "./tap.ts";
import { Tape } from "./tape.ts";

export type LegMessage =
  /** From the socket, before it has started. After that audio goes past this mailbox: fifty messages a second would only pass through. */
  | { type: "audioCame"; audio: Uint8Array; atMs: number; now: number }
  | { type: "told"; event: Exclude<MediaEvent, { type: "audio" }>; arrival: MarkArrival }
  | { type: "badMessage"; code: number; reason: string }
  | { type: "socketClosed"; code: number }
  /** From the speaker. */
  | { type: "play"; audio: Uint8Array }
  | { type: "mark"; name: string }
  /** Drop what has not played; `mark` comes back when that has been done. */
  | { type: "clear"; mark: string }
  /** From a speaker whose carrier has the voice. */
  | { type: "say"; part: SaidPart }
  | { type: "hush" }
  | { type: "speakIn"; language: string }
  | { type: "press"; keys: string }
  /** From the call, for a screen; where there is none nothing is sent. */
  | { type: "show"; notice: Notice }
  /** From the call: what goes over the line is recorded from now on; null: no more. */
  | { type: "tape"; running: Running | null; isPaused: boolean }
  | { type: "pauseTape"; isPaused: boolean }
  /** From the call: who is told of what goes over the line from now on. */
  | { type: "taps"; taps: readonly Pick<Ref<TapMessage>, "send">[] }
  /** `why`: a carrier that asks what is next is told. */
  | { type: "hangUp"; why?: string }
  | { type: "startMissed" }
  /** From itself: whether frames come. */
  | { type: "lookDue" };

/** What a leg tells its call. */
export type FromLeg =
  | { type: "legStarted"; carrierCallId: string; epoch: number }
  | { type: "marked"; name: string } & MarkArrival
  | { type: "pressed"; digit: string }
  /** The carrier says that something went wrong; the leg goes on. */
  | { type: "legFaulted" }
  /**
   * `stopped`: the carrier said so; else the socket was lost. `wasRefused`: one side would not take what the other
   * said. `wasSilent`: it is open still, for all that the carrier knows.
   */
  | {
    type: "legEnded";
    stopped: boolean;
    epoch: number;
    wasRefused?: boolean;
    wasSilent?: boolean;
  };

export const legKind: Kind<LegMessage> = {
  name: "leg",
  controlMax: 4096, // a cut of a long reply returns a mark a word at once
  media: { types: ["audioCame"], max: 50 }, // one second
  restart: "temporary", // a socket cannot be made again; the call's resume brings another
  intensity: { restarts: 0, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

/** Of a socket that is closed since what came over it is not of the protocol. */
const REFUSED = 1008;
/** The carrier must say `start` within this, or the socket is closed with 1008. */
export const START_WITHIN_MS = 5_000;
/** Of a line that is steady: from one look at its frames to the next, and how many may find no new one. */
export const LOOK_MS = 750;
export const SILENT_LOOKS = 3;
/** More than this unsent means that the carrier has stopped reading: over a minute of speech. */
export const UNSENT_MAX_BYTES = 1024 * 1024;

export interface LegSettings {
  readonly epoch: number;
  /** What `start` must carry as its parameter `token`. */
  readonly token: string;
  /** The carrier's call id that `start` must name. */
  readonly carrierCallId: string;
}

export interface LegDeps {
  readonly socket: MessageSocket;
  readonly protocol: MediaProtocol;
  readonly call: Pick<Ref<FromLeg | FromRecording>, "send">;
  readonly listener: Pick<Ref<ListenerMessage>, "send">;
  /** How much the listener is told at once. */
  readonly pieces: Pick<Pieces, "frames">;
  /** Told of what a carrier that has the voice plays. */
  readonly speaker?: Pick<Ref<SpeakerMessage>, "send">;
}

interface State {
  readonly phase: "waiting" | "started" | "stopped";
  /** Frames that had come at the last look, and looks since then that found no more. */
  readonly frames: number;
  readonly silentLooks: number;
}

export function leg(settings: LegSettings, deps: LegDeps): Actor<State, LegMessage> {
  const { socket, protocol, call, listener, pieces, speaker } = deps;
  const line = new LineMeter();
  const joiner = new Joiner();
  /** The phase as of the last message, for what goes past the mailbox. */
  let isStarted = false;
  let wasRefused = false;
  let wasSilent = false;
  /** This leg's own; changed in place. */
  let tape: Tape | null = null;
  let clock: () => number = () => 0;
  let taps: readonly Pick<Ref<TapMessage>, "send">[] = [];

  function record({ ref, originMs }: Running, isPaused: boolean): Tape {
    return new Tape({
      originMs,
      isPaused,
      now: clock(),
      give(piece) {
        if (ref.send({ type: "piece", piece })) return;
        tape = null;
        call.send({ type: "recordingLost", reason: "store_slow" });
      },
    });
  }

  function hear(audio: Uint8Array, atMs: number, now: number): void {
    const piece = joiner.add(audio, pieces.frames);
    if (piece !== null) listener.send({ type: "audio", audio: piece });
    tape?.caller(audio, { now, atMs, earliestMs: line.earliestMs });
    for (const one of taps) one.send({ type: "went", side: "caller", audio });
  }

  /** A wire message as one of ours; what is not of the protocol closes the socket with 1008. */
  function read(data: string | Uint8Array, now: number): LegMessage | void {
    try {
      const event = typeof data === "string" ? protocol.parse(data) : protocol.parseBinary?.(data);
      if (event === undefined) {
        return { type: "badMessage", code: REFUSED, reason: "Binary message" };
      }
      if (event.type !== "audio") {
        return { type: "told", event, arrival: { at: now, ...line.reading } };
      }
      line.frame(now, event.atMs);
      const { audio, atMs } = event;
      if (!isStarted) return { type: "audioCame", audio, atMs, now };
      hear(audio, atMs, now);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { type: "badMessage", code: REFUSED, reason: `Bad message: ${error.field ?? "JSON"}` };
    }
  }

  /** A carrier that does not read is dropped, without a close frame that would stand behind all it has not read. */
  function send(state: State, ctx: Context<LegMessage>, message: () => string | Uint8Array): void {
    if (state.phase !== "started") return;
    if (socket.bufferedBytes > UNSENT_MAX_BYTES) return refuse(ctx, 1006, "Carrier does not read");
    socket.send(message());
  }

  function refuse(ctx: Context<LegMessage>, code: number, reason: string): void {
    wasRefused = code === REFUSED;
    socket.close(code, reason);
    ctx.stop();
  }

  function started(
    state: State,
    event: Extract<MediaEvent, { type: "started" }>,
    ctx: Context<LegMessage>,
  ): State | void {
    if (state.phase !== "waiting") return refuse(ctx, REFUSED, "Stream has started already");
    if (event.parameters.token !== settings.token) return refuse(ctx, REFUSED, "Token is wrong");
    if (event.carrierCallId !== settings.carrierCallId) return refuse(ctx, REFUSED, "Another call");
    ctx.cancel("start");
    call.send({
      type: "legStarted",
      carrierCallId: event.carrierCallId,
      epoch: settings.epoch,
    });
    isStarted = true;
    if (protocol.isSteady) ctx.timer("look", LOOK_MS, { type: "lookDue" });
    return { ...state, phase: "started" };
  }

  return {
    init(ctx) {
      clock = () => ctx.now();
      socket.listen({
        message: ctx.guard((data) => read(data, ctx.now())),
        closed: ctx.guard((code) => ({ type: "socketClosed", code } as const)),
      });
      ctx.timer("start", START_WITHIN_MS, { type: "startMissed" });
      return { phase: "waiting", frames: 0, silentLooks: 0 };
    },
    on: {
      audioCame(state, { audio, atMs, now }) {
        if (state.phase === "started") hear(audio, atMs, now);
      },
      told(state, { event, arrival }, ctx) {
        switch (event.type) {
          case "connected":
            return;
          case "started":
            return started(state, event, ctx);
          case "mark":
            tape?.marked(event.name, arrival.at);
            call.send({ type: "marked", name: event.name, ...arrival });
            return;
          case "dtmf":
            call.send({ type: "pressed", digit: event.digit });
            return;
          case "typed":
            if (state.phase === "started") {
              const { text, isFinal } = event;
              listener.send({ type: "typed", text, isFinal });
            }
            return;
          case "relayed":
            speaker?.send({ type: "relayed", event: event.event });
            return;
          case "faulted":
            call.send({ type: "legFaulted" });
            return;
          case "stopped": // the call is over, whenever the carrier closes the socket
            isStarted = false;
            ctx.stop();
            return { ...state, phase: "stopped" };
        }
      },
      badMessage(_state, { code, reason }, ctx) {
        refuse(ctx, code, reason);
      },
      startMissed(_state, _message, ctx) {
        refuse(ctx, REFUSED, "No start came");
      },
      // Not by the clock: a process that stood still itself finds in its sockets what came meanwhile.
      lookDue(state, _message, ctx) {
        const { frames } = line.reading;
        const silentLooks = frames === state.frames ? state.silentLooks + 1 : 0;
        if (silentLooks < SILENT_LOOKS) {
          ctx.timer("look", LOOK_MS, { type: "lookDue" });
          return { ...state, frames, silentLooks };
        }
        wasSilent = true;
        refuse(ctx, 1006, "No frames come");
        return state;
      },
      socketClosed(_state, { code }, ctx) {
        wasRefused ||= code === REFUSED;
        ctx.stop();
      },
      play(state, { audio }, ctx) {
        send(state, ctx, () => protocol.audio(audio));
        tape?.agent(audio, ctx.now());
        for (const one of taps) one.send({ type: "went", side: "agent", audio });
      },
      mark(state, { name }, ctx) {
        if (tape !== null && parseMark(name)?.place.type === "start") tape.start(name);
        send(state, ctx, () => protocol.mark(name));
      },
      clear(state, { mark }, ctx) {
        // The mark first: the clear then returns it as the last of all that it drops, at one instant.
        send(state, ctx, () => protocol.mark(mark));
        send(state, ctx, () => protocol.clear());
        tape?.cut(mark, ctx.now());
        for (const one of taps) one.send({ type: "cleared" });
      },
      say(state, { part }, ctx) {
        const { relay } = protocol;
        if (relay !== undefined) send(state, ctx, () => relay.say(part));
      },
      hush(state, _message, ctx) {
        const { relay } = protocol;
        if (relay !== undefined) send(state, ctx, () => relay.hush());
      },
      speakIn(state, { language }, ctx) {
        const { relay } = protocol;
        if (relay !== undefined) send(state, ctx, () => relay.language(language));
      },
      press(state, { keys }, ctx) {
        const { relay } = protocol;
        if (relay !== undefined) send(state, ctx, () => relay.press(keys));
      },
      show(_state, { notice }) {
        const shown = protocol.show?.(notice);
        if (shown !== undefined) socket.send(shown); // the first comes before `start`
      },
      tape(_state, { running, isPaused }) {
        tape?.end(clock());
        tape = running === null ? null : record(running, isPaused);
      },
      pauseTape(_state, { isPaused }) {
        if (isPaused) tape?.pause(clock());
        else tape?.resume(clock());
      },
      taps(_state, message) {
        taps = message.taps;
      },
      hangUp(state, { why = "ended" }, ctx) {
        const { relay } = protocol;
        if (relay !== undefined) send(state, ctx, () => relay.end(why));
        ctx.stop();
      },
    },
    view: ({ phase, frames }) => ({
      phase,
      frames,
      epoch: settings.epoch,
      unsentBytes: socket.bufferedBytes,
    }),
    stopped(state, reason) {
      const rest = joiner.take();
      const isOwn = reason.type === "done"; // else the call stops its listener as well
      if (isOwn && rest.length > 0) listener.send({ type: "audio", audio: rest });
      tape?.end(clock());
      socket.close(1000, "Call leg ended");
      call.send({
        type: "legEnded",
        stopped: state.phase === "stopped",
        epoch: settings.epoch,
        ...(wasRefused ? { wasRefused } : {}),
        ...(wasSilent ? { wasSilent } : {}),
      });
    },
  };
}
