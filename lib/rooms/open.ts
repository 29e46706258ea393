/** The server's side of a room: asks the process that joins rooms, and gets the media socket of a call. */

import { type Clock, deadline } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";
import { type MessageSocket, openSocket, type SocketEvents } from "@/lib/socket.ts";
import { parseFromRoom, type ToRoom } from "./messages.ts";

/** Beside the wait for the participant: the process answers, and the room is joined. */
const JOIN_MS = 5_000;
/** Frames that come before anybody listens: a second. */
const EARLY_MAX = 50;

export interface RoomsProcess {
  /** `ws://127.0.0.1:8100` */
  readonly url: string;
  readonly token: Secret;
}

export type RoomJoin = Omit<Extract<ToRoom, { type: "join" }>, "type">;

/**
 * Resolves when the participant is there; what comes then, `started` first, is kept for who listens. Throws
 * AppError("conflict") when nobody came, and "provider_failed" when the room could not be joined.
 */
export async function openRoom(
  process: RoomsProcess,
  join: RoomJoin,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<MessageSocket> {
  const late = () => failed("nothing was heard of it", true);
  const life = deadline(clock, join.waitMs + JOIN_MS, late);
  const ended = AbortSignal.any([signal, life.signal]);
  const headers = { Authorization: `Bearer ${process.token.reveal()}` };
  try {
    const socket = await openSocket(process.url.replace(/^http/, "ws"), { headers, signal: ended });
    const room = newRoomSocket(socket);
    socket.send(JSON.stringify({ type: "join", ...join } satisfies ToRoom));
    await Promise.race([room.started, aborted(ended)]).catch((error) => {
      socket.close(1000, "Nobody waits for it");
      throw error;
    });
    return room;
  } finally {
    life.cancel();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function failed(why: string, retryable: boolean): AppError {
  return new AppError("provider_failed", `Cannot join the room: ${why}`, { retryable });
}

/** Listens itself until the call does: of the socket there is one listener. */
function newRoomSocket(socket: MessageSocket): MessageSocket & { readonly started: Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const early: (string | Uint8Array)[] = [];
  let events: SocketEvents | null = null;
  let ending: { readonly code: number; readonly reason: string } | null = null;

  function read(text: string): void {
    try {
      const message = parseFromRoom(text);
      if (message.type === "started") resolve();
      if (message.type !== "failed") return;
      const nobody = new AppError("conflict", "The participant is not there, or did not answer");
      reject(message.reason === "nobody" ? nobody : failed("LiveKit refuses", false));
    } catch (error) {
      reject(error);
    }
  }

  socket.listen({
    message(data) {
      if (events !== null) return events.message(data);
      if (typeof data === "string") read(data);
      if (early.length < EARLY_MAX) early.push(data);
    },
    closed(code, reason) {
      ending = { code, reason };
      reject(failed(`the process said ${code}`, code === 1006));
      events?.closed(code, reason);
    },
  });

  return {
    started: promise,
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    listen(given) {
      events = given;
      for (const data of early.splice(0)) given.message(data);
      if (ending !== null) given.closed(ending.code, ending.reason);
    },
  };
}
