/** One room of the process that joins them: a socket of a server's on one side, the room on the other. */

import { FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { type FromRoom, parseToRoom, type ToRoom } from "./messages.ts";
import type { JoinRoom, Room } from "./room.ts";

/** The server says `join` within this, or the socket is closed. */
const JOIN_WITHIN_MS = 5_000;
/**
 * From a frame's turn in the queue to where it is heard: the source's own buffer, Opus, and the other side's
 * jitter buffer: 40 to 60 ms measured on loopback. Late marks cost nothing; early ones would claim words.
 */
export const PLAYOUT_LAG_MS = 80;
/** What may wait to be played: a server sends 300 ms ahead. More is a server gone wrong. */
export const QUEUE_MAX_MS = 5_000;
/** A server that does not read this much is gone. */
const UNSENT_MAX_BYTES = 256 * 1024;

export interface SessionDeps {
  readonly socket: MessageSocket;
  readonly join: JoinRoom;
  readonly clock: Clock;
  readonly log: Log;
}

/** Serves the socket until either side is over. Its callbacks throw nothing: they are the process's own. */
export function serveRoom({ socket, join, clock, log }: SessionDeps): void {
  let phase: "opened" | "joining" | "waiting" | "live" | "over" = "opened";
  let room: Room | null = null;
  /** When the last frame given to the room will have played. */
  let playedAt = -Infinity;
  const marks: { readonly name: string; readonly dueAt: number }[] = [];
  let disarmMark: Cancel | null = null;
  let disarm = clock.timer(JOIN_WITHIN_MS, () => over(1008, "No join came"));

  function send(message: FromRoom): void {
    socket.send(JSON.stringify(message));
  }

  function over(code: number, reason: string): void {
    if (phase === "over") return;
    phase = "over";
    disarm();
    disarmMark?.();
    room?.leave();
    socket.close(code, reason);
  }

  function fail(reason: Extract<FromRoom, { type: "failed" }>["reason"]): void {
    if (phase === "over") return;
    send({ type: "failed", reason });
    over(1011, reason);
  }

  async function enter({ url, token, identity, waitMs }: Extract<ToRoom, { type: "join" }>) {
    phase = "joining";
    disarm();
    disarm = clock.timer(waitMs, () => fail("nobody"));
    let isReady = false;
    try {
      const joined = await join({ url, token, identity }, {
        ready() {
          isReady = true;
          if (phase === "waiting") begin();
        },
        heard(samples) {
          if (phase !== "live") return;
          if (socket.bufferedBytes > UNSENT_MAX_BYTES) return over(1006, "Server does not read");
          socket.send(encodeMulaw(samples as Int16Array<ArrayBuffer>));
        },
        pressed: (digit) => phase === "live" && send({ type: "dtmf", digit }),
        left() {
          if (phase === "over") return;
          if (phase !== "live") return fail("nobody");
          send({ type: "stopped" });
          over(1000, "They have left");
        },
      });
      if (isOver()) return joined.leave();
      room = joined;
      phase = "waiting";
      if (isReady) begin();
    } catch (error) {
      log.warn("room not joined", { error });
      fail("join");
    }
  }

  /** Read anew: it changes while a room is being joined. */
  function isOver(): boolean {
    return phase === "over";
  }

  function begin(): void {
    phase = "live";
    disarm();
    send({ type: "started" });
  }

  function play(audio: Uint8Array): void {
    const ms = audio.length / FRAME_BYTES * FRAME_MS;
    if (ms === 0 || ms % FRAME_MS !== 0) return over(1008, "Not whole frames of 20 ms");
    const now = clock.now();
    playedAt = Math.max(playedAt, now) + ms;
    if (playedAt - now > QUEUE_MAX_MS) return over(1008, "Too much to play");
    for (let at = 0; at < audio.length; at += FRAME_BYTES) {
      room?.play(decodeMulaw(audio.subarray(at, at + FRAME_BYTES)));
    }
  }

  function awaitMark(): void {
    disarmMark?.();
    const [next] = marks;
    disarmMark = next === undefined
      ? null
      : clock.timer(next.dueAt - clock.now(), () => returnMarks(clock.now()));
  }

  function returnMarks(until: number): void {
    while (marks[0] !== undefined && marks[0].dueAt <= until) {
      send({ type: "mark", name: marks.shift()?.name ?? "" });
    }
    awaitMark();
  }

  /** As the carrier's: what is dropped returns its marks at once, in their order. */
  function clear(): void {
    room?.clear();
    playedAt = -Infinity;
    returnMarks(Infinity);
  }

  function take(message: ToRoom): void {
    if ((message.type === "join") !== (phase === "opened")) return over(1008, "Out of order");
    switch (message.type) {
      case "join":
        return void enter(message);
      case "mark": {
        const now = clock.now();
        const isQuiet = playedAt + PLAYOUT_LAG_MS <= now; // with nothing before it, it comes back at once
        marks.push({ name: message.name, dueAt: isQuiet ? now : playedAt + PLAYOUT_LAG_MS });
        return returnMarks(now);
      }
      case "clear":
        return clear();
    }
  }

  socket.listen({
    message(data) {
      if (phase === "over") return;
      if (typeof data !== "string") return phase === "live" ? play(data) : undefined;
      try {
        take(parseToRoom(data));
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        over(1008, `Bad message: ${error.field ?? "JSON"}`);
      }
    },
    closed: () => over(1000, "Server has gone"),
  });
}
