/** A message socket as our code sees it, and the one guarded door through which socket callbacks enter. */

/** A WebSocket, ours or a simulated one. Closing twice does nothing; sending on a closed one does nothing. */
export interface MessageSocket {
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedBytes: number;
  send(data: string | Uint8Array): void;
  /** Codes as RFC 6455 §7.4; the reason is at most 123 bytes. */
  close(code: number, reason: string): void;
  /**
   * Takes the events, once. What arrived before is delivered first. `closed` comes exactly once.
   * Callbacks must be guarded (`ctx.guard`): an uncaught throw in one would end the process.
   */
  listen(events: SocketEvents): void;
}

export interface SocketEvents {
  message(data: string | Uint8Array): void;
  closed(code: number, reason: string): void;
}
