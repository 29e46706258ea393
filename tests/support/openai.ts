/** An OpenAI server on loopback: streamed chat completions as the real one writes them. */

import { z } from "zod";
import type { ModelDelta, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import {
  type ModelProtocol,
  type ModelServer,
  type ModelServerOptions,
  type ServerBehaviour,
  startModelServer,
} from "./model_server.ts";

export type OpenAIServer = ModelServer<ChatRequest>;
export type OpenAIBehaviour = ServerBehaviour;

export function startOpenAI(options: ModelServerOptions = {}): Promise<OpenAIServer> {
  return startModelServer(CHAT, options);
}

/** Message, code. */
const STATUS: Readonly<Record<number, readonly [string, string | null]>> = {
  401: ["Incorrect API key provided: sk-***.", "invalid_api_key"],
  429: ["Rate limit reached for requests", "rate_limit_exceeded"],
  500: ["The server had an error while processing your request.", null],
  503: ["The engine is currently overloaded, please try again later", null],
};

/** As OpenAI answers an error, whichever of its APIs was asked. */
export function openaiError(status: number, message: string | null): unknown {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  const [usual, code] = STATUS[status] ?? ["", null];
  return { error: { message: message ?? usual, type, param: null, code } };
}

const ToolCallJson = z.strictObject({
  id: z.string().min(1).max(40),
  type: z.literal("function"),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
});

const MessageJson = z.discriminatedUnion("role", [
  z.strictObject({ role: z.literal("system"), content: z.string() }),
  z.strictObject({ role: z.literal("user"), content: z.string() }),
  z.strictObject({
    role: z.literal("assistant"),
    content: z.string().nullish(),
    tool_calls: z.array(ToolCallJson).min(1).optional(),
  }),
  z.strictObject({ role: z.literal("tool"), tool_call_id: z.string(), content: z.string() }),
]);

/** What we send of OpenAI's request: a field too many is as wrong as one too few. */
const ChatRequestJson = z.strictObject({
  model: z.string().min(1),
  messages: z.array(MessageJson).min(1),
  temperature: z.number().min(0).max(2),
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  tools: z.array(z.strictObject({
    type: z.literal("function"),
    function: z.strictObject({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      description: z.string().max(1024),
      parameters: z.looseObject({ type: z.literal("object") }),
    }),
  })).min(1).max(128).optional(),
  parallel_tool_calls: z.boolean().optional(),
  stream: z.literal(true),
  stream_options: z.strictObject({ include_usage: z.literal(true) }),
});

export type ChatRequest = z.infer<typeof ChatRequestJson>;

/** What the real server refuses with 400 beyond the shape, in its words. */
function faultOf({ messages, tools, parallel_tool_calls }: ChatRequest): string | null {
  if (parallel_tool_calls !== undefined && tools === undefined) {
    return "'parallel_tool_calls' is only allowed when 'tools' are specified.";
  }
  let open = new Set<string>();
  for (const message of messages) {
    if (message.role === "tool") {
      if (open.delete(message.tool_call_id)) continue;
      return "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
    }
    if (open.size > 0) break;
    if (message.role === "assistant") open = new Set(message.tool_calls?.map((call) => call.id));
  }
  if (open.size === 0) return null;
  return "An assistant message with 'tool_calls' must be followed by tool messages responding to " +
    `each 'tool_call_id'. The following did not have response messages: ${[...open].join(", ")}`;
}

function toPrompt(request: ChatRequest): Prompt {
  const [system, ...rest] = request.messages;
  return {
    system: system?.role === "system" ? system.content : "",
    messages: rest.flatMap((message): PromptMessage[] => {
      switch (message.role) {
        case "system":
          return [];
        case "user":
          return [{ role: "caller", text: message.content }];
        case "tool":
          return [{ role: "toolOutput", callId: message.tool_call_id, output: message.content }];
        case "assistant":
          return [
            ...(message.content ? [{ role: "agent", text: message.content } as const] : []),
            ...(message.tool_calls ?? []).map((call) => ({
              role: "toolCall" as const,
              call: { id: call.id, ...call.function },
            })),
          ];
      }
    }),
    tools: (request.tools ?? []).map((tool) => tool.function),
    maxTokens: request.max_tokens ?? request.max_completion_tokens ?? 0,
    temperature: request.temperature,
  };
}

const FINISH = {
  stop: "stop",
  toolCalls: "tool_calls",
  length: "length",
  filtered: "content_filter",
};

/** Deltas as OpenAI's chunks, in its order: role, content or pieces of calls, finish_reason, usage. */
async function* toChunks(
  deltas: AsyncIterable<ModelDelta>,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const chunk = (delta: Readonly<Record<string, unknown>>, finish: string | null = null) => ({
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
  let usage: unknown = null;
  let callCount = 0;
  yield chunk({ role: "assistant", content: "", refusal: null });
  for await (const delta of deltas) {
    switch (delta.type) {
      case "text":
        yield chunk({ content: delta.text });
        break;
      case "toolCall": {
        const { id, name, arguments: text } = delta.call;
        const index = callCount++;
        const empty = { index, id, type: "function", function: { name, arguments: "" } };
        yield chunk({ tool_calls: [empty] });
        for (const piece of text.match(/.{1,5}/gsu) ?? []) {
          yield chunk({ tool_calls: [{ index, function: { arguments: piece } }] });
        }
        break;
      }
      case "usage": {
        const { inputTokens: prompt_tokens, outputTokens: completion_tokens } = delta;
        const total_tokens = prompt_tokens + completion_tokens;
        usage = { prompt_tokens, completion_tokens, total_tokens };
        break;
      }
      case "finished":
        yield chunk({}, FINISH[delta.reason]);
        yield { choices: [], usage };
    }
  }
}

const SERVER_ERROR = { message: "The server had an error", type: "server_error", code: null };

const CHAT: ModelProtocol<ChatRequest> = {
  base: "/v1",
  path: "/chat/completions",
  request: ChatRequestJson,
  isKnown: ({ authorization }, apiKey) => authorization === `Bearer ${apiKey}`,
  faultOf,
  toPrompt,
  async *events(deltas, { model }) {
    const head = { id: "chatcmpl-test", object: "chat.completion.chunk", created: 1, model };
    for await (const chunk of toChunks(deltas)) {
      yield `data: ${JSON.stringify({ ...head, usage: null, ...chunk })}\n\n`;
    }
  },
  done: "data: [DONE]\n\n",
  error: openaiError,
  garbage: {
    json: 'data: {"id": "chatcmpl-test", "choi\n\n',
    shape: 'data: {"hello": "world"}\n\n',
    error: `data: ${JSON.stringify({ error: SERVER_ERROR })}\n\n`,
  },
};
