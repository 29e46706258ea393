/** The connections of a listener: counted and bounded, so that peers who are slow, silent or greedy make room. */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Cancel, Clock } from "./clock.ts";

export interface Connections {
  /** Calls `answer` once all earlier requests of the connection have been answered; never, if the peer is dropped before. */
  serve(request: IncomingMessage, response: ServerResponse, answer: () => void): void;
  /** This one counts no longer against its address. */
  vouch(socket: Socket): void;
  drop(): void;
}

export interface ConnectionBounds {
  /** One more takes the place of whoever has kept us waiting for longest; is there none, it is closed. */
  readonly max: number;
  /** One more from the same address is closed unheard. */
  readonly perAddressMax: number;
  /** Requests of one connection that wait for their answers (RFC 9112 §9.3.2); one more closes it. */
  readonly unansweredMax: number;
  /** A peer for which something waits all the time takes `stalledBytes` in so long, or is dropped. */
  readonly stalledMs: number;
  readonly stalledBytes: number;
  readonly clock: Clock;
}

/** Looks in one such time; a stalled peer is noticed at most one look late. */
const LOOKS = 8;

/** Bounds the connections of a server, from before it listens. */
export function boundConnections(server: Server, bounds: ConnectionBounds): Connections {
  const { max, perAddressMax, unansweredMax, stalledMs, stalledBytes, clock } = bounds;
  const sockets = new Set<Socket>();
  const addresses = new Map<Socket, string>();
  const counts = new Map<string, number>();
  /** Those whose next request has not come, or not to its end; who began to wait first is first. */
  const awaited = new Set<Socket>();
  /** What each has asked and not been answered: only the first of them is under way. */
  const queues = new Map<Socket, (() => void)[]>();
  /** How far each peer with something waiting had come, and when. */
  const stalls = new Map<Socket, { readonly flushed: number; readonly since: number }>();

  function vouch(socket: Socket): void {
    const address = addresses.get(socket);
    if (address === undefined || !addresses.delete(socket)) return;
    const count = (counts.get(address) ?? 0) - 1;
    if (count > 0) counts.set(address, count);
    else counts.delete(address);
  }

  function forget(socket: Socket): void {
    vouch(socket);
    sockets.delete(socket);
    awaited.delete(socket);
    queues.delete(socket);
    stalls.delete(socket);
  }

  function close(socket: Socket): void {
    forget(socket);
    socket.resetAndDestroy(); // what waits for it in the system's buffers, up to 4 MB, goes as well
  }

  /** Whether there is room, now or by closing another. */
  function makeRoom(): boolean {
    if (sockets.size < max) return true;
    const [slowest = stalls.keys().next().value] = awaited;
    if (slowest !== undefined) close(slowest);
    return slowest !== undefined;
  }

  function look(): void {
    for (const socket of sockets) {
      const flushed = socket.bytesWritten - socket.writableLength;
      const stall = stalls.get(socket);
      if (socket.writableLength === 0) stalls.delete(socket);
      else if (stall === undefined || flushed - stall.flushed >= stalledBytes) {
        stalls.delete(socket); // to the end: who has stalled for longest is first
        stalls.set(socket, { flushed, since: clock.now() });
      } else if (clock.now() - stall.since >= stalledMs * (1 - 1 / LOOKS)) close(socket);
    }
    cancel = clock.timer(stalledMs / LOOKS, look);
  }
  let cancel: Cancel = () => {};
  server.once("listening", look);

  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (counts.get(address) ?? 0) + 1;
    if (count > perAddressMax || !makeRoom()) return void socket.destroy();
    counts.set(address, count);
    addresses.set(socket, address);
    sockets.add(socket);
    awaited.add(socket);
    socket.once("close", () => forget(socket));
  });
  server.on("upgrade", (request: IncomingMessage) => awaited.delete(request.socket));

  return {
    serve(request, response, answer) {
      const { socket } = request;
      const queue = queues.get(socket) ?? [];
      if (queue.length === unansweredMax) close(socket);
      // Those that came in one packet with the last: left to the end of the socket, each would cost a stack trace.
      if (!sockets.has(socket)) return void request.destroy();
      queue.push(answer);
      queues.set(socket, queue);
      awaited.delete(socket);
      if (hasBody(request)) {
        awaited.add(socket);
        request.once("end", () => awaited.delete(socket));
      }
      response.once("close", () => {
        if (!sockets.has(socket)) return;
        queue.shift();
        if (queue.length === 0) awaited.add(socket);
        else queue[0]?.();
      });
      if (queue.length === 1) answer();
    },
    vouch,
    drop() {
      cancel();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
