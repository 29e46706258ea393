/** Deepgram Nova, streamed. https://developers.deepgram.com/reference/speech-to-text/listen-streaming */

import { z } from "zod";
import { type DeepgramOptions, openDeepgram, readMessage } from "@/lib/providers/deepgram.ts";
import { providerError } from "@/lib/providers/http.ts";
import { ms, type Reader, recognise } from "./deepgram_session.ts";
import type { Judgement, Recognition, SpeechToText } from "./stt.ts";

export interface NovaOptions extends DeepgramOptions {
  /** `nova-3`, or another model of the v1 interface. */
  readonly model: string;
}

const PROVIDER = "deepgram-nova";
/**
 * Deepgram closes with NET-0001 after 10 s without audio and asks for a KeepAlive each 3–5 s. Sooner than that,
 * for without audio no result is owed, and REPLY_TIMEOUT_MS runs until it is sent.
 */
const KEEP_ALIVE_MS = 2_000;
/** Deepgram's least. Ends an utterance that noise keeps from being endpointed. */
const UTTERANCE_END_MS = 1_000;

/**
 * By silence, an utterance ends with the endpoint after its last word. By Nova's own judgement it ends with
 * UtteranceEnd, which looks at the gap between words and not at noise; an endpoint is a guess then. It
 * has no thresholds: any eager one makes it tell its guesses.
 */
export function deepgramNova(options: NovaOptions): SpeechToText {
  const { model, clock } = options;
  return {
    provider: PROVIDER,
    async *transcribe(audio, { language, keyterms, endpointingMs, judgement }, signal) {
      const link = await openDeepgram(
        PROVIDER,
        options,
        signal,
        (client) =>
          client.listen.v1.connect({
            model,
            language,
            encoding: "mulaw",
            sample_rate: 8000,
            channels: 1,
            interim_results: "true",
            endpointing: endpointingMs,
            utterance_end_ms: Math.max(UTTERANCE_END_MS, judgement?.endTimeoutMs ?? 0),
            vad_events: "true",
            smart_format: "true",
            // Else a final may wait for 3 s of silence, for the rest of a number or date that seems cut
            // off (developers.deepgram.com/changelog/2025/4/2).
            queryParams: { no_delay: "true" },
            ...(keyterms.length > 0 ? { keyterm: keyterms } : {}),
          }),
      );
      const { connection, socket } = link;
      yield* recognise(link, audio, {
        provider: PROVIDER,
        reader: novaReader(judgement),
        idle: {
          clock,
          afterMs: KEEP_ALIVE_MS,
          send() {
            connection.sendKeepAlive({ type: "KeepAlive" });
            socket.expectNothing(); // without audio there is nothing to say
          },
        },
        signal,
      });
    },
  };
}

const Word = z.object({ start: z.number(), end: z.number() });

const NovaMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("Results"),
    start: z.number(),
    duration: z.number(),
    is_final: z.boolean().optional(),
    speech_final: z.boolean().optional(),
    channel: z.object({
      alternatives: z.array(
        z.object({ transcript: z.string(), confidence: z.number(), words: z.array(Word) }),
      ).min(1),
    }),
  }),
  z.object({ type: z.literal("SpeechStarted"), timestamp: z.number() }),
  z.object({ type: z.literal("UtteranceEnd"), last_word_end: z.number() }),
  z.object({ type: z.literal("Metadata") }), // after CloseStream, before the close
  // Documented nowhere (2026-11): seen before a close, with a sentence in `description`.
  z.object({ type: z.literal("Error"), description: z.string().optional() }),
]);

const TYPES = NovaMessage.options.map(({ shape }) => shape.type.value);

type Results = Extract<z.infer<typeof NovaMessage>, { type: "Results" }>;

/** An utterance under way. Times in seconds, as Deepgram counts. */
interface Utterance {
  readonly startedAt: number;
  /** Its finals. */
  readonly text: string;
  /** End of the last final word; null before the first final with words. */
  readonly lastWordEnd: number | null;
  /** Start of the words that are not final yet; null: there are none. */
  readonly pendingFrom: number | null;
  /** An UtteranceEnd that came before the final it speaks of. */
  readonly isOverdue: boolean;
  /** It was told as probably over, and no word has come since. */
  readonly isGuessed: boolean;
}

/**
 * Turns Deepgram's messages into ours. By silence, finals add up until `speech_final` or UtteranceEnd,
 * whichever comes; both may, and then the later one finds nothing to end, or the next utterance, which is
 * left alone.
 */
export function novaReader(judgement?: Judgement): Reader {
  const endsBySilence = judgement === undefined;
  const isEager = (judgement?.eagerThreshold ?? null) !== null;
  let utterance: Utterance | null = null;

  function begin(atSeconds: number): Recognition[] {
    if (utterance === null) {
      utterance = {
        startedAt: atSeconds,
        text: "",
        lastWordEnd: null,
        pendingFrom: null,
        isOverdue: false,
        isGuessed: false,
      };
      return [{ type: "speechStarted", atMs: ms(atSeconds) }];
    }
    if (!utterance.isGuessed) return [];
    utterance = { ...utterance, isGuessed: false };
    return [{ type: "resumed" }];
  }

  function finish(lastWordEnd: number): Recognition[] {
    utterance = null;
    return [{ type: "utteranceEnded", lastWordEndMs: ms(lastWordEnd) }];
  }

  /** The caller has been silent for the endpoint. */
  function pause(of: Utterance, lastWordEnd: number): Recognition[] {
    if (endsBySilence || of.isOverdue) return finish(lastWordEnd);
    if (!isEager || of.isGuessed) return [];
    utterance = { ...of, isGuessed: true };
    return [{ type: "eagerEnded", text: of.text, lastWordEndMs: ms(lastWordEnd) }];
  }

  function readSilence({ start, duration, is_final, speech_final }: Results): Recognition[] {
    if (utterance === null) return [];
    if (is_final) utterance = { ...utterance, pendingFrom: null };
    const end = start + duration;
    const { startedAt, lastWordEnd, isOverdue } = utterance;
    if (is_final && isOverdue) return finish(lastWordEnd ?? end);
    // What began was no speech, or its words came before: an endpoint after its beginning ends it.
    if (!speech_final || end <= startedAt) return [];
    return lastWordEnd === null ? finish(end) : pause(utterance, lastWordEnd);
  }

  function readResults(results: Results): Recognition[] {
    const { start, duration, is_final, speech_final, channel } = results;
    const { transcript, confidence, words } = channel.alternatives[0] ?? NOTHING;
    if (transcript === "") return readSilence(results);
    const from = words[0]?.start ?? start;
    const wordEnd = words.at(-1)?.end ?? start + duration;
    const out = begin(from);
    if (utterance === null) return out;
    if (!is_final) {
      utterance = { ...utterance, pendingFrom: from };
      return [...out, { type: "interim", text: transcript, endMs: ms(wordEnd) }];
    }
    out.push({
      type: "final",
      text: transcript,
      startMs: ms(from),
      endMs: ms(wordEnd),
      confidence,
    });
    const text = `${utterance.text} ${transcript}`.trimStart();
    utterance = { ...utterance, text, lastWordEnd: wordEnd, pendingFrom: null };
    if (utterance.isOverdue) return [...out, ...finish(wordEnd)];
    return speech_final ? [...out, ...pause(utterance, wordEnd)] : out;
  }

  function readUtteranceEnd(lastWordEnd: number): Recognition[] {
    // It speaks of the utterance before this one, or of words that others have followed since.
    if (utterance === null || lastWordEnd <= utterance.startedAt) return [];
    const { pendingFrom } = utterance;
    if (pendingFrom !== null && lastWordEnd <= pendingFrom) return [];
    if (pendingFrom === null && utterance.lastWordEnd !== null) {
      return finish(utterance.lastWordEnd);
    }
    utterance = { ...utterance, isOverdue: true };
    return [];
  }

  return {
    read(raw) {
      const message = readMessage(PROVIDER, NovaMessage, TYPES, raw);
      switch (message?.type) {
        case "Results":
          return readResults(message);
        case "SpeechStarted":
          return begin(message.timestamp);
        case "UtteranceEnd":
          return readUtteranceEnd(message.last_word_end);
        case "Metadata":
        case undefined:
          return [];
        case "Error":
          throw providerError(PROVIDER, message.description ?? "it sent an error");
      }
    },
    end() {
      const lastWordEnd = utterance?.lastWordEnd ?? null;
      return lastWordEnd === null ? [] : finish(lastWordEnd);
    },
  };
}

const NOTHING = { transcript: "", confidence: 0, words: [] };
