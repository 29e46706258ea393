/** A recogniser without a provider: hears the tones of simulated speech, to the sample. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { newEar } from "@/lib/audio/ear.ts";
import { type Decoder, newDecoder } from "@/lib/audio/modem.ts";
import type { Clock } from "@/lib/clock.ts";
import { delayed } from "@/lib/providers/delayed.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import type { Recognition, SpeechToText } from "./stt.ts";

export interface SimulatedSttOptions {
  readonly clock: Clock;
  /** From the audio that shows something to the word of it. Default 30. */
  readonly latencyMs?: number;
  /** Silence after which an utterance is probably over, for who asks for that guess. Default 160. */
  readonly eagerMs?: number;
}

/** What the caller has said since the last silence. Samples count from the session's first. */
interface Utterance {
  /** Empty until a word was heard whole. */
  text: string;
  startSample: number;
  /** After the last whole word's last; before there is one, after the last whole sound's. */
  lastWordEndSample: number;
  /** Where the silence after it starts: after the last word, even if it broke off. */
  quietFromSample: number;
  /** It was told as probably over, and nothing has been heard since. */
  isGuessed: boolean;
}

interface Silences {
  /** Null: no guess is wanted. */
  readonly eagerMs: number | null;
  readonly endMs: number;
}

/**
 * Speech is seen 24 ms after its first sample, a word with its last. An utterance is over when
 * `endpointingMs` of audio have been silent. A word that breaks off is not reported; an utterance
 * of nothing else ends without a final, and its `lastWordEndMs` is where its last whole sound ended.
 * An eager threshold in the options, whatever it is, makes it say `eagerEnded` after `eagerMs`.
 */
export function simulatedStt(options: SimulatedSttOptions): SpeechToText {
  const { clock, latencyMs = 30, eagerMs = 160 } = options;

  return {
    provider: "simulated",
    async *transcribe(audio, options, signal) {
      const { endpointingMs: endMs, judgement, source = "line" } = options;
      const isEager = (judgement?.eagerThreshold ?? null) !== null;
      const silences = { eagerMs: isEager ? eagerMs : null, endMs };
      const left = new AbortController(); // whoever leaves the loop must not leave it waiting for audio
      const frames = untilAborted(audio, AbortSignal.any([signal, left.signal]));
      try {
        const decoder = source === "line" ? newDecoder() : newEar();
        const recognised = recognise(frames, silences, decoder);
        yield* delayed(recognised, { clock, ms: latencyMs, signal });
      } finally {
        left.abort();
      }
    },
  };
}

async function* recognise(
  audio: AsyncIterable<Uint8Array>,
  { eagerMs, endMs }: Silences,
  decoder: Decoder,
): AsyncGenerator<Recognition, void, undefined> {
  let utterance: Utterance | null = null;
  const isQuiet = ({ quietFromSample }: Utterance, sample: number, ms: number): boolean =>
    sample - quietFromSample >= ms * BYTES_PER_MS;

  /** Whether the utterance is probably over by that sample, and was not told so. */
  function* guessing(of: Utterance, sample: number): Generator<Recognition, void, undefined> {
    const { text, isGuessed, lastWordEndSample } = of;
    if (eagerMs === null || isGuessed || text === "" || !isQuiet(of, sample, eagerMs)) return;
    of.isGuessed = true;
    yield { type: "eagerEnded", text, lastWordEndMs: lastWordEndSample / BYTES_PER_MS };
  }

  for await (const chunk of audio) {
    for (const heard of decoder.push(chunk)) {
      if (heard.type === "opened") {
        if (utterance) yield* guessing(utterance, heard.startSample);
        if (utterance && isQuiet(utterance, heard.startSample, endMs)) {
          yield* ending(utterance);
          utterance = null;
        }
        if (utterance?.isGuessed) {
          utterance.isGuessed = false;
          yield { type: "resumed" };
        }
        if (utterance) continue;
        utterance = newUtterance(heard.startSample);
        yield { type: "speechStarted", atMs: heard.startSample / BYTES_PER_MS };
      } else if (utterance) {
        utterance.quietFromSample = heard.endSample;
        if (utterance.text === "") utterance.lastWordEndSample = heard.endSample;
        if (heard.type === "cut") continue;
        if (utterance.text === "") utterance.startSample = heard.startSample;
        utterance.text = `${utterance.text} ${heard.text}`.trimStart();
        utterance.lastWordEndSample = heard.endSample;
        yield { type: "interim", text: utterance.text, endMs: heard.endSample / BYTES_PER_MS };
      }
    }
    const quietUntil = decoder.quietUntil();
    if (utterance === null || quietUntil === null) continue;
    yield* guessing(utterance, quietUntil);
    if (!isQuiet(utterance, quietUntil, endMs)) continue;
    yield* ending(utterance);
    utterance = null;
  }
  if (utterance) yield* ending(utterance);
}

function newUtterance(startSample: number): Utterance {
  return {
    text: "",
    startSample,
    lastWordEndSample: startSample,
    quietFromSample: startSample,
    isGuessed: false,
  };
}

function* ending(utterance: Utterance): Generator<Recognition, void, undefined> {
  const { text, startSample, lastWordEndSample } = utterance;
  const endMs = lastWordEndSample / BYTES_PER_MS;
  if (text !== "") {
    yield { type: "final", text, startMs: startSample / BYTES_PER_MS, endMs, confidence: 1 };
  }
  yield { type: "utteranceEnded", lastWordEndMs: endMs };
}
