/** A provider's connection in memory, at virtual time: what `connectSocket` gives, without a network. */

import { AppError } from "@/lib/errors.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { connectSocket, SocketClient } from "@/lib/providers/socket_client.ts";
import type { Peer, Session } from "./protocol_server.ts";

export interface MemoryServer {
  open(peer: Peer): Session;
  /** Null: it takes the next connection; else it refuses it with this status. */
  status?(): number | null;
}

/** As `connectSocket`, to this server. */
export function connectTo(server: MemoryServer): typeof connectSocket {
  return (_url, { provider, signal, clock }) => {
    if (signal.aborted) return Promise.reject(signal.reason);
    const status = server.status?.() ?? null;
    if (status !== null) {
      return Promise.reject(providerError(provider, `it answered ${status}`, { status }));
    }
    const unread: string[] = [];
    let ended: { readonly error: unknown } | null = null;
    let wake: (() => void) | null = null;
    let disarm: (() => void) | null = null;

    function expectNothing(): void {
      disarm?.();
      disarm = null;
    }

    function end(error: unknown): void {
      if (ended !== null) return;
      ended = { error };
      expectNothing();
      signal.removeEventListener("abort", aborted);
      session.closed();
      wake?.();
    }

    function aborted(): void {
      unread.length = 0;
      end(signal.reason);
    }

    const session = server.open({
      send(message) {
        if (ended !== null || message instanceof Uint8Array) return;
        expectNothing();
        unread.push(JSON.stringify(message));
        wake?.();
      },
      close(code = 1005, reason = "") {
        const isOrder = code === 1000 || code === 1005;
        end(isOrder ? null : providerError(provider, `it closed with ${code} ${reason}`));
      },
    });
    signal.addEventListener("abort", aborted, { once: true });

    const client: SocketClient = {
      send(data) {
        // A server never answers before its client's `send` has returned.
        if (typeof data === "string") queueMicrotask(() => ended ?? session.text(data));
      },
      expectReply(ms) {
        if (ended !== null || disarm !== null) return;
        disarm = clock.timer(
          ms,
          () => end(new AppError("provider_failed", "No message came", { retryable: true })),
        );
      },
      expectNothing,
      fail: end,
      close: () => end(null),
      async *[Symbol.asyncIterator]() {
        for (;;) {
          const message = unread.shift();
          if (message !== undefined) yield message;
          else if (ended === null) await new Promise<void>((resolve) => wake = resolve);
          else if (ended.error === null) return;
          else throw ended.error;
        }
      },
    };
    return Promise.resolve(client);
  };
}
