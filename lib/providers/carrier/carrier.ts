/** A telephone carrier: places and ends calls over its API, and speaks a media protocol on a call's socket. */

import type { Detection } from "./detection.ts";
import type { RelayEvent, RelayWire } from "./relay.ts";

export interface Carrier {
  readonly provider: string;
  /** Throws AppError("provider_failed" | "not_configured"). */
  placeCall(request: PlaceCall, signal: AbortSignal): Promise<{ readonly carrierCallId: string }>;
  /** Ends a call. A call that has ended already is no error. */
  hangUp(carrierCallId: string, signal: AbortSignal): Promise<void>;
  /**
   * Has the carrier leave what it does for a call and ask `url` what to do. False: the call has ended. Absent: it
   * cannot be asked to. Throws AppError("provider_failed").
   */
  redirect?: (carrierCallId: string, url: string, signal: AbortSignal) => Promise<boolean>;
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
  /** Absent: the carrier does not listen for machines. */
  readonly detection?: Detection;
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
  /** What the caller wrote, or had recognised where they are; not final: it may still change. */
  | { readonly type: "typed"; readonly text: string; readonly isFinal: boolean }
  /** Of a carrier that speaks for itself. */
  | { readonly type: "relayed"; readonly event: RelayEvent }
  /** It did not take what we sent, or something failed on its side; the socket may go on. */
  | { readonly type: "faulted" }
  | { readonly type: "stopped" };

/** What a screen shows of a call while it goes on. */
export type Notice =
  /** The first. `simulated`: what is no speech that a person understands, and no ear that understands one. */
  | {
    readonly type: "welcome";
    readonly agent: string;
    readonly language: string;
    readonly simulated: { readonly stt: boolean; readonly tts: boolean };
  }
  /** Words that follow each other in the utterance of this generation, the first of them the `index`th from 0. */
  | {
    readonly type: "words";
    readonly generation: number;
    readonly index: number;
    readonly words: readonly string[];
  }
  | { readonly type: "callerWords"; readonly text: string; readonly isFinal: boolean }
  | { readonly type: "state"; readonly floor: string }
  /** An utterance of the agent is over: what was heard of it, and what was not. */
  | { readonly type: "agentSaid"; readonly heard: string; readonly unheard: string }
  /** Milliseconds of the silence before the agent spoke, and its parts, which sum to it. */
  | {
    readonly type: "latency";
    readonly gapMs: number;
    readonly parts: Readonly<Record<string, number>>;
  }
  /** The call is over. `sentence`: what is left to be said. */
  | { readonly type: "over"; readonly reason: string; readonly sentence: string | null };

/** The wire format of a media socket. One instance a socket: it remembers the stream's id. */
export interface MediaProtocol {
  /** Throws AppError("invalid") naming the field, for a message that is not of the protocol. */
  parse(message: string): MediaEvent;
  /** As `parse`. Absent: a binary message is not of the protocol. */
  parseBinary?(message: Uint8Array): MediaEvent;
  audio(audio: Uint8Array): string | Uint8Array;
  mark(name: string): string;
  /** Drops all audio that has not played; every pending mark comes back at once. */
  clear(): string;
  /** Frames come all the while, whether anybody speaks or not: where none comes, the line is cut. */
  readonly isSteady?: true;
  /** Absent: what the agent says goes out as audio. */
  readonly relay?: RelayWire;
  /** Absent: there is no screen. */
  show?(notice: Notice): string;
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
