/** Deepgram Flux, streamed, with its own end of turn. https://developers.deepgram.com/reference/speech-to-text/listen-flux */

import { z } from "zod";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import { type DeepgramOptions, openDeepgram, readMessage } from "@/lib/providers/deepgram.ts";
import { providerError } from "@/lib/providers/http.ts";
import { ms, type Reader, recognise } from "./deepgram_session.ts";
import type { Judgement, Recognition, SpeechToText } from "./stt.ts";

export interface FluxOptions extends DeepgramOptions {
  /** `flux-general-en`, or `flux-general-multi`, which is told the language as a hint. */
  readonly model: string;
}

const PROVIDER = "deepgram-flux";
/** Flux has no KeepAlive and hears time pass only in audio: when none comes it gets silence, at its pace. */
const SILENCE_AFTER_MS = 250;
const SILENT_AUDIO = new Uint8Array(SILENCE_AFTER_MS * BYTES_PER_MS).fill(SILENCE);

/** `endpointingMs` is not used: Flux decides by what was said. Its own thresholds are 0.7, and 5 s. */
export function deepgramFlux(options: FluxOptions): SpeechToText {
  const { model, clock } = options;
  return {
    provider: PROVIDER,
    async *transcribe(audio, { language, keyterms, judgement }, signal) {
      const link = await openDeepgram(
        PROVIDER,
        options,
        signal,
        (client) =>
          client.listen.v2.connect({
            model,
            encoding: "mulaw",
            sample_rate: 8000,
            ...toThresholds(judgement),
            ...(keyterms.length > 0 ? { keyterm: [...keyterms] } : {}),
            ...(model.endsWith("-multi") ? { language_hint: language.split("-", 1) } : {}),
          }),
      );
      const { connection } = link;
      yield* recognise(link, audio, {
        provider: PROVIDER,
        reader: fluxReader(),
        idle: { clock, afterMs: SILENCE_AFTER_MS, send: () => connection.sendMedia(SILENT_AUDIO) },
        signal,
      });
    },
  };
}

/** Without an eager threshold Flux sends no EagerEndOfTurn. */
function toThresholds(judgement: Judgement | undefined): Record<string, number> {
  const { eagerThreshold = null, endThreshold = null, endTimeoutMs = null } = judgement ?? {};
  return {
    ...(eagerThreshold === null ? {} : { eager_eot_threshold: eagerThreshold }),
    ...(endThreshold === null ? {} : { eot_threshold: endThreshold }),
    ...(endTimeoutMs === null ? {} : { eot_timeout_ms: endTimeoutMs }),
  };
}

const Word = z.object({
  confidence: z.number(),
  start: z.number().optional(),
  end: z.number().optional(),
});

const FluxMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("TurnInfo"),
    /** An event that we do not know is an Update: its text is as true. */
    event: z.string(),
    audio_window_start: z.number(),
    audio_window_end: z.number(),
    transcript: z.string(),
    words: z.array(Word),
  }),
  z.object({ type: z.literal("Error"), code: z.string(), description: z.string() }),
]);

const TYPES = FluxMessage.options.map(({ shape }) => shape.type.value);

type TurnInfo = Extract<z.infer<typeof FluxMessage>, { type: "TurnInfo" }>;

/**
 * Turns Flux's messages into ours. A turn's text is whole in each of them and becomes final at its
 * end only: EagerEndOfTurn is a guess that TurnResumed may take back.
 */
export function fluxReader(): Reader {
  let turn: TurnInfo | null = null;
  let isGuessed = false;

  function finish(last: TurnInfo): Recognition[] {
    turn = null;
    isGuessed = false;
    const endMs = ms(last.words.at(-1)?.end ?? last.audio_window_end);
    const ended: Recognition = { type: "utteranceEnded", lastWordEndMs: endMs };
    if (last.transcript === "") return [ended];
    const startMs = ms(last.words[0]?.start ?? last.audio_window_start);
    const confidence = meanOf(last.words.map((word) => word.confidence));
    return [{ type: "final", text: last.transcript, startMs, endMs, confidence }, ended];
  }

  function readTurn(info: TurnInfo): Recognition[] {
    const out: Recognition[] = [];
    if (turn === null) {
      // Updates go on between turns, with no text.
      if (info.event !== "StartOfTurn" && info.transcript === "") return [];
      const at = info.words[0]?.start ?? info.audio_window_start;
      out.push({ type: "speechStarted", atMs: ms(at) });
    }
    turn = info;
    if (info.event === "EndOfTurn") return [...out, ...finish(info)];
    const { transcript: text } = info;
    if (info.event === "TurnResumed" && isGuessed) {
      isGuessed = false;
      out.push({ type: "resumed" });
    }
    if (text === "") return out;
    const endMs = ms(info.words.at(-1)?.end ?? info.audio_window_end);
    out.push({ type: "interim", text, endMs });
    if (info.event !== "EagerEndOfTurn") return out;
    isGuessed = true;
    return [...out, { type: "eagerEnded", text, lastWordEndMs: endMs }];
  }

  return {
    read(raw) {
      const message = readMessage(PROVIDER, FluxMessage, TYPES, raw);
      switch (message?.type) {
        case "TurnInfo":
          return readTurn(message);
        case "Error":
          throw providerError(PROVIDER, `${message.code} ${message.description}`);
        case undefined: // Connected, and what else does not concern us
          return [];
      }
    },
    // Flux ends no turn at CloseStream, so its last Update is final as it stands.
    end: () => turn === null ? [] : finish(turn),
  };
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
