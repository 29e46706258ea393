/** A telephone carrier: places and ends calls over its API, and speaks a media protocol on a call's socket. */

export interface Carrier {
  readonly provider: string;
  /** Throws AppError("provider_failed" | "not_configured"). */
  placeCall(request: PlaceCall, signal: AbortSignal): Promise<{ readonly carrierCallId: string }>;
  /** Ends a call. A call that has ended already is no error. */
  hangUp(carrierCallId: string, signal: AbortSignal): Promise<void>;
}

export interface PlaceCall {
  /** E.164. */
  readonly to: string;
  readonly from: string;
  /** Where the carrier asks what to do when the call is answered. */
  readonly answerUrl: string;
  readonly statusUrl: string;
  /** The carrier ends the call after so long. */
  readonly timeLimitSeconds: number;
}

/** What a carrier's media socket says. Times are milliseconds since the stream began, the carrier's count. */
export type MediaEvent =
  | { readonly type: "connected" }
  | {
    readonly type: "started";
    readonly streamId: string;
    readonly carrierCallId: string;
    readonly parameters: Readonly<Record<string, string>>;
  }
  | { readonly type: "audio"; readonly audio: Uint8Array; readonly atMs: number }
  | { readonly type: "dtmf"; readonly digit: string }
  /** The audio before this mark has played, or was dropped by `clear`. */
  | { readonly type: "mark"; readonly name: string }
  | { readonly type: "stopped" };

/** The wire format of a media socket. One instance a socket: it remembers the stream's id. */
export interface MediaProtocol {
  /** Throws AppError("invalid") naming the field, for a message that is not of the protocol. */
  parse(message: string): MediaEvent;
  audio(audio: Uint8Array): string;
  mark(name: string): string;
  /** Drops all audio that has not played; every pending mark comes back at once. */
  clear(): string;
}

/** What the carrier says of a call's progress, in our words. */
export type CallProgress =
  | "queued"
  | "ringing"
  | "in_progress"
  | "completed"
  | "busy"
  | "no_answer"
  | "failed"
  | "canceled";
