/**
 * A tap: somebody of the company who listens to a live call over a socket of their own, and may take the agent's place.
 * What goes over the line is told as it goes: theirs binary, a byte for the side (0 the caller, 1 the agent) and µ-law
 * of 8 kHz behind it. The agent's is ahead of time, as the carrier gets it; `cleared` drops what has not played.
 */

import type { Actor, Kind, Ref } from "@/actors/runtime/actor.ts";
import { FRAME_BYTES } from "@/lib/audio/frame.ts";
import type { MessageSocket } from "@/lib/socket.ts";

/** Somebody who reads so slowly is let go: some ten seconds of both sides. */
const UNSENT_MAX_BYTES = 160_000;
/** The most of a microphone in one message: half a second. */
const SPOKEN_MAX_BYTES = 4_000;

export type TapMessage =
  /** From the leg. */
  | { type: "went"; side: "caller" | "agent"; audio: Uint8Array }
  | { type: "cleared" }
  /** From the call: nothing is told of what is said at a sensitive node. */
  | { type: "hushed"; isHushed: boolean }
  | { type: "answered"; answer: TapAnswer }
  | { type: "callEnded" }
  /** From the socket. */
  | { type: "asked"; ask: TapAsk }
  | { type: "spoke"; audio: Uint8Array }
  | { type: "badMessage" }
  | { type: "socketClosed" };

/** In the agent's place, and back. */
export type TapAsk = "take" | "give";
/** `refused`: another has taken the call, or it cannot be taken now. */
export type TapAnswer = "taken" | "given" | "refused";

/** What a tap tells its call. */
export type FromTap =
  | { type: "tapAsked"; tap: number; ask: TapAsk }
  /** Whole frames of a microphone. */
  | { type: "tapSpoke"; tap: number; audio: Uint8Array };

export const tapKind: Kind<TapMessage> = {
  name: "tap",
  controlMax: 1_024,
  media: { types: ["went", "spoke"], max: 100 },
  restart: "temporary", // a socket cannot be made again
  intensity: { restarts: 0, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

interface State {
  readonly isHushed: boolean;
}

export function tap(
  { id, socket, call, isHushed }: {
    readonly id: number;
    readonly socket: MessageSocket;
    readonly call: Pick<Ref<FromTap>, "send">;
    readonly isHushed: boolean;
  },
): Actor<State, TapMessage> {
  const tell = (message: object): void => socket.send(JSON.stringify(message));

  function read(data: string | Uint8Array): TapMessage {
    if (typeof data !== "string") {
      const isWhole = data.length > 0 && data.length % FRAME_BYTES === 0;
      if (!isWhole || data.length > SPOKEN_MAX_BYTES) return { type: "badMessage" };
      return { type: "spoke", audio: data };
    }
    if (data === '{"type":"take"}') return { type: "asked", ask: "take" };
    if (data === '{"type":"give"}') return { type: "asked", ask: "give" };
    return { type: "badMessage" };
  }

  return {
    init(ctx) {
      socket.listen({
        message: ctx.guard(read),
        closed: ctx.guard(() => ({ type: "socketClosed" } as const)),
      });
      tell({ type: "listening" });
      return { isHushed };
    },
    on: {
      went(state, { side, audio }, ctx) {
        if (state.isHushed) return;
        if (socket.bufferedBytes > UNSENT_MAX_BYTES) {
          socket.close(1013, "Reads too slowly");
          return ctx.stop();
        }
        const message = new Uint8Array(audio.length + 1);
        message[0] = side === "caller" ? 0 : 1;
        message.set(audio, 1);
        socket.send(message);
      },
      cleared: () => tell({ type: "cleared" }),
      hushed(_state, { isHushed }) {
        tell({ type: "hushed", isHushed });
        return { isHushed };
      },
      answered: (_state, { answer }) => tell({ type: answer }),
      callEnded(_state, _message, ctx) {
        tell({ type: "ended" });
        ctx.stop();
      },
      asked: (_state, { ask }) => void call.send({ type: "tapAsked", tap: id, ask }),
      spoke: (_state, { audio }) => void call.send({ type: "tapSpoke", tap: id, audio }),
      badMessage(_state, _message, ctx) {
        socket.close(1008, "Bad message");
        ctx.stop();
      },
      socketClosed: (_state, _message, ctx) => ctx.stop(),
    },
    view: ({ isHushed }) => ({ isHushed, unsentBytes: socket.bufferedBytes }),
    stopped: () => socket.close(1000, "Over"),
  };
}
