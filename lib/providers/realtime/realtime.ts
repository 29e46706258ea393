/** Models that hear and speak: a caller's audio in, a voice and function calls out, over one session a call. */

import type { Tool, ToolCall } from "@/lib/providers/llm/llm.ts";

export interface Realtime {
  readonly provider: string;
  /** Opens a session. Rejects with AppError("provider_failed"), or with the signal's reason; later an abort ends it. */
  open(setup: RealtimeSetup, signal: AbortSignal): Promise<RealtimeLine>;
}

/** What a session goes by. All but the voice may change while it goes on. */
export interface RealtimeSetup {
  readonly instructions: string;
  readonly tools: readonly Tool[];
  /** Most tokens of an answer; null: the provider's own bound. */
  readonly maxTokens: number | null;
  /** BCP 47. */
  readonly language: string;
  readonly keyterms: readonly string[];
  /** Silence that ends an utterance; null leaves that to what was said. */
  readonly silenceMs: number | null;
  /** As a part of the voice's own pace. */
  readonly speed: number;
}

/**
 * An open session. Iterating gives its events, once: the loop ends when it was closed here, and throws
 * AppError("provider_failed") when it was lost. It answers nothing by itself.
 */
export interface RealtimeLine extends AsyncIterable<RealtimeEvent> {
  /** Does nothing on a session that has ended. */
  send(command: RealtimeCommand): void;
  close(): void;
}

/** What a conversation is made of. Ids are the sender's. */
export type RealtimeItem =
  | { readonly type: "caller" | "agent"; readonly id: string; readonly text: string }
  | { readonly type: "toolCall"; readonly id: string; readonly call: ToolCall }
  | {
    readonly type: "toolOutput";
    readonly id: string;
    readonly callId: string;
    readonly output: string;
  };

export type RealtimeCommand =
  | { readonly type: "setUp"; readonly setup: RealtimeSetup }
  /** µ-law 8 kHz. */
  | { readonly type: "audio"; readonly audio: Uint8Array }
  /** Puts an item at the end of the conversation. */
  | { readonly type: "add"; readonly item: RealtimeItem }
  | { readonly type: "remove"; readonly itemId: string }
  /** Of an item of the model's: nothing behind this was heard. Whole milliseconds. */
  | { readonly type: "truncate"; readonly itemId: string; readonly heardMs: number }
  /** Answer the conversation; one at a time. `tag` names the answer in its events. */
  | { readonly type: "answer"; readonly tag: string }
  /** Say this and nothing else, beside the conversation: it is no part of it. */
  | { readonly type: "say"; readonly tag: string; readonly sentence: string }
  /** Break an answer off. One that is over, or that nobody knows, is none. */
  | { readonly type: "stop"; readonly tag: string };

/** Times are milliseconds of audio since the session began. */
export type RealtimeEvent =
  | { readonly type: "speechStarted"; readonly itemId: string; readonly atMs: number }
  /** `lastWordEndMs`: as near as the provider tells it. */
  | { readonly type: "speechStopped"; readonly itemId: string; readonly lastWordEndMs: number }
  /** What was said since is an item of the conversation now. */
  | { readonly type: "committed"; readonly itemId: string }
  /** All words of the item that are known so far. */
  | { readonly type: "transcribing"; readonly itemId: string; readonly text: string }
  /** A null text: they will not be known. */
  | { readonly type: "transcribed"; readonly itemId: string; readonly text: string | null }
  /** µ-law 8 kHz of an answer. `itemId` is what to truncate. */
  | {
    readonly type: "audio";
    readonly tag: string;
    readonly itemId: string;
    readonly audio: Uint8Array;
  }
  /** The next piece of what an answer says, in writing. */
  | {
    readonly type: "words";
    readonly tag: string;
    readonly itemId: string;
    readonly text: string;
  }
  | { readonly type: "toolCall"; readonly tag: string; readonly call: ToolCall }
  /** The last of an answer. */
  | {
    readonly type: "answered";
    readonly tag: string;
    readonly how: AnswerEnd;
    readonly usage: AnswerUsage | null;
  }
  /** Something was wrong with what was sent. A null tag: it was about no answer, and the session goes on. */
  | { readonly type: "refused"; readonly tag: string | null; readonly code: string };

export type AnswerEnd =
  | { readonly type: "complete" | "stopped" | "length" | "filtered" }
  /** `retryAfterS`: when a limit is lifted, where that is known. */
  | { readonly type: "failed"; readonly code: string; readonly retryAfterS: number | null };

export interface AnswerUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of these, what stands for sound. */
  readonly inputAudioTokens: number;
  readonly outputAudioTokens: number;
}
