/** Two ends of one message socket in memory: ordered, with a latency each way on the clock. */

import type { Clock } from "@/lib/clock.ts";
import type { MessageSocket, SocketEvents } from "@/lib/socket.ts";
import { type DelayLine, newDelayLine } from "./delay_line.ts";

export interface SocketPairOptions {
  readonly clock: Clock;
  /** One way latency from the first end to the second; 0 delivers before `send` returns. */
  readonly thereMs?: number;
  readonly backMs?: number;
}

type Arrival =
  | { readonly type: "message"; readonly data: string | Uint8Array }
  | { readonly type: "closed"; readonly code: number; readonly reason: string };

/** The client's end and the server's, both open. */
export function socketPair(options: SocketPairOptions): [MessageSocket, MessageSocket] {
  const { clock, thereMs = 0, backMs = 0 } = options;
  const first = newEnd(() => there);
  const second = newEnd(() => back);
  const there = newDelayLine({ clock, delayMs: () => thereMs, deliver: second.arrive });
  const back = newDelayLine({ clock, delayMs: () => backMs, deliver: first.arrive });
  return [first.socket, second.socket];
}

interface End {
  readonly socket: MessageSocket;
  arrive(arrival: Arrival): void;
}

function newEnd(line: () => DelayLine<Arrival>): End {
  const early: Arrival[] = [];
  let events: SocketEvents | undefined;
  let phase: "open" | "closed" = "open";

  function deliver(arrival: Arrival): void {
    if (events === undefined) early.push(arrival);
    else if (arrival.type === "message") events.message(arrival.data);
    else events.closed(arrival.code, arrival.reason);
  }

  return {
    arrive(arrival) {
      if (phase === "closed") return;
      if (arrival.type === "closed") phase = "closed";
      deliver(arrival);
    },
    socket: {
      bufferedBytes: 0,
      send(data) {
        if (phase === "open") line().put({ type: "message", data });
      },
      close(code, reason) {
        if (phase === "closed") return;
        phase = "closed";
        line().put({ type: "closed", code, reason });
        deliver({ type: "closed", code, reason });
      },
      listen(given) {
        events = given;
        for (const arrival of early.splice(0)) deliver(arrival);
      },
    },
  };
}
