/** A voice that is given text as it is written, and says it as it is spoken: its words are the written ones. */

import {
  holdVoice,
  type Speech,
  type SpokenWord,
  type SynthesisOptions,
  type TextToSpeech,
} from "@/lib/providers/tts/tts.ts";
import { type Span, toSpeech } from "@/lib/speech/hygiene/hygiene.ts";
import { noMarkup } from "@/lib/speech/hygiene/markup.ts";

/** A written word is told when its last spoken word is; one that is not spoken takes no time. */
export function speakable(voice: TextToSpeech): TextToSpeech {
  async function* synthesize(
    text: AsyncIterable<string>,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Speech> {
    const script = newScript();

    async function* spoken(): AsyncGenerator<string> {
      let markup = noMarkup;
      for await (const clause of text) {
        const [spans, next] = toSpeech(clause, options.language, markup);
        markup = next;
        script.add(spans);
        const said = spans.flatMap((span) => span.spoken);
        if (said.length > 0) yield `${said.join(" ")} `;
      }
    }

    for await (const speech of voice.synthesize(spoken(), options, signal)) {
      if (speech.type === "audio") {
        yield speech;
        continue;
      }
      const words = speech.words.flatMap(script.told);
      if (words.length > 0) yield { type: "words", words };
    }
    const rest = script.rest();
    if (rest.length > 0) yield { type: "words", words: rest };
  }

  return {
    provider: voice.provider,
    synthesize,
    hold(first) {
      const held = holdVoice(voice, first);
      return { ...speakable(held), release: held.release };
    },
  };
}

interface Script {
  add(spans: readonly Span[]): void;
  /** The written words that this spoken one completes. */
  told(word: SpokenWord): readonly SpokenWord[];
  /** All was said: what was not told has been said as well. */
  rest(): readonly SpokenWord[];
}

function newScript(): Script {
  const spans: Span[] = []; // of which nothing, or not the last word, was said
  let saidCount = 0; // words of the first that is spoken
  let startMs = 0; // of it
  let endMs = 0; // of the last word told

  /** Words that are said as nothing: where the one before them ended. */
  function silent(): SpokenWord[] {
    const found: SpokenWord[] = [];
    while (spans[0]?.spoken.length === 0) found.push(...timed(spans.shift(), endMs, endMs));
    return found;
  }

  return {
    add: (more) => void spans.push(...more),
    told(word) {
      const words = saidCount === 0 ? silent() : [];
      const span = spans[0];
      if (span === undefined) return words;
      if (saidCount === 0) startMs = word.startMs;
      saidCount++;
      if (saidCount < span.spoken.length) return words;
      saidCount = 0;
      endMs = Math.max(endMs, word.endMs);
      return [...words, ...timed(spans.shift(), startMs, endMs)];
    },
    rest: () => spans.splice(0).flatMap((span) => timed(span, endMs, endMs)),
  };
}

/** None of the words of a span was heard before its end was. */
function timed(span: Span | undefined, startMs: number, endMs: number): SpokenWord[] {
  return (span?.written ?? []).map((text, at) => ({
    text,
    startMs: at === 0 ? startMs : endMs,
    endMs,
  }));
}
