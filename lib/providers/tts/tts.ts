/** Text to speech: clauses in as the model writes them, telephone audio and word times out. */

export interface TextToSpeech {
  readonly provider: string;
  /**
   * Speaks `text` piece by piece, beginning before it has ended. A piece is a clause with its own
   * spaces and punctuation. The iterable ends when all of it has been spoken.
   * Throws AppError("provider_failed" | "not_configured").
   */
  synthesize(
    text: AsyncIterable<string>,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncIterable<Speech>;
}

export interface SynthesisOptions {
  /** The provider's voice id; null: the adapter's own. */
  readonly voice: string | null;
  readonly language: string;
  /** 0.7 to 1.2, as a part of the voice's own pace; absent: 1. */
  readonly speed?: number;
}

/** µ-law 8 kHz, chunks of any size; and the words in it, always sent before the audio of their last sample. */
export type Speech =
  | { readonly type: "audio"; readonly audio: Uint8Array }
  | { readonly type: "words"; readonly words: readonly SpokenWord[] };

/**
 * A word as written, with its punctuation and without spaces. Times are milliseconds of audio from
 * the synthesis' first sample. The texts of all words, joined by single spaces, are the text spoken.
 */
export interface SpokenWord {
  readonly text: string;
  readonly startMs: number;
  readonly endMs: number;
}
