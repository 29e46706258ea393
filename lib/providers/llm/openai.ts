/** OpenAI chat completions, streamed, of any compatible server. https://platform.openai.com/docs/api-reference/chat-streaming */

import type OpenAI from "openai";
import { z } from "zod";
import { providerError } from "@/lib/providers/http.ts";
import { type OpenAIAccount, openaiClient, openaiFailure } from "@/lib/providers/openai_client.ts";
import type { LanguageModel, ModelDelta, Prompt, Tool, ToolCall } from "./llm.ts";
import { ARGUMENTS_MAX, argumentsOf, CALLS_MAX, toTurns } from "./prompts.ts";
import { answerFetch, type AnswerLimits, receive } from "./receive.ts";

export interface OpenAIOptions extends OpenAIAccount, AnswerLimits {
  readonly model: string;
}

const PROVIDER = "openai";

export function openai(options: OpenAIOptions): LanguageModel {
  const client = openaiClient({ ...options, fetch: answerFetch(PROVIDER, options) });
  return {
    provider: PROVIDER,
    async *respond(prompt, signal) {
      const request = toRequest(options, prompt);
      const answer = receive({
        ...options,
        provider: PROVIDER,
        open: (signal) => client.chat.completions.create(request, { signal }),
        parse: parseChunk,
        isReply: ({ choices }) =>
          choices.some(({ delta }) => Boolean(delta?.content || delta?.tool_calls)),
      }, signal);
      const reply = newReply(options.model);
      try {
        for await (const chunk of answer) yield* reply.take(chunk);
      } catch (error) {
        signal.throwIfAborted();
        // After the last word only the bill is missing.
        if (reply.reason() === null) throw openaiFailure(PROVIDER, error);
      }
      const reason = reply.reason();
      if (reason === null) throw providerError(PROVIDER, "its answer broke off");
      yield { type: "finished", reason };
    },
  };
}

/** What we read of a chunk. Compatible servers send null, or nothing, where OpenAI sends one of the two. */
const ChunkJson = z.object({
  id: z.string().nullish(),
  choices: z.array(z.object({
    delta: z.object({
      content: z.string().nullish(),
      tool_calls: z.array(z.object({
        index: z.int().min(0).max(CALLS_MAX - 1).default(0),
        id: z.string().nullish(),
        function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() })
          .nullish(),
      })).nullish(),
    }).nullish(),
    finish_reason: z.string().nullish(),
  })),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
});

type Chunk = z.infer<typeof ChunkJson>;

function parseChunk(json: unknown): Chunk {
  const parsed = ChunkJson.safeParse(json);
  if (parsed.success) return parsed.data;
  throw providerError(PROVIDER, "it sent no chunk of a completion", {
    retryable: false,
    cause: parsed.error,
  });
}

/** Puts tool calls together from their pieces, which are told apart by `index`. */
function newReply(model: string): {
  take(chunk: Chunk): Iterable<ModelDelta>;
  reason(): FinishReason | null;
} {
  const calls = new Map<number, ToolCall>();
  let finish: string | null = null;

  return {
    *take({ id, choices, usage }) {
      const choice = choices[0]; // we ask for one, and the chunk of the usage has none
      if (choice?.delta?.content) yield { type: "text", text: choice.delta.content };
      for (const piece of choice?.delta?.tool_calls ?? []) {
        const before = calls.get(piece.index);
        const text = (before?.arguments ?? "") + (piece.function?.arguments ?? "");
        if (text.length > ARGUMENTS_MAX) throw providerError(PROVIDER, "its tool call is too long");
        calls.set(piece.index, {
          // Some servers give no id, or give it again with every piece.
          id: before?.id || piece.id || `${id ?? "call"}_${piece.index}`,
          name: before?.name || piece.function?.name || "",
          arguments: text,
        });
      }
      if (choice?.finish_reason && finish === null) {
        finish = choice.finish_reason;
        for (const [, call] of calls) yield { type: "toolCall", call };
      }
      if (usage) {
        const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = usage;
        yield { type: "usage", model, inputTokens, outputTokens };
      }
    },
    reason() {
      if (finish === "length") return "length";
      if (finish === "content_filter") return "filtered";
      if (finish === null) return null;
      return calls.size > 0 ? "toolCalls" : "stop"; // some servers say `stop` for both
    },
  };
}

type FinishReason = Extract<ModelDelta, { type: "finished" }>["reason"];

function toRequest(
  { model, baseUrl }: OpenAIOptions,
  prompt: Prompt,
): OpenAI.ChatCompletionCreateParamsStreaming {
  // OpenAI's newer models refuse `max_tokens`, and other servers may not know its successor (2026-11).
  const isOpenAI = URL.parse(baseUrl)?.hostname === "api.openai.com";
  return {
    model,
    messages: toMessages(prompt),
    temperature: prompt.temperature,
    ...(isOpenAI ? { max_completion_tokens: prompt.maxTokens } : { max_tokens: prompt.maxTokens }),
    // Both are refused where there are no tools. Of several edges only one could be taken.
    ...(prompt.tools.length === 0
      ? {}
      : { tools: prompt.tools.map(toTool), parallel_tool_calls: false }),
    stream: true,
    stream_options: { include_usage: true },
  };
}

function toTool({ name, description, parameters }: Tool): OpenAI.ChatCompletionTool {
  return { type: "function", function: { name, description, parameters: { ...parameters } } };
}

function toMessages({ system, messages }: Prompt): OpenAI.ChatCompletionMessageParam[] {
  return [
    { role: "system", content: system },
    ...toTurns(messages).flatMap((turn): OpenAI.ChatCompletionMessageParam[] => {
      switch (turn.role) {
        case "caller":
          return [{ role: "user", content: turn.text }];
        case "agent":
          return [{ role: "assistant", content: turn.text }];
        case "tools":
          return [
            {
              role: "assistant",
              content: null,
              tool_calls: turn.tools.map(({ call }) => toToolCall(call)),
            },
            ...turn.tools.map(({ call: { id }, output }) => (
              { role: "tool" as const, tool_call_id: id, content: output }
            )),
          ];
      }
    }),
  ];
}

function toToolCall(call: ToolCall): OpenAI.ChatCompletionMessageFunctionToolCall {
  // Some servers parse the arguments of past calls.
  const text = JSON.stringify(argumentsOf(call));
  return { id: call.id, type: "function", function: { name: call.name, arguments: text } };
}
