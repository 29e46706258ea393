/**
 * Tunnels: a peer's connection carried as it is to another machine and back, with every wait and count bounded.
 * No side is read while the other takes nothing: what waits then is a stream's 64 KiB and one read more.
 */

import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Cancel, Clock } from "./clock.ts";
import { AppError, messageOf } from "./errors.ts";
import type { Place } from "./place.ts";

export interface TunnelBounds {
  /** From the attempt to the first line of the other machine's answer. */
  readonly answerMs: number;
  /** Nothing came either way for so long: both ends are closed. Both ends ping each other more often. */
  readonly idleMs: number;
  /** One side took nothing of what waits for it for so long: both ends are closed. */
  readonly stalledMs: number;
  /** Tunnels at once whose other end has not answered yet: what strangers can take up of us. */
  readonly openingMax: number;
}

export const TUNNEL_BOUNDS: TunnelBounds = {
  answerMs: 2_000,
  idleMs: 30_000,
  stalledMs: 7_000,
  openingMax: 128,
};

/** The first line of an answer is shorter. */
const STATUS_LINE_MAX = 1024;
/** A side that was told of the end has so long to take what is left for it. */
const LINGER_MS = 1_000;

/** `ended`: one side closed. */
export type TunnelEnd = "ended" | "idle" | "stalled";

export interface TunnelMetrics {
  readonly open: number;
  /** Answered with a socket, with a refusal, or not at all, since the start. */
  readonly opened: number;
  readonly refused: number;
  readonly unreachable: number;
  readonly ends: Readonly<Record<TunnelEnd, number>>;
  /** To the other machine, and back. */
  readonly bytesThere: number;
  readonly bytesBack: number;
}

export interface Tunnels {
  /**
   * Sends what the peer has sent to a place, and carries all that follows. Resolves with the status that it
   * answered: the answer has been passed on. Throws AppError("actor_stopped") when none came, or "busy": the
   * peer has been told nothing then.
   */
  open(peer: Duplex, said: Uint8Array, to: Place): Promise<number>;
  metrics(): TunnelMetrics;
}

export function newTunnels(clock: Clock, bounds: TunnelBounds = TUNNEL_BOUNDS): Tunnels {
  const counts = { open: 0, opened: 0, refused: 0, unreachable: 0, bytesThere: 0, bytesBack: 0 };
  const ends: Record<TunnelEnd, number> = { ended: 0, idle: 0, stalled: 0 };
  let opening = 0;

  /** Both directions, until one of them ends. What the far side has said already goes first. */
  function carry(peer: Duplex, far: Socket, first: Uint8Array): void {
    counts.open++;
    let touchedMs = clock.now();
    let cancelIdle: Cancel = () => {};
    let isOver = false;
    const cancels = new Set<Cancel>();

    function end(why: TunnelEnd): void {
      if (isOver) return;
      isOver = true;
      counts.open--;
      ends[why]++;
      cancelIdle();
      for (const cancel of cancels) cancel();
      const sides = new Set([peer, far].filter(({ closed }) => !closed));
      if (why !== "ended") return sides.forEach((side) => void side.destroy());
      if (sides.size === 0) return;
      const cancel = clock.timer(LINGER_MS, () => sides.forEach((side) => void side.destroy()));
      for (const side of sides) {
        side.once("close", () => {
          if (sides.delete(side) && sides.size === 0) cancel();
        });
        side.end(() => side.destroy());
      }
    }

    function pump(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
      let cancelStall: Cancel = () => {};
      from.on("data", (data: Uint8Array) => {
        touchedMs = clock.now();
        count(data.length);
        if (isOver || to.write(data)) return;
        from.pause();
        cancelStall = clock.timer(bounds.stalledMs, () => end("stalled"));
        cancels.add(cancelStall);
      });
      to.on("drain", () => {
        cancelStall();
        cancels.delete(cancelStall);
        from.resume();
      });
      from.on("end", () => end("ended"));
      from.on("close", () => end("ended"));
      from.on("error", () => {}); // the close that follows says enough
    }

    function watch(): void {
      const leftMs = touchedMs + bounds.idleMs - clock.now();
      cancelIdle = leftMs > 0 ? clock.timer(leftMs, watch) : () => {};
      if (leftMs <= 0) end("idle");
    }

    pump(peer, far, (bytes) => counts.bytesThere += bytes);
    pump(far, peer, (bytes) => counts.bytesBack += bytes);
    watch();
    counts.bytesBack += first.length;
    peer.write(first);
    far.resume(); // it was paused behind its first words
    if (peer.destroyed || far.destroyed) end("ended");
  }

  return {
    async open(peer, said, to) {
      if (opening >= bounds.openingMax) {
        throw new AppError("busy", "Too many sockets wait for other machines", { retryable: true });
      }
      opening++;
      try {
        const { far, first, status } = await knock(to, said, { clock, ms: bounds.answerMs, peer });
        counts[status === 101 ? "opened" : "refused"]++;
        carry(peer, far, first);
        counts.bytesThere += said.length;
        return status;
      } catch (cause) {
        counts.unreachable++;
        const message = `Machine at ${to.host} port ${to.port} does not answer: ${
          messageOf(cause)
        }`;
        throw new AppError("actor_stopped", message, { retryable: true, cause });
      } finally {
        opening--;
      }
    },
    metrics: () => ({ ...counts, ends: { ...ends } }),
  };
}

interface Knocked {
  readonly far: Socket;
  /** What it has said so far: the status line at least. */
  readonly first: Uint8Array;
  readonly status: number;
}

/** Connects, says what is to be said, and reads as far as the answer's status. */
function knock(
  { host, port }: Place,
  said: Uint8Array,
  { clock, ms, peer }: { readonly clock: Clock; readonly ms: number; readonly peer: Duplex },
): Promise<Knocked> {
  return new Promise((resolve, reject) => {
    const far = connect({ host, port, noDelay: true });
    let first: Uint8Array = new Uint8Array();

    function settle(outcome: Knocked | Error): void {
      cancel();
      peer.off("close", gone);
      far.off("data", read);
      far.off("close", closed);
      far.off("error", settle);
      far.on("error", () => {});
      if (!(outcome instanceof Error)) return resolve(outcome);
      far.destroy();
      reject(outcome);
    }
    function read(data: Uint8Array): void {
      first = joined(first, data);
      const status = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n/.exec(new TextDecoder().decode(first))?.[1];
      if (status !== undefined) {
        far.pause();
        settle({ far, first, status: Number(status) });
      } else if (first.length > STATUS_LINE_MAX) settle(new Error("it does not speak HTTP"));
    }
    const closed = (): void => settle(new Error("it closed the connection"));
    const gone = (): void => settle(new Error("the peer has gone"));
    const cancel = clock.timer(ms, () => settle(new Error("in time")));
    far.on("data", read);
    far.on("close", closed);
    far.on("error", settle);
    peer.once("close", gone);
    far.write(said);
  });
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
