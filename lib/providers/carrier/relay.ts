/** A carrier that hears and speaks for us: what its socket says of it, and what it is told. */

/** What a relay tells of the agent's speech. */
export type RelayEvent =
  /** It has begun to play what it was given to say, or has come to the end of that. */
  | { readonly type: "speaking"; readonly isSpeaking: boolean }
  /** This text has just been played. */
  | { readonly type: "played"; readonly text: string }
  /** The caller spoke over the agent, who is silent since. `heard`: what of it had been played. */
  | { readonly type: "interrupted"; readonly heard: string };

/** What a relay is told, as its wire has it. */
export interface RelayWire {
  /** Part of what the agent says; `isLast`: that was all of it. */
  say(part: SaidPart): string;
  /** Silence, now. */
  hush(): string;
  /** Press keys: 0 to 9, `*`, `#`; `w` waits for half a second. */
  press(keys: string): string;
  /** Speak and hear this from here on, BCP 47. */
  language(language: string): string;
  /** We are done with the call, which goes on at the action URL. */
  end(reason: string): string;
}

export interface SaidPart {
  readonly text: string;
  readonly isLast: boolean;
  /** False: the caller is not heard while it is said. */
  readonly isInterruptible: boolean;
}

/** How a relay is set up when a call is handed to it. Null: as the carrier has it. */
export interface RelaySetup {
  /** BCP 47, with a region. */
  readonly language: string;
  readonly voice: string | null;
  readonly ttsProvider: string | null;
  readonly transcriptionProvider: string | null;
  readonly speechModel: string | null;
  /** Words to listen for. */
  readonly hints: readonly string[];
  /** False: the caller never interrupts the agent. */
  readonly isInterruptible: boolean;
  /** True: words of listening, as "mm-hm", interrupt nothing. */
  readonly ignoresBackchannels: boolean;
}
