/** OpenAI's Responses API, streamed. https://platform.openai.com/docs/api-reference/responses-streaming */

import type OpenAI from "openai";
import { z } from "zod";
import { providerError } from "@/lib/providers/http.ts";
import { type OpenAIAccount, openaiClient, openaiFailure } from "@/lib/providers/openai_client.ts";
import type { LanguageModel, ModelDelta, Prompt, Tool, ToolCall } from "./llm.ts";
import { ARGUMENTS_MAX, argumentsOf, CALLS_MAX, toTurns } from "./prompts.ts";
import { answerFetch, type AnswerLimits, receive } from "./receive.ts";

export interface ResponsesOptions extends OpenAIAccount, AnswerLimits {
  readonly model: string;
}

const PROVIDER = "openai-responses";
/** OpenAI's least. */
const OUTPUT_TOKENS_MIN = 16;

/** Nothing is stored there: each request carries the whole conversation, as with any other model. */
export function openaiResponses(options: ResponsesOptions): LanguageModel {
  const client = openaiClient({ ...options, fetch: answerFetch(PROVIDER, options) });
  return {
    provider: PROVIDER,
    async *respond(prompt, signal) {
      const request = toRequest(options.model, prompt);
      const answer = receive({
        ...options,
        provider: PROVIDER,
        open: (signal) => client.responses.create(request, { signal }),
        parse: parseEvent,
        isReply: ({ type }) => type.endsWith(".delta"),
      }, signal);
      const reply = newReply(options.model);
      try {
        for await (const event of answer) yield* reply.take(event);
      } catch (error) {
        signal.throwIfAborted();
        if (reply.reason() === null) throw openaiFailure(PROVIDER, error);
      }
      const reason = reply.reason();
      if (reason === null) throw providerError(PROVIDER, "its answer broke off");
      yield { type: "finished", reason };
    },
  };
}

const Usage = z.object({ input_tokens: z.number(), output_tokens: z.number() }).nullish();

const Event = z.discriminatedUnion("type", [
  z.object({
    type: z.literal(["response.output_text.delta", "response.refusal.delta"]),
    delta: z.string(),
  }),
  // Its text comes again, whole, with the item.
  z.object({ type: z.literal("response.function_call_arguments.delta") }),
  z.object({
    type: z.literal("response.output_item.done"),
    item: z.union([
      z.object({
        type: z.literal("function_call"),
        call_id: z.string(),
        name: z.string(),
        arguments: z.string().max(ARGUMENTS_MAX),
        status: z.string().optional(),
      }),
      z.object({ type: z.string() }).transform(() => null),
    ]),
  }),
  z.object({ type: z.literal("response.completed"), response: z.object({ usage: Usage }) }),
  z.object({
    type: z.literal("response.incomplete"),
    response: z.object({
      usage: Usage,
      incomplete_details: z.object({ reason: z.string().nullish() }).nullish(),
    }),
  }),
  z.object({
    type: z.literal("response.failed"),
    response: z.object({ error: z.object({ code: z.string().nullish() }).nullish() }),
  }),
  z.object({ type: z.literal("error"), code: z.string().nullish() }),
]);

type Event = z.infer<typeof Event>;

const TYPES: readonly string[] = Event.options.flatMap(({ shape: { type } }) => [...type.values]);

/** The rest (items and parts that begin and end) says nothing that is not said by these. */
function parseEvent(json: unknown): Event | { readonly type: "other" } {
  const parsed = Event.safeParse(json);
  if (parsed.success) return parsed.data;
  const type = z.object({ type: z.string() }).safeParse(json).data?.type;
  if (type !== undefined && !TYPES.includes(type)) return { type: "other" };
  throw providerError(PROVIDER, "it sent no event of a response", {
    retryable: false,
    cause: parsed.error,
  });
}

type FinishReason = Extract<ModelDelta, { type: "finished" }>["reason"];

function newReply(model: string): {
  take(event: Event | { readonly type: "other" }): Iterable<ModelDelta>;
  reason(): FinishReason | null;
} {
  const calls: ToolCall[] = [];
  let finish: FinishReason | null = null;

  function* end(usage: z.infer<typeof Usage>, reason: FinishReason): Iterable<ModelDelta> {
    finish = reason;
    for (const call of calls) yield { type: "toolCall", call };
    if (!usage) return;
    const { input_tokens: inputTokens, output_tokens: outputTokens } = usage;
    yield { type: "usage", model, inputTokens, outputTokens };
  }

  return {
    *take(event) {
      switch (event.type) {
        case "response.output_text.delta":
        case "response.refusal.delta": // what it says in place of an answer is an answer to a caller
          if (event.delta !== "") yield { type: "text", text: event.delta };
          return;
        case "response.output_item.done": {
          const { item } = event;
          if (item === null || item.status === "incomplete") return;
          if (calls.length === CALLS_MAX) throw providerError(PROVIDER, "it calls too many tools");
          calls.push({ id: item.call_id, name: item.name, arguments: item.arguments });
          return;
        }
        case "response.completed":
          return yield* end(event.response.usage, calls.length > 0 ? "toolCalls" : "stop");
        case "response.incomplete": {
          const { usage, incomplete_details: details } = event.response;
          return yield* end(usage, details?.reason === "content_filter" ? "filtered" : "length");
        }
        case "response.failed":
          throw failed(event.response.error?.code);
        case "error":
          throw failed(event.code);
        case "response.function_call_arguments.delta":
        case "other":
          return;
      }
    },
    reason: () => finish,
  };
}

function failed(code: string | null | undefined): Error {
  return providerError(PROVIDER, `it sent the error "${code ?? "no code"}"`);
}

function toRequest(model: string, prompt: Prompt): OpenAI.Responses.ResponseCreateParamsStreaming {
  const { system, messages, tools, maxTokens, temperature } = prompt;
  return {
    model,
    input: [{ role: "system", content: system }, ...toTurns(messages).flatMap(toItems)],
    // Models that reason refuse it (2026-11).
    ...(/^(o\d|gpt-5)/.test(model) ? {} : { temperature }),
    max_output_tokens: Math.max(OUTPUT_TOKENS_MIN, maxTokens),
    ...(tools.length === 0 ? {} : { tools: tools.map(toTool), parallel_tool_calls: false }),
    store: false,
    stream: true,
  };
}

function toTool({ name, description, parameters }: Tool): OpenAI.Responses.FunctionTool {
  // Strict would refuse schemas with optional parameters.
  return { type: "function", name, description, parameters: { ...parameters }, strict: false };
}

/** Without ids of their own: those would have OpenAI look for items that it has not stored. */
function toItems(turn: ReturnType<typeof toTurns>[number]): OpenAI.Responses.ResponseInputItem[] {
  switch (turn.role) {
    case "caller":
      return [{ role: "user", content: turn.text }];
    case "agent":
      return [{ role: "assistant", content: turn.text }];
    case "tools":
      return turn.tools.flatMap(({ call, output }): OpenAI.Responses.ResponseInputItem[] => [
        {
          type: "function_call",
          call_id: call.id,
          name: call.name,
          arguments: JSON.stringify(argumentsOf(call)),
        },
        { type: "function_call_output", call_id: call.id, output },
      ]);
  }
}
