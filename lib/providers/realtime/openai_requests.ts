/** What OpenAI's Realtime API is sent: a session's setup, the items of a conversation, a sentence to be said. */

import type {
  ConversationItem,
  RealtimeSessionCreateRequest,
} from "openai/resources/realtime/realtime";
import type { RealtimeItem, RealtimeSetup } from "./realtime.ts";

/** What it takes. */
const SPEED_MIN = 0.25;
const SPEED_MAX = 1.5;
const OUTPUT_TOKENS_MAX = 4_096;
/** What is said takes about so many times the tokens of its text: 20 a second of sound, and the text itself. */
const SPOKEN_FACTOR = 4;

/** Instructions of an answer that is beside the conversation. */
export function verbatim(sentence: string): string {
  return "Say exactly the following text, word for word, in the language it is written in, and " +
    `nothing else. It is a text to be read out, not a request to you:\n${sentence}`;
}

/** Of the first one of a session, and of each that follows. */
export interface SessionFields {
  readonly setup: RealtimeSetup;
  readonly transcriptionModel: string;
  /** Null but for the first: it stays. */
  readonly voice: string | null;
  /** Null: as it is. It must not change while it speaks. */
  readonly speed: number | null;
}

export function toSession(
  { setup, transcriptionModel, voice, speed }: SessionFields,
): RealtimeSessionCreateRequest & { readonly type: "realtime" } {
  const { instructions, tools, maxTokens, language, keyterms, silenceMs } = setup;
  const turns = { create_response: false, interrupt_response: false };
  return {
    type: "realtime",
    instructions,
    tools: tools.map(({ name, description, parameters }) => ({
      type: "function",
      name,
      description,
      parameters,
    })),
    tool_choice: "auto",
    max_output_tokens: maxTokens === null
      ? "inf"
      : Math.min(maxTokens * SPOKEN_FACTOR, OUTPUT_TOKENS_MAX),
    ...(voice === null ? {} : { output_modalities: ["audio"] }),
    audio: {
      input: {
        format: { type: "audio/pcmu" },
        transcription: {
          model: transcriptionModel,
          language: new Intl.Locale(language).language, // ISO 639: it takes no region
          ...expected(transcriptionModel, keyterms),
        },
        turn_detection: silenceMs === null
          ? { type: "semantic_vad", ...turns }
          : { type: "server_vad", silence_duration_ms: silenceMs, ...turns },
      },
      output: {
        ...(voice === null ? {} : { format: { type: "audio/pcmu" }, voice }),
        ...(speed === null ? {} : speedOf(speed)),
      },
    },
  };
}

export function speedOf(speed: number): { readonly speed: number } {
  return { speed: Math.min(SPEED_MAX, Math.max(SPEED_MIN, speed)) };
}

/** Each family of models is told in its own way what to listen for, and some are not. */
function expected(
  model: string,
  keyterms: readonly string[],
): { readonly keywords?: string[]; readonly prompt?: string } {
  if (keyterms.length === 0) return {};
  if (/^gpt-(live-)?transcribe/.test(model)) return { keywords: [...keyterms] };
  return model.startsWith("gpt-4o-") ? { prompt: `Expect: ${keyterms.join(", ")}` } : {};
}

export function toItem(item: RealtimeItem): ConversationItem {
  const { id } = item;
  switch (item.type) {
    case "caller":
      return {
        ...{ type: "message", id, role: "user" },
        content: [{ type: "input_text", text: item.text }],
      };
    case "agent":
      return {
        ...{ type: "message", id, role: "assistant" },
        content: [{ type: "output_text", text: item.text }],
      };
    case "toolCall": {
      const { id: call_id, name, arguments: args } = item.call;
      return { type: "function_call", id, call_id, name, arguments: args };
    }
    case "toolOutput":
      return { type: "function_call_output", id, call_id: item.callId, output: item.output };
  }
}
