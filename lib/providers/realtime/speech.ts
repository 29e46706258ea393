/** What a call hears, thinks and speaks with when one model does all three; and who stands in when its session is lost. */

import type { Clock } from "@/lib/clock.ts";
import type { Breaker } from "@/lib/providers/failover/breaker.ts";
import type { Guarded } from "@/lib/providers/failover/guarded.ts";
import { failoverModel } from "@/lib/providers/failover/model.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { failoverVoice } from "@/lib/providers/failover/voice.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { holdVoice, type TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { sessionModel } from "./model.ts";
import type { Realtime, RealtimeSetup } from "./realtime.ts";
import { sessionRecogniser } from "./recogniser.ts";
import { newSession } from "./session.ts";
import { type HeardOf, sessionVoice } from "./voice.ts";

/** Its first sound takes longer than a voice's: it may have to connect first. */
const FIRST_BYTE_MS = 1_500;

export interface RealtimeSpeechOptions {
  readonly realtime: Realtime;
  /** Of its provider and account. */
  readonly breaker: Breaker;
  readonly clock: Clock;
  /** Who hears, answers and speaks when it cannot; there need not be any. */
  readonly others: {
    readonly recognisers: readonly Guarded<SpeechToText>[];
    readonly models: readonly Guarded<LanguageModel>[];
    readonly voices: readonly Guarded<TextToSpeech>[];
  };
}

export interface RealtimeSpeech {
  readonly stt: SpeechToText;
  readonly llm: LanguageModel;
  readonly tts: TextToSpeech;
  /** From the call: what the caller heard of an utterance. */
  heard(report: HeardOf): void;
}

/** Before its agent has said what is to be done. */
const SETUP: RealtimeSetup = {
  instructions: "",
  tools: [],
  maxTokens: null,
  language: "en",
  keyterms: [],
  silenceMs: 400,
  speed: 1,
};

/** Of one call: its session is opened with the first that is asked of it, and closed when nothing more is. */
export function realtimeSpeech(options: RealtimeSpeechOptions): RealtimeSpeech {
  const { realtime, breaker, clock, others } = options;
  const isReplaceable = others.recognisers.length > 0;
  const session = newSession({ realtime, clock, isReplaceable, setup: SETUP });
  const voice = sessionVoice(session, clock);
  const first = <T>(provider: T): Guarded<T> => ({ provider, breaker });
  return {
    stt: failoverRecogniser({
      clock,
      recognisers: [first(sessionRecogniser(session)), ...others.recognisers],
    }),
    llm: failoverModel({ clock, models: [first(sessionModel(session)), ...others.models] }),
    tts: spaced(failoverVoice({
      clock,
      voices: [first(voice), ...others.voices],
      firstByteMs: FIRST_BYTE_MS,
    })),
    heard: voice.heard,
  };
}

/** Clauses come without the spaces between them. */
function spaced(voice: TextToSpeech): TextToSpeech {
  const { provider } = voice;
  return {
    provider,
    synthesize: (text, options, signal) => voice.synthesize(spacesIn(text), options, signal),
    hold(first) {
      const held = holdVoice(voice, first);
      return { ...spaced(held), release: held.release };
    },
  };
}

async function* spacesIn(text: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const clause of text) yield `${clause} `;
}
