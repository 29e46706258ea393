/** Speech to text: telephone audio in, what the caller says out, as it is recognised. */

/** One recogniser session. The iterable ends when `audio` ends and everything final has been said. */
export interface SpeechToText {
  readonly provider: string;
  /** Throws AppError("provider_failed" | "not_configured"). Aborting ends the session and its socket. */
  transcribe(
    audio: AsyncIterable<Uint8Array>,
    options: TranscribeOptions,
    signal: AbortSignal,
  ): AsyncIterable<Recognition>;
}

export interface TranscribeOptions {
  /** BCP 47, as `en` or `en-GB`. */
  readonly language: string;
  /** Words to listen for; an empty list is fine. */
  readonly keyterms: readonly string[];
  /** Silence after which the recogniser calls an utterance over. */
  readonly endpointingMs: number;
  /** Where the audio comes from; absent: off a telephone line. */
  readonly source?: "line" | "microphone";
  /** Given: the recogniser ends utterances by its own judgement, where it has one, and not by silence alone. */
  readonly judgement?: Judgement;
}

/** How sure a recogniser is to be of the end of an utterance, from 0 to 1. Null: the provider's own. */
export interface Judgement {
  /** To say `eagerEnded`, 0.3 to 0.9; null: it never does. */
  readonly eagerThreshold: number | null;
  /** To end it, 0.5 to 1. */
  readonly endThreshold: number | null;
  /** Silence that ends it however unsure it is, 500 to 60000. */
  readonly endTimeoutMs: number | null;
}

/** Times are milliseconds of audio since the session began, on the recogniser's own count of bytes. */
export type Recognition =
  /** The caller began to speak. Sent at most once an utterance, before its first text. */
  | { readonly type: "speechStarted"; readonly atMs: number }
  /** What has been said in this utterance and is not final yet; replaces the interim before it. */
  | { readonly type: "interim"; readonly text: string; readonly endMs: number }
  /** A piece that will not change. An utterance may have several; their texts are joined by a space. */
  | {
    readonly type: "final";
    readonly text: string;
    readonly startMs: number;
    readonly endMs: number;
    readonly confidence: number;
  }
  /** The utterance is probably over; `text` is all of this turn's words. Comes before `utteranceEnded`, or `resumed`. */
  | { readonly type: "eagerEnded"; readonly text: string; readonly lastWordEndMs: number }
  /** It was not over: the caller goes on. */
  | { readonly type: "resumed" }
  /**
   * Nothing is recognised now: who recognises is connected to anew, and hears then what is said meanwhile. Told
   * with every try that failed; any other recognition takes it back.
   */
  | { readonly type: "lost" }
  /** The utterance is over. `lastWordEndMs` is when its last word ended. */
  | { readonly type: "utteranceEnded"; readonly lastWordEndMs: number };
