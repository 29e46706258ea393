/** The mouth of a session: says its answers with the sound that they came with, and whatever else it is given to say. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Clock } from "@/lib/clock.ts";
import { providerError } from "@/lib/providers/http.ts";
import { newPacer } from "@/lib/providers/tts/pacer.ts";
import type { Speech, SpokenWord, TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { wordsOf } from "@/lib/providers/tts/words.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import type { Answer } from "./answers.ts";
import type { Session } from "./session.ts";

/** Utterances whose end is not known yet. */
const UTTERANCES_MAX = 4;

/** What the caller heard of an utterance. */
export interface HeardOf {
  readonly utterance: number;
  /** From its first. */
  readonly text: string;
  /** It was cut short. */
  readonly isCut: boolean;
}

export interface SessionVoice extends TextToSpeech {
  /** Has the conversation be what was heard of it. */
  heard(report: HeardOf): void;
}

/** A stretch of an utterance that is said by one answer. */
interface Stretch {
  readonly answer: Answer;
  /** When each word ends, from the answer's first sample. */
  readonly words: SpokenWord[];
}

export function sessionVoice(session: Session, clock: Clock): SessionVoice {
  const utterances = new Map<number, Stretch[]>();

  function note(utterance: number | undefined): Stretch[] {
    const before = utterance === undefined ? undefined : utterances.get(utterance);
    const stretches: Stretch[] = before ?? [];
    if (utterance === undefined) return stretches;
    utterances.set(utterance, stretches);
    for (const old of [...utterances.keys()].slice(0, -UTTERANCES_MAX)) utterances.delete(old);
    return stretches;
  }

  /** The answer that goes on with these words; null: nobody has said them. */
  function answerWith(letters: string): Answer | null {
    return session.answers.find((it) =>
      it.life === session.life && !it.isCut && lettersOf(it.text).startsWith(letters, it.given)
    ) ?? null;
  }

  const voice: SessionVoice = {
    provider: session.provider,
    hold: () => ({ ...voice, release: session.enter() }), // it stays open between two utterances
    async *synthesize(text, { utterance, speed = 1 }, signal) {
      const leave = session.enter();
      const stretches = note(utterance);
      let aside: Answer | null = null;
      let bytes = 0;

      async function* play(answer: Answer): AsyncGenerator<Speech> {
        const stretch: Stretch = { answer, words: [] };
        stretches.push(stretch);
        const fromMs = bytes / BYTES_PER_MS;
        for await (const speech of paced(answer, session.provider, clock, signal)) {
          if (speech.type === "audio") {
            bytes += speech.audio.length;
            yield speech;
            continue;
          }
          stretch.words.push(...speech.words);
          yield { type: "words", words: speech.words.map((word) => moved(word, fromMs)) };
        }
      }

      try {
        await session.ready(signal);
        session.setUp({ speed });
        for await (const clause of untilAborted(text, signal)) {
          const letters = lettersOf(clause);
          if (letters === "") continue;
          const own = answerWith(letters);
          if (own !== null) {
            const isBegun = own.given > 0;
            own.given += letters.length;
            if (!isBegun) yield* play(own);
            if (isBegun && stretches.at(-1)?.answer !== own) yield* sayAside(clause);
            continue;
          }
          yield* sayAside(clause);
        }
      } finally {
        if (aside !== null) session.stop(aside);
        leave();
      }

      async function* sayAside(sentence: string): AsyncGenerator<Speech> {
        aside = session.say(sentence.trim());
        yield* play(aside);
      }
    },
    heard({ utterance, text, isCut }) {
      const words = wordsOf(text);
      const stretches = utterances.get(utterance) ?? [];
      utterances.delete(utterance);
      let foreign: string[] = []; // what is no answer in the conversation
      const remember = (isOwn: boolean, heard: readonly string[]): void => {
        if (!isOwn) return void foreign.push(...heard);
        session.remember(foreign.join(" "), false);
        foreign = [];
        session.remember(heard.join(" "), true);
      };
      for (const { answer, words: said } of stretches) {
        const heard = words.splice(0, said.length);
        const isOwn = answer.kind === "answer" && !answer.isCut && answer.life === session.life;
        remember(isOwn, heard);
        const isWhole = heard.length === said.length && answer.end?.type === "complete";
        if (!isOwn || !isCut || isWhole) continue;
        session.truncate(answer, said[heard.length - 1]?.endMs ?? 0);
      }
      foreign.push(...words); // somebody else has said them
      session.remember(foreign.join(" "), false);
    },
  };
  return voice;
}

/** An answer's words and sound. Its word times are estimates: see pacer.ts. */
async function* paced(
  answer: Answer,
  provider: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Speech> {
  const pacer = newPacer(clock);
  let pending = "";
  for await (const piece of answer.read(signal)) {
    if (piece.type === "words") {
      pending += piece.text;
      const end = pending.search(/\s\S*$/) + 1;
      pacer.expect(wordsOf(pending.slice(0, end)));
      pending = pending.slice(end);
    }
    if (piece.type === "audio") yield* pacer.audio(piece.audio);
  }
  pacer.expect(wordsOf(pending));
  pacer.endClause();
  if (answer.end?.type === "failed") {
    throw providerError(provider, `its answer broke off: "${answer.end.code}"`);
  }
  const rest = pacer.clauseEnded();
  if (rest === null) throw providerError(provider, "it gave no sound to its words");
  yield* rest;
}

function moved(word: SpokenWord, byMs: number): SpokenWord {
  return { ...word, startMs: word.startMs + byMs, endMs: word.endMs + byMs };
}

/** A text without its spaces: clauses are cut and joined at them. */
function lettersOf(text: string): string {
  return text.replace(/\s+/g, "");
}
