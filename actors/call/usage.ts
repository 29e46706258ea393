/** Counts what one call uses of its providers on this machine, on the way to them. */

import { toldOf } from "@/lib/async_queue.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { addUsage, type CallUsage, NO_USAGE } from "@/lib/conversation/usage.ts";
import type { LanguageModel, ModelUsage } from "@/lib/providers/llm/llm.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { holdVoice, type TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { promptTokens, tokensOf } from "./ahead.ts";

export interface UsageMeter {
  /** `told`: of the tokens of each answer. */
  model(model: LanguageModel, told: (usage: ModelUsage) => void): LanguageModel;
  voice(voice: TextToSpeech): TextToSpeech;
  recogniser(recogniser: SpeechToText): SpeechToText;
  /** So far; a request under way is broken off now, if it is asked at the end. Which replies were wasted it does not know. */
  read(): CallUsage;
}

export function newUsageMeter(): UsageMeter {
  let usage = NO_USAGE;
  const add = (used: Partial<CallUsage>): void => {
    usage = addUsage(usage, { ...NO_USAGE, ...used });
  };
  const fedBytes = new Map<string, number>();
  /** Requests that are being answered. */
  const open = new Set<{ tokens: number }>();
  const brokenOff = ({ tokens }: { readonly tokens: number }): void =>
    add({ brokenOff: { requests: 1, tokens } });

  return {
    model: (model, told) => ({
      provider: model.provider,
      async *respond(prompt, signal) {
        const asked = { tokens: promptTokens(prompt) };
        open.add(asked);
        try {
          for await (const delta of model.respond(prompt, signal)) {
            if (delta.type === "text") asked.tokens += tokensOf(delta.text);
            if (delta.type === "usage") {
              open.delete(asked);
              told(delta);
              const { type: _, model: name = model.provider, ...tokens } = delta;
              add({ models: [{ model: name, requests: 1, ...NO_TOKENS, ...tokens }] });
            }
            yield delta;
          }
        } finally {
          if (open.delete(asked)) brokenOff(asked);
        }
      },
    }),
    voice(voice) {
      const { provider } = voice;
      const given = ({ length }: string): void =>
        add({ voices: [{ provider, characters: length }] });
      const counted = (it: TextToSpeech): TextToSpeech => ({
        provider,
        synthesize: (text, options, signal) => it.synthesize(toldOf(text, given), options, signal),
      });
      return {
        ...counted(voice),
        hold(first) {
          const held = holdVoice(voice, first);
          return { ...counted(held), release: () => held.release() };
        },
      };
    },
    recogniser(recogniser) {
      const { provider } = recogniser;
      fedBytes.set(provider, 0);
      const given = ({ length }: Uint8Array): void => {
        fedBytes.set(provider, (fedBytes.get(provider) ?? 0) + length); // fifty times a second
      };
      return {
        provider,
        transcribe: (audio, options, signal) =>
          recogniser.transcribe(toldOf(audio, given), options, signal),
      };
    },
    read() {
      const recognisers = [...fedBytes].flatMap(([provider, bytes]) =>
        bytes === 0 ? [] : [{ provider, ms: Math.round(bytes / BYTES_PER_MS) }]
      );
      const underWay = [...open].map(({ tokens }) => tokens);
      return addUsage(usage, {
        ...NO_USAGE,
        recognisers,
        brokenOff: {
          requests: underWay.length,
          tokens: underWay.reduce((sum, tokens) => sum + tokens, 0),
        },
      });
    },
  };
}

const NO_TOKENS = { inputTokens: 0, outputTokens: 0, inputAudioTokens: 0, outputAudioTokens: 0 };
