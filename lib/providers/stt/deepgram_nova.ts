/** Deepgram Nova, streamed. https://developers.deepgram.com/reference/speech-to-text/listen-streaming */

import { z } from "zod";
import { type DeepgramOptions, openDeepgram, readMessage } from "@/lib/providers/deepgram.ts";
import { providerError } from "@/lib/providers/http.ts";
import { ms, type Reader, recognise } from "./deepgram_session.ts";
import type { Recognition, SpeechToText } from "./stt.ts";

export interface NovaOptions extends DeepgramOptions {
  /** `nova-3`, or another model of the v1 interface. */
  readonly model: string;
}

const PROVIDER = "deepgram-nova";
/** Deepgram closes with NET-0001 after 10 s without audio and asks for a KeepAlive each 3–5 s. */
const KEEP_ALIVE_MS = 4_000;
/** While audio flows a result comes about every second, silence or not. */
const REPLY_TIMEOUT_MS = 5_000;
/** Deepgram's least. Ends an utterance that noise keeps from being endpointed. */
const UTTERANCE_END_MS = 1_000;

export function deepgramNova(options: NovaOptions): SpeechToText {
  const { model, clock } = options;
  return {
    provider: PROVIDER,
    async *transcribe(audio, { language, keyterms, endpointingMs }, signal) {
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
            utterance_end_ms: UTTERANCE_END_MS,
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
        reader: novaReader(),
        replyTimeoutMs: REPLY_TIMEOUT_MS,
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
  /** End of the last final word; null before the first final with words. */
  readonly lastWordEnd: number | null;
  /** An UtteranceEnd that came before the final it speaks of. */
  readonly isOverdue: boolean;
}

/**
 * Turns Deepgram's messages into ours. Finals add up until `speech_final` or UtteranceEnd, whichever
 * comes; both may, and then the later one finds nothing to end, or the next utterance, which is left alone.
 */
export function novaReader(): Reader {
  let utterance: Utterance | null = null;

  function begin(atSeconds: number): Recognition[] {
    if (utterance !== null) return [];
    utterance = { startedAt: atSeconds, lastWordEnd: null, isOverdue: false };
    return [{ type: "speechStarted", atMs: ms(atSeconds) }];
  }

  function finish(lastWordEnd: number): Recognition[] {
    utterance = null;
    return [{ type: "utteranceEnded", lastWordEndMs: ms(lastWordEnd) }];
  }

  function readResults(
    { start, duration, is_final, speech_final, channel }: Results,
  ): Recognition[] {
    const { transcript, confidence, words } = channel.alternatives[0] ?? NOTHING;
    const end = start + duration;
    if (transcript === "") {
      // What began was no speech, or its words came before: an endpoint after its beginning ends it.
      if (!speech_final || utterance === null || end <= utterance.startedAt) return [];
      return finish(utterance.lastWordEnd ?? end);
    }
    const startMs = ms(words[0]?.start ?? start);
    const wordEnd = words.at(-1)?.end ?? end;
    const out = begin(words[0]?.start ?? start);
    if (!is_final) return [...out, { type: "interim", text: transcript, endMs: ms(wordEnd) }];
    out.push({ type: "final", text: transcript, startMs, endMs: ms(wordEnd), confidence });
    if (speech_final || utterance?.isOverdue) return [...out, ...finish(wordEnd)];
    if (utterance !== null) utterance = { ...utterance, lastWordEnd: wordEnd };
    return out;
  }

  return {
    read(raw) {
      const message = readMessage(PROVIDER, NovaMessage, TYPES, raw);
      switch (message?.type) {
        case "Results":
          return readResults(message);
        case "SpeechStarted":
          return begin(message.timestamp);
        case "UtteranceEnd": {
          const { last_word_end } = message;
          // It speaks of the utterance before this one: `speech_final` has ended that already.
          if (utterance === null || last_word_end <= utterance.startedAt) return [];
          if (utterance.lastWordEnd !== null) return finish(utterance.lastWordEnd);
          utterance = { ...utterance, isOverdue: true };
          return [];
        }
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
