/** The one way out to an address that somebody else chose: a webhook, a tool, a document. */

export interface OutboundRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** From the request to the last byte of the answer. */
  readonly totalMs: number;
  /** Of the answer's body; more is cut off and `isCut`. */
  readonly maxBytes: number;
}

export interface OutboundAnswer {
  readonly status: number;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly isCut: boolean;
}

export interface Outbound {
  /**
   * Resolved once, private addresses refused, connected to that very address, no redirect followed: a
   * 3xx is an answer. Throws AppError("invalid") for a URL that may never be asked (`field` is `url`)
   * and AppError("provider_failed") when there is no answer.
   */
  send(request: OutboundRequest, signal: AbortSignal): Promise<OutboundAnswer>;
  /** Throws AppError("invalid") for a URL that could never be asked: for forms, before anything is stored. */
  check(url: string): void;
}
