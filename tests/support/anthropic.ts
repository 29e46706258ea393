/** An Anthropic server on loopback: streamed messages as the real one writes them, and its strictness about roles and tools. */

import { z } from "zod";
import type { ModelDelta, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import {
  type ModelProtocol,
  type ModelServer,
  type ModelServerOptions,
  startModelServer,
} from "./model_server.ts";

export function startAnthropic(
  options: ModelServerOptions = {},
): Promise<ModelServer<MessagesRequest>> {
  return startModelServer(MESSAGES, options);
}

const Text = z.strictObject({ type: z.literal("text"), text: z.string().regex(/\S/) });
const Id = z.string().regex(/^[a-zA-Z0-9_-]+$/);

const Message = z.discriminatedUnion("role", [
  z.strictObject({
    role: z.literal("user"),
    content: z.array(z.discriminatedUnion("type", [
      Text,
      z.strictObject({
        type: z.literal("tool_result"),
        tool_use_id: Id,
        content: z.string().optional(),
      }),
    ])).min(1),
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: z.array(z.discriminatedUnion("type", [
      Text,
      z.strictObject({
        type: z.literal("tool_use"),
        id: Id,
        name: z.string(),
        input: z.record(z.string(), z.unknown()),
      }),
    ])).min(1),
  }),
]);

/** What we send of a request, version 2026-10-21: `temperature` and its like are refused, as any field too many. */
const MessagesRequestJson = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.int().min(1),
  system: z.string().min(1).optional(),
  messages: z.array(Message).min(1),
  tools: z.array(z.strictObject({
    name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
    description: z.string().optional(),
    input_schema: z.looseObject({ type: z.literal("object") }),
  })).min(1).optional(),
  tool_choice: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("auto"), disable_parallel_tool_use: z.boolean().optional() }),
    z.strictObject({ type: z.literal("none") }),
  ]).optional(),
  thinking: z.strictObject({ type: z.literal("disabled") }).optional(),
  cache_control: z.strictObject({ type: z.literal("ephemeral") }).optional(),
  stream: z.literal(true),
});

export type MessagesRequest = z.infer<typeof MessagesRequestJson>;
type Message = z.infer<typeof Message>;

function faultOf(request: MessagesRequest): string | null {
  const { messages, tools, tool_choice, thinking, model } = request;
  if (tool_choice !== undefined && tools === undefined) return "tool_choice: needs tools";
  if (thinking !== undefined && /fable|mythos/.test(model)) {
    return "thinking.type: this model does not support disabled thinking";
  }
  if (messages[0]?.role !== "user") return "messages: first message must use the user role";
  if (messages.at(-1)?.role !== "user") {
    return "This model does not support assistant message prefill.";
  }
  if (tools === undefined && messages.some((message) => usesOf(message).length > 0)) {
    return "Requests which include `tool_use` or `tool_result` blocks must define tools";
  }
  for (const [at, message] of messages.entries()) {
    if (messages[at - 1]?.role === message.role) return "messages: roles must alternate"; // merged by the real one
    const fault = adjacencyFault(messages[at - 1], message);
    if (fault !== null) return `messages.${at}: ${fault}`;
  }
  return null;
}

function usesOf(message: Message | undefined): string[] {
  if (message?.role !== "assistant") return [];
  return message.content.flatMap((block) => block.type === "tool_use" ? [block.id] : []);
}

/** Each use is answered by one result in the next message, before any text of it. */
function adjacencyFault(before: Message | undefined, message: Message): string | null {
  const uses = usesOf(before);
  const blocks = message.role === "user" ? message.content : [];
  const results = blocks.flatMap((it) => it.type === "tool_result" ? [it.tool_use_id] : []);
  const missing = uses.filter((id) => !results.includes(id));
  if (missing.length > 0) {
    return "`tool_use` ids were found without `tool_result` blocks immediately after: " +
      missing.join(", ");
  }
  if (results.some((id) => !uses.includes(id))) {
    return "unexpected `tool_use_id` found in `tool_result` blocks";
  }
  if (new Set(results).size < results.length) return "each tool_use must have a single result";
  const firstText = blocks.findIndex(({ type }) => type === "text");
  const lastResult = blocks.findLastIndex(({ type }) => type === "tool_result");
  return firstText >= 0 && firstText < lastResult ? "tool_result blocks must come first" : null;
}

function toPrompt(request: MessagesRequest): Prompt {
  return {
    system: request.system ?? "",
    messages: request.messages.flatMap((message): PromptMessage[] => {
      if (message.role === "user") {
        return message.content.map((block) =>
          block.type === "text"
            ? { role: "caller", text: block.text }
            : { role: "toolOutput", callId: block.tool_use_id, output: block.content ?? "" }
        ).filter((it) =>
          it.role !== "caller" || it.text !== "(The caller says nothing.)"
        ) as PromptMessage[];
      }
      return message.content.map((block): PromptMessage =>
        block.type === "text" ? { role: "agent", text: block.text } : {
          role: "toolCall",
          call: { id: block.id, name: block.name, arguments: JSON.stringify(block.input) },
        }
      );
    }),
    tools: request.tool_choice?.type === "none"
      ? []
      : (request.tools ?? []).map(({ name, description = "", input_schema: parameters }) => (
        { name, description, parameters }
      )),
    maxTokens: request.max_tokens,
    temperature: 0,
  };
}

const STOP = { stop: "end_turn", toolCalls: "tool_use", length: "max_tokens", filtered: "refusal" };

type Fields = Readonly<Record<string, unknown>>;

function block(type: string, fields: Fields = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** A model's deltas as Anthropic's blocks: one of text, one for each call, the usage in the last event but one. */
async function* events(
  deltas: AsyncIterable<ModelDelta>,
  { model }: MessagesRequest,
): AsyncGenerator<string> {
  const start = { input_tokens: 20, cache_creation_input_tokens: 5, cache_read_input_tokens: 10 };
  yield block("message_start", {
    message: {
      id: "msg_test",
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...start, output_tokens: 1 },
    },
  });
  yield block("ping");
  let index = -1;
  let isText = false;
  let outputTokens = 0;
  for await (const delta of deltas) {
    switch (delta.type) {
      case "text":
        if (!isText) {
          isText = true;
          const content_block = { type: "text", text: "" };
          yield block("content_block_start", { index: ++index, content_block });
        }
        yield block("content_block_delta", {
          index,
          delta: { type: "text_delta", text: delta.text },
        });
        break;
      case "toolCall": {
        if (isText) yield block("content_block_stop", { index });
        isText = false;
        const { id, name, arguments: text } = delta.call;
        const content_block = { type: "tool_use", id, name, input: {} };
        yield block("content_block_start", { index: ++index, content_block });
        for (const partial_json of ["", ...(text.match(/.{1,5}/gsu) ?? [])]) {
          const delta = { type: "input_json_delta", partial_json };
          yield block("content_block_delta", { index, delta });
        }
        yield block("content_block_stop", { index });
        break;
      }
      case "usage":
        outputTokens = delta.outputTokens;
        break;
      case "finished":
        if (isText) yield block("content_block_stop", { index });
        yield block("message_delta", {
          delta: { stop_reason: STOP[delta.reason], stop_sequence: null },
          usage: { output_tokens: outputTokens, input_tokens: null },
        });
        yield block("message_stop");
    }
  }
}

const ERRORS: Readonly<Record<number, readonly [type: string, message: string]>> = {
  400: ["invalid_request_error", ""],
  401: ["authentication_error", "invalid x-api-key"],
  404: ["not_found_error", ""],
  429: ["rate_limit_error", "This request would exceed your rate limit"],
  500: ["api_error", "Internal server error"],
  503: ["api_error", "Service unavailable"],
};

export function anthropicError(status: number, message: string | null): unknown {
  const [type, usual] = ERRORS[status] ?? ["api_error", ""];
  return { type: "error", error: { type, message: message ?? usual }, request_id: "req_test" };
}

const MESSAGES: ModelProtocol<MessagesRequest> = {
  base: "",
  path: "/v1/messages",
  request: MessagesRequestJson,
  isKnown: (headers, apiKey) =>
    headers["anthropic-version"] === "2026-10-21" && headers.authorization === `Bearer ${apiKey}`,
  faultOf,
  toPrompt,
  events,
  done: "",
  error: anthropicError,
  garbage: {
    json: 'event: content_block_delta\ndata: {"type": "content_bl\n\n',
    shape: block("content_block_delta", { hello: "world" }),
    error: `event: error\ndata: ${
      JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } })
    }\n\n`,
  },
};
