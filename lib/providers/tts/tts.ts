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
  /**
   * The same voice for one call: what it opens, it keeps between utterances. Some of it is opened at
   * once, so that the first one in the voice of `first` need not wait. Absent: it keeps nothing.
   */
  hold?(first: SynthesisOptions): HeldVoice;
}

/** Speaks one utterance at a time. What fails between two of them is mended by the next. */
export interface HeldVoice extends TextToSpeech {
  /** Closes what it has kept; calling it twice does nothing. */
  release(): void;
}

/** `voice` for one call, whether it keeps anything or not. */
export function holdVoice(voice: TextToSpeech, first: SynthesisOptions): HeldVoice {
  return voice.hold?.(first) ?? { ...voice, release() {} };
}

export interface SynthesisOptions {
  /** The provider's voice id; null: the adapter's own. */
  readonly voice: string | null;
  readonly language: string;
  /** 0.7 to 1.2, as a part of the voice's own pace; absent: 1. */
  readonly speed?: number;
  /** Which one of its call this is, for a voice that is told what was heard of it. */
  readonly utterance?: number;
  /** All of the text is there, and will be said again in these words: its speech may be kept. */
  readonly isFixed?: boolean;
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
