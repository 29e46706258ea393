/** The sending half of a provider's socket: reads a source and sends each piece, and the end once. */

import { drain } from "@/lib/async_queue.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { SocketClient } from "./socket_client.ts";

export interface FeedOptions<T> {
  /** What the source throws is what its loop throws. */
  readonly socket: Pick<SocketClient, "fail">;
  send(piece: T): void;
  /** Called once, when the source has ended. */
  finish(): void;
  /** What to do while the source gives nothing. */
  readonly idle?: IdleOptions;
}

export interface IdleOptions {
  readonly clock: Clock;
  /** `send` is called each time that no piece came for so long. */
  readonly afterMs: number;
  send(): void;
}

export interface Feed {
  /** True once the source has ended and the provider was told. */
  isFinished(): boolean;
  /** Takes no more of the source, which is told and not waited for. */
  stop(): void;
}

/** Runs beside the loop that reads the socket. What the source throws is what that loop throws. */
export function feed<T>(source: AsyncIterable<T>, options: FeedOptions<T>): Feed {
  const { socket, send, finish, idle } = options;
  const watch = idle === undefined ? null : watchIdle(idle);
  let isFinished = false;
  const leave = drain(source, {
    take(piece) {
      send(piece);
      watch?.sent();
    },
    ended() {
      isFinished = true;
      watch?.stop();
      finish();
    },
    failed: (error) => socket.fail(error),
  });
  return {
    isFinished: () => isFinished,
    stop() {
      watch?.stop();
      leave();
    },
  };
}

/** One timer for the whole session, not one a piece: when it fires, it looks when the last piece was. */
export function watchIdle({ clock, afterMs, send }: IdleOptions): { sent(): void; stop: Cancel } {
  let sentAt = clock.now();
  let cancel = clock.timer(afterMs, look);

  function look(): void {
    const leftMs = sentAt + afterMs - clock.now();
    if (leftMs <= 0) {
      send();
      sentAt = clock.now();
    }
    cancel = clock.timer(leftMs <= 0 ? afterMs : leftMs, look);
  }

  return {
    sent() {
      sentAt = clock.now();
    },
    stop: () => cancel(),
  };
}
