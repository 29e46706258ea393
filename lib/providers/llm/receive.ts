/** The pieces of a streamed answer, each within its time: what every model adapter receives with. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import { cappedFetch, providerError } from "@/lib/providers/http.ts";
import { untilAborted } from "@/lib/until_aborted.ts";

/** A reply that has not begun after so long has failed. */
export const FIRST_TOKEN_MS = 2_500;
/** So has one that pauses for so long. */
export const GAP_MS = 1_500;

/** Of one answer, its framing with it: a hundred times what a reply may have. */
export const ANSWER_MAX_BYTES = 4 << 20;
export interface AnswerLimits {
  readonly clock: Clock;
  /** FIRST_TOKEN_MS when absent. */
  readonly firstTokenMs?: number;
  /** GAP_MS when absent. */
  readonly gapMs?: number;
}

/** What an SDK sends its requests with: an answer without end, or without a line's end, is cut off. */
export function answerFetch(
  provider: string,
  { fetch }: { readonly fetch?: typeof globalThis.fetch },
): typeof globalThis.fetch {
  return cappedFetch({
    provider,
    maxBytes: ANSWER_MAX_BYTES,
    ...(fetch === undefined ? {} : { fetch }),
  });
}

export interface Answer<T> extends AnswerLimits {
  /** Named in errors. */
  readonly provider: string;
  /** Sends the request. */
  open(signal: AbortSignal): Promise<AsyncIterable<unknown>>;
  /** Checks a piece. Throws AppError("provider_failed"). */
  parse(json: unknown): T;
  /** True for a piece of text, or of a tool call: with the first of them the reply has begun. */
  isReply(piece: T): boolean;
}

/**
 * Only the time spent waiting for the server counts against the limits. Throws what the SDK throws, the
 * caller's reason when aborted, and AppError("provider_failed") for a silence.
 */
export async function* receive<T>(answer: Answer<T>, caller: AbortSignal): AsyncGenerator<T> {
  const { provider, clock, firstTokenMs = FIRST_TOKEN_MS, gapMs = GAP_MS } = answer;
  caller.throwIfAborted();
  const late = new AbortController();
  const signal = AbortSignal.any([caller, late.signal]);
  const after = (ms: number): Cancel =>
    clock.timer(ms, () => late.abort(providerError(provider, "it fell silent")));
  const firstAt = clock.now() + firstTokenMs;
  let hasBegun = false;
  let disarm = after(firstTokenMs);
  try {
    for await (const json of untilAborted(await answer.open(signal), signal)) {
      disarm();
      const piece = answer.parse(json);
      yield piece;
      hasBegun ||= answer.isReply(piece);
      disarm = after(hasBegun ? gapMs : firstAt - clock.now());
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    disarm();
  }
}
