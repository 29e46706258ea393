/** OpenAI chat completions, streamed, of any compatible server. https://platform.openai.com/docs/api-reference/chat-streaming */

import OpenAI from "openai";
import { z } from "zod";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { Secret } from "@/lib/secret.ts";
import type { LanguageModel, ModelDelta, Prompt, Tool, ToolCall } from "./llm.ts";

export interface OpenAIOptions {
  readonly apiKey: Secret;
  /** As `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  readonly clock: Clock;
  /** A reply that has not begun after so long has failed; FIRST_TOKEN_MS when absent. */
  readonly firstTokenMs?: number;
  /** So has one that pauses for so long; GAP_MS when absent. */
  readonly gapMs?: number;
  readonly fetch?: typeof fetch;
}

export const FIRST_TOKEN_MS = 2_500;
export const GAP_MS = 1_500;
/** Tool calls of one reply, and characters of one call's arguments. */
const CALLS_MAX = 16;
const ARGUMENTS_MAX = 32_768;

export function openai(options: OpenAIOptions): LanguageModel {
  const { baseUrl, clock, firstTokenMs = FIRST_TOKEN_MS, gapMs = GAP_MS } = options;
  // What is null here the SDK would read from the environment.
  const client = new OpenAI({
    apiKey: options.apiKey.reveal(),
    baseURL: baseUrl,
    maxRetries: 0,
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    logLevel: "off",
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  });

  return {
    provider: "openai",
    async *respond(prompt, signal) {
      const reply = newReply();
      try {
        for await (const chunk of receive(toRequest(options, prompt), signal)) {
          yield* reply.take(chunk);
        }
      } catch (error) {
        signal.throwIfAborted();
        // After the last word only the bill is missing.
        if (reply.reason() === null) throw toAppError(error);
      }
      const reason = reply.reason();
      if (reason === null) throw providerError("openai", "its answer broke off");
      yield { type: "finished", reason };
    },
  };

  /** The chunks of an answer. Only the time spent waiting for the server counts against the limits. */
  async function* receive(
    request: OpenAI.ChatCompletionCreateParamsStreaming,
    caller: AbortSignal,
  ): AsyncGenerator<Chunk> {
    caller.throwIfAborted();
    const late = new AbortController();
    const signal = AbortSignal.any([caller, late.signal]);
    const after = (ms: number): Cancel =>
      clock.timer(ms, () => late.abort(providerError("openai", "it fell silent")));
    const firstAt = clock.now() + firstTokenMs;
    let hasBegun = false;
    let disarm = after(firstTokenMs);
    try {
      const answer = await client.chat.completions.create(request, { signal });
      for await (const json of untilAborted(answer, signal)) {
        disarm();
        const chunk = parseChunk(json);
        yield chunk;
        hasBegun ||= chunk.choices.some(({ delta }) => delta?.content || delta?.tool_calls);
        disarm = after(hasBegun ? gapMs : firstAt - clock.now());
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      disarm();
    }
  }
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
  throw providerError("openai", "it sent no chunk of a completion", {
    retryable: false,
    cause: parsed.error,
  });
}

/** Puts tool calls together from their pieces, which are told apart by `index`. */
function newReply(): {
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
        if (text.length > ARGUMENTS_MAX) throw providerError("openai", "its tool call is too long");
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
        yield { type: "usage", inputTokens, outputTokens };
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

/** Calls that follow each other become one message, and their outputs stand right behind it, as OpenAI demands. */
function toMessages(
  { system, messages }: Prompt,
): OpenAI.ChatCompletionMessageParam[] {
  const outputs = new Map(
    messages.flatMap((message) =>
      message.role === "toolOutput" ? [[message.callId, message.output]] : []
    ),
  );
  const wire: OpenAI.ChatCompletionMessageParam[] = [{ role: "system", content: system }];
  let calls: ToolCall[] = [];
  for (const [at, message] of messages.entries()) {
    switch (message.role) {
      case "caller":
        wire.push({ role: "user", content: message.text });
        break;
      case "agent":
        wire.push({ role: "assistant", content: message.text });
        break;
      case "toolCall":
        calls.push(message.call);
        if (messages[at + 1]?.role === "toolCall") break;
        wire.push({ role: "assistant", content: null, tool_calls: calls.map(toToolCall) });
        for (const { id } of calls) {
          wire.push({ role: "tool", tool_call_id: id, content: outputs.get(id) ?? "" });
        }
        calls = [];
        break;
      case "toolOutput":
        break; // stands with its call
    }
  }
  return wire;
}

function toToolCall(call: ToolCall): OpenAI.ChatCompletionMessageFunctionToolCall {
  // Some servers parse the arguments of past calls, and would refuse the whole conversation.
  const text = isJson(call.arguments) ? call.arguments : "{}";
  return { id: call.id, type: "function", function: { name: call.name, arguments: text } };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What the server says of an error may quote the prompt: only its status and code are repeated. */
function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof OpenAI.APIError && typeof error.status === "number") {
    const { status, code } = error;
    return providerError("openai", `it answered ${status} "${code ?? "no code"}"`, { status });
  }
  if (error instanceof SyntaxError) {
    return providerError("openai", "it sent no JSON", { retryable: false, cause: error });
  }
  if (error instanceof OpenAI.APIConnectionError) {
    return providerError("openai", "it cannot be reached", { cause: error });
  }
  return providerError("openai", "its answer was lost", { cause: error });
}
