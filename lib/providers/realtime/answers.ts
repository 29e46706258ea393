/** An answer of a model that speaks, as it comes in: read by who thinks with it and by who says it, each at their own pace. */

import type { ToolCall } from "@/lib/providers/llm/llm.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import type { AnswerEnd } from "./realtime.ts";

export type Piece =
  | { readonly type: "words"; readonly text: string }
  | { readonly type: "audio"; readonly audio: Uint8Array }
  | { readonly type: "toolCall"; readonly call: ToolCall };

/** Changed in place by its session. */
export interface Answer {
  readonly tag: string;
  /** Part of the conversation, or said beside it. */
  readonly kind: "answer" | "aside";
  /** Of the session that makes it: those of one that was lost are in no other. */
  readonly life: number;
  readonly pieces: readonly Piece[];
  /** What is to be truncated; null before its first word or sound. */
  readonly itemId: string | null;
  /** All it says so far, in writing. */
  readonly text: string;
  readonly audioBytes: number;
  /** Null while it goes on. */
  readonly end: AnswerEnd | null;
  /** Letters of it that somebody was given to say. */
  given: number;
  /** The conversation has it no more, or only its beginning. */
  isCut: boolean;
  add(piece: Piece, itemId?: string): void;
  finish(end: AnswerEnd): void;
  /** Its pieces from the first, to the last of it. */
  read(signal: AbortSignal): AsyncGenerator<Piece, void, undefined>;
  /** Resolves once it is over. */
  over(signal: AbortSignal): Promise<void>;
}

export function newAnswer(
  { tag, kind, life }: Pick<Answer, "tag" | "kind" | "life">,
): Answer {
  const pieces: Piece[] = [];
  let text = "";
  let audioBytes = 0;
  let itemId: string | null = null;
  let ended: AnswerEnd | null = null;
  let changed = Promise.withResolvers<void>();

  function wake(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  return {
    tag,
    kind,
    life,
    pieces,
    get itemId() {
      return itemId;
    },
    get text() {
      return text;
    },
    get audioBytes() {
      return audioBytes;
    },
    get end() {
      return ended;
    },
    given: 0,
    isCut: false,
    add(piece, ofItem) {
      if (ended !== null) return;
      itemId ??= ofItem ?? null;
      if (piece.type === "words") text += piece.text;
      if (piece.type === "audio") audioBytes += piece.audio.length;
      pieces.push(piece);
      wake();
    },
    finish(end) {
      ended ??= end;
      wake();
    },
    async *read(signal) {
      for (let at = 0;;) {
        const piece = pieces[at];
        if (piece !== undefined) {
          at++;
          yield piece;
        } else if (ended !== null) {
          return;
        } else {
          await orAborted(changed.promise, signal);
        }
      }
    },
    async over(signal) {
      while (ended === null) await orAborted(changed.promise, signal);
    },
  };
}
