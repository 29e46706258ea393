/** Anthropic's messages, streamed. https://platform.claude.com/docs/en/build-with-claude/streaming */

import Anthropic from "@anthropic-ai/sdk";
import { z } from "zod";
import { AppError } from "@/lib/errors.ts";
import { providerError } from "@/lib/providers/http.ts";
import { retryAfterOf } from "@/lib/providers/retry_after.ts";
import type { Secret } from "@/lib/secret.ts";
import type { LanguageModel, ModelDelta, Prompt, ToolCall } from "./llm.ts";
import { ARGUMENTS_MAX, argumentsOf, CALLS_MAX, toTurns } from "./prompts.ts";
import { answerFetch, type AnswerLimits, receive } from "./receive.ts";

export interface AnthropicOptions extends AnswerLimits {
  readonly apiKey: Secret;
  /** As `https://api.anthropic.com`. */
  readonly baseUrl: string;
  readonly model: string;
  readonly fetch?: typeof fetch;
}

const PROVIDER = "anthropic";

/** The prompt's temperature is not used: Anthropic takes none since its version 2026-10-21. */
export function anthropic(options: AnthropicOptions): LanguageModel {
  // What is null here the SDK would read from the environment, or from files.
  const client = new Anthropic({
    apiKey: options.apiKey.reveal(),
    baseURL: options.baseUrl,
    authToken: null,
    webhookKey: null,
    maxRetries: 0,
    openTelemetry: false,
    logLevel: "off",
    fetch: answerFetch(PROVIDER, options),
  });
  return {
    provider: PROVIDER,
    async *respond(prompt, signal) {
      const request = toRequest(options.model, prompt);
      const answer = receive({
        ...options,
        provider: PROVIDER,
        open: (signal) => client.messages.create(request, { signal }),
        parse: parseEvent,
        isReply: ({ type }) => type === "content_block_delta",
      }, signal);
      const reply = newReply(options.model);
      try {
        for await (const event of answer) yield* reply.take(event);
      } catch (error) {
        signal.throwIfAborted();
        if (reply.reason() === null) throw toAppError(error);
      }
      const reason = reply.reason();
      if (reason === null) throw providerError(PROVIDER, "its answer broke off");
      yield { type: "finished", reason };
    },
  };
}

const count = z.number().nullish();

const Event = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("message_start"),
    message: z.object({
      usage: z.object({
        input_tokens: z.number(),
        cache_creation_input_tokens: count,
        cache_read_input_tokens: count,
      }),
    }),
  }),
  z.object({
    type: z.literal("content_block_start"),
    index: z.int().min(0),
    content_block: z.union([
      z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string() }),
      z.object({ type: z.string() }).transform(() => null),
    ]),
  }),
  z.object({
    type: z.literal("content_block_delta"),
    index: z.int().min(0),
    delta: z.union([
      z.object({ type: z.literal("text_delta"), text: z.string() }),
      z.object({ type: z.literal("input_json_delta"), partial_json: z.string() }),
      z.object({ type: z.string() }).transform(() => null), // thoughts, and what comes later
    ]),
  }),
  z.object({
    type: z.literal("message_delta"),
    delta: z.object({ stop_reason: z.string().nullish() }),
    usage: z.object({ output_tokens: z.number() }),
  }),
]);

type Event = z.infer<typeof Event>;

const TYPES: readonly string[] = Event.options.map(({ shape }) => shape.type.value);

function parseEvent(json: unknown): Event | { readonly type: "other" } {
  const parsed = Event.safeParse(json);
  if (parsed.success) return parsed.data;
  const type = z.object({ type: z.string() }).safeParse(json).data?.type;
  if (type !== undefined && !TYPES.includes(type)) return { type: "other" };
  throw providerError(PROVIDER, "it sent no event of a message", {
    retryable: false,
    cause: parsed.error,
  });
}

type FinishReason = Extract<ModelDelta, { type: "finished" }>["reason"];

/** Puts tool calls together from the pieces of their JSON, which are told apart by `index`. */
function newReply(model: string): {
  take(event: Event | { readonly type: "other" }): Iterable<ModelDelta>;
  reason(): FinishReason | null;
} {
  const calls = new Map<number, ToolCall>();
  let inputTokens = 0;
  let finish: FinishReason | null = null;

  function extend(index: number, json: string): void {
    const call = calls.get(index);
    if (call === undefined) throw providerError(PROVIDER, "it sent a part of no tool call");
    const text = call.arguments + json;
    if (text.length > ARGUMENTS_MAX) throw providerError(PROVIDER, "its tool call is too long");
    calls.set(index, { ...call, arguments: text });
  }

  return {
    *take(event) {
      switch (event.type) {
        case "message_start": {
          const { usage } = event.message;
          const cached = (usage.cache_creation_input_tokens ?? 0) +
            (usage.cache_read_input_tokens ?? 0);
          inputTokens = usage.input_tokens + cached;
          return;
        }
        case "content_block_start": {
          const { index, content_block: block } = event;
          if (block === null) return;
          if (calls.size === CALLS_MAX) throw providerError(PROVIDER, "it calls too many tools");
          calls.set(index, { id: block.id, name: block.name, arguments: "" });
          return;
        }
        case "content_block_delta": {
          const { index, delta } = event;
          if (delta?.type === "text_delta" && delta.text !== "") {
            yield { type: "text", text: delta.text };
          }
          if (delta?.type === "input_json_delta") extend(index, delta.partial_json);
          return;
        }
        case "message_delta": {
          const { delta: { stop_reason: reason }, usage } = event;
          if (!reason) return;
          finish = reasonOf(reason);
          // A call without parameters has no pieces.
          for (const call of calls.values()) {
            yield { type: "toolCall", call: { ...call, arguments: call.arguments || "{}" } };
          }
          yield { type: "usage", model, inputTokens, outputTokens: usage.output_tokens };
          return;
        }
        case "other":
          return;
      }
    },
    reason: () => finish,
  };
}

function reasonOf(reason: string): FinishReason {
  switch (reason) {
    case "tool_use":
      return "toolCalls";
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "refusal":
      return "filtered";
    default: // end_turn, stop_sequence, and what comes later
      return "stop";
  }
}

function toRequest(model: string, prompt: Prompt): Anthropic.MessageCreateParamsStreaming {
  const messages = toMessages(prompt);
  const tools = toTools(prompt);
  return {
    model,
    max_tokens: prompt.maxTokens,
    ...(prompt.system.trim() === "" ? {} : { system: prompt.system }),
    messages,
    ...(tools.length === 0 ? {} : { tools, tool_choice: toChoice(prompt) }),
    // A caller waits. These models refuse to be told not to think (2026-11).
    ...(/fable|mythos/.test(model) ? {} : { thinking: { type: "disabled" } }),
    // All but the last turn was there the time before.
    cache_control: { type: "ephemeral" },
    stream: true,
  };
}

function toChoice({ tools }: Prompt): Anthropic.ToolChoice {
  if (tools.length === 0) return { type: "none" };
  return { type: "auto", disable_parallel_tool_use: true }; // of several edges only one could be taken
}

/** A conversation with calls is refused without tools: those that were called are named, and not offered. */
function toTools({ tools, messages }: Prompt): Anthropic.Tool[] {
  if (tools.length > 0) {
    return tools.map(({ name, description, parameters }) => (
      { name, description, input_schema: { ...parameters, type: "object" } }
    ));
  }
  const names = new Set(messages.flatMap((it) => it.role === "toolCall" ? [it.call.name] : []));
  return [...names].map((name) => ({ name, input_schema: { type: "object" } }));
}

type Block =
  | Anthropic.TextBlockParam
  | Anthropic.ToolUseBlockParam
  | Anthropic.ToolResultBlockParam;
interface Message {
  readonly role: "user" | "assistant";
  readonly content: Block[];
}

/** What the caller is said to have said where they have said nothing: a conversation begins and ends with them. */
const SILENT = "(The caller says nothing.)";

/** Roles must alternate, texts must not be empty, and the results of calls come first in the message after them. */
function toMessages({ messages }: Prompt): Anthropic.MessageParam[] {
  const wire: Message[] = [];

  function add(role: Message["role"], ...blocks: readonly Block[]): void {
    const last = wire.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else wire.push({ role, content: [...blocks] });
  }

  for (const turn of toTurns(messages)) {
    if (turn.role === "tools") {
      if (wire.length === 0) add("user", { type: "text", text: SILENT });
      add("assistant", ...turn.tools.map(({ call }) => toToolUse(call)));
      add("user", ...turn.tools.map(toToolResult));
    } else if (turn.text.trim() !== "") {
      const role = turn.role === "caller" ? "user" : "assistant";
      if (wire.length === 0 && role === "assistant") add("user", { type: "text", text: SILENT });
      add(role, { type: "text", text: turn.text });
    }
  }
  if (wire.at(-1)?.role !== "user") add("user", { type: "text", text: SILENT });
  return wire as Anthropic.MessageParam[]; // results are the user's, uses the assistant's: see above
}

/** Another provider's id may have letters that Anthropic refuses. */
function idOf({ id }: ToolCall): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, "_");
}

function toToolUse(call: ToolCall): Anthropic.ToolUseBlockParam {
  return { type: "tool_use", id: idOf(call), name: call.name, input: argumentsOf(call) };
}

function toToolResult(
  { call, output }: { readonly call: ToolCall; readonly output: string },
): Anthropic.ToolResultBlockParam {
  const content = output === "" ? {} : { content: output };
  return { type: "tool_result", tool_use_id: idOf(call), ...content };
}

/** The statuses of errors that come in mid-stream, where there is no status any more. */
const STATUS_OF: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  overloaded_error: 529,
};

/** What the server says of an error may quote the prompt: only its status and type are repeated. */
function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Anthropic.APIConnectionError) {
    return providerError(PROVIDER, "it cannot be reached", { cause: error });
  }
  if (error instanceof Anthropic.APIError) {
    const type = error.type ?? "no type";
    const status = error.status ?? STATUS_OF[type];
    if (status === undefined) return providerError(PROVIDER, `it sent the error "${type}"`);
    const retryAfterS = retryAfterOf((name) => error.headers?.get(name));
    return providerError(PROVIDER, `it answered ${status} "${type}"`, { status, retryAfterS });
  }
  if (error instanceof SyntaxError) {
    return providerError(PROVIDER, "it sent no JSON", { retryable: false, cause: error });
  }
  return providerError(PROVIDER, "its answer was lost", { cause: error });
}
