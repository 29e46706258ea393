/** Providers that work until they do not: each session, synthesis or request is given its own end. */

import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";

export const LOST = new AppError("provider_failed", "Connection lost", { retryable: true });
export const WRONG_KEY = new AppError("provider_failed", "Wrong key", { status: 401 });

/** How one use of a provider ends: after so long, with this error. Null: as it should. */
export type Fault = { readonly afterMs: number; readonly error: Error } | null;

/** The n-th use has the n-th fault; past the end there is none. */
export function faultyStt(stt: SpeechToText, clock: Clock, faults: readonly Fault[]): SpeechToText {
  let uses = 0;
  return {
    ...stt,
    transcribe: (audio, options, signal) =>
      withFault(clock, faults[uses++], signal, (signal) => stt.transcribe(audio, options, signal)),
  };
}

export function faultyTts(tts: TextToSpeech, clock: Clock, faults: readonly Fault[]): TextToSpeech {
  let uses = 0;
  return {
    ...tts,
    synthesize: (text, options, signal) =>
      withFault(clock, faults[uses++], signal, (signal) => tts.synthesize(text, options, signal)),
  };
}

export function faultyModel(
  model: LanguageModel,
  clock: Clock,
  faults: readonly Fault[],
): LanguageModel {
  let uses = 0;
  return {
    ...model,
    respond: (prompt, signal) =>
      withFault(clock, faults[uses++], signal, (signal) => model.respond(prompt, signal)),
  };
}

async function* withFault<T>(
  clock: Clock,
  fault: Fault | undefined,
  signal: AbortSignal,
  use: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  if (fault === null || fault === undefined) return yield* use(signal);
  const broken = new AbortController();
  const cancel = clock.timer(fault.afterMs, () => broken.abort(fault.error));
  try {
    yield* use(AbortSignal.any([signal, broken.signal]));
  } finally {
    cancel();
  }
}
