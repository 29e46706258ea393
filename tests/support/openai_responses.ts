/** OpenAI's Responses API on loopback, streamed as the real one writes it. */

import { z } from "zod";
import type { ModelDelta, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import {
  type ModelProtocol,
  type ModelServer,
  type ModelServerOptions,
  startModelServer,
} from "./model_server.ts";
import { openaiError } from "./openai.ts";

export function startOpenAIResponses(
  options: ModelServerOptions = {},
): Promise<ModelServer<ResponsesRequest>> {
  return startModelServer(RESPONSES, options);
}

const Item = z.union([
  z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() }),
  z.strictObject({
    type: z.literal("function_call"),
    call_id: z.string().min(1).max(64),
    name: z.string(),
    arguments: z.string(),
  }),
  z.strictObject({
    type: z.literal("function_call_output"),
    call_id: z.string().min(1),
    output: z.string(),
  }),
]);

const ResponsesRequestJson = z.strictObject({
  model: z.string().min(1),
  input: z.array(Item).min(1),
  temperature: z.number().min(0).max(2).optional(),
  max_output_tokens: z.int().min(16),
  tools: z.array(z.strictObject({
    type: z.literal("function"),
    name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
    description: z.string().max(1024),
    parameters: z.looseObject({ type: z.literal("object") }),
    strict: z.literal(false),
  })).min(1).max(128).optional(),
  parallel_tool_calls: z.boolean().optional(),
  store: z.literal(false),
  stream: z.literal(true),
});

export type ResponsesRequest = z.infer<typeof ResponsesRequestJson>;

/** In the real server's words. */
function faultOf({ input, temperature, model }: ResponsesRequest): string | null {
  if (temperature !== undefined && /^(o\d|gpt-5)/.test(model)) {
    return "Unsupported parameter: 'temperature' is not supported with this model.";
  }
  const open = new Set<string>();
  for (const item of input) {
    if (!("type" in item)) continue;
    if (item.type === "function_call") open.add(item.call_id);
    else if (!open.delete(item.call_id)) {
      return `No tool call found for function call output with call_id ${item.call_id}.`;
    }
  }
  const [missing] = open;
  return missing === undefined ? null : `No tool output found for function call ${missing}.`;
}

function toPrompt(request: ResponsesRequest): Prompt {
  const [first, ...rest] = request.input;
  const isSystem = first !== undefined && "role" in first && first.role === "system";
  return {
    system: isSystem ? first.content : "",
    messages: (isSystem ? rest : request.input).map((item): PromptMessage => {
      if ("role" in item) {
        return { role: item.role === "assistant" ? "agent" : "caller", text: item.content };
      }
      const { call_id: id } = item;
      if (item.type === "function_call_output") {
        return { role: "toolOutput", callId: id, output: item.output };
      }
      return { role: "toolCall", call: { id, name: item.name, arguments: item.arguments } };
    }),
    tools: (request.tools ?? []).map(({ name, description, parameters }) => (
      { name, description, parameters }
    )),
    maxTokens: request.max_output_tokens,
    temperature: request.temperature ?? 0,
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** A model's deltas as OpenAI's events, in its order: the response, its items, their parts, and the response again. */
async function* events(
  deltas: AsyncIterable<ModelDelta>,
  { model }: ResponsesRequest,
): AsyncGenerator<string> {
  let sequence_number = 0;
  const event = (type: string, fields: Fields): string =>
    `event: ${type}\ndata: ${
      JSON.stringify({ type, sequence_number: sequence_number++, ...fields })
    }\n\n`;
  const response = { id: "resp_test", object: "response", model, output: [], store: false };
  const message = { type: "message", id: "msg_test", role: "assistant" };
  let output_index = -1;
  let text = "";
  let usage: unknown = null;

  function* endText(): Generator<string> {
    if (text === "") return;
    const part = { type: "output_text", text, annotations: [] };
    const at = { item_id: "msg_test", output_index, content_index: 0 };
    yield event("response.output_text.done", { ...at, text, logprobs: [] });
    yield event("response.content_part.done", { ...at, part });
    const item = { ...message, status: "completed", content: [part] };
    yield event("response.output_item.done", { output_index, item });
    text = "";
  }

  yield event("response.created", { response: { ...response, status: "in_progress" } });
  yield event("response.in_progress", { response: { ...response, status: "in_progress" } });
  for await (const delta of deltas) {
    switch (delta.type) {
      case "text": {
        if (text === "") {
          output_index++;
          const item = { ...message, status: "in_progress", content: [] };
          yield event("response.output_item.added", { output_index, item });
        }
        text += delta.text;
        const at = { item_id: "msg_test", output_index, content_index: 0 };
        yield event("response.output_text.delta", { ...at, delta: delta.text, logprobs: [] });
        break;
      }
      case "toolCall": {
        yield* endText();
        output_index++;
        const { id: call_id, name, arguments: text } = delta.call;
        const item_id = `fc_${output_index}`;
        const item = { type: "function_call", id: item_id, call_id, name };
        const added = { ...item, arguments: "", status: "in_progress" };
        yield event("response.output_item.added", { output_index, item: added });
        for (const piece of text.match(/.{1,5}/gsu) ?? []) {
          const fields = { item_id, output_index, delta: piece };
          yield event("response.function_call_arguments.delta", fields);
        }
        const done = { item_id, output_index, arguments: text };
        yield event("response.function_call_arguments.done", done);
        const whole = { ...item, arguments: text, status: "completed" };
        yield event("response.output_item.done", { output_index, item: whole });
        break;
      }
      case "usage":
        usage = {
          input_tokens: delta.inputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: delta.outputTokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: delta.inputTokens + delta.outputTokens,
        };
        break;
      case "finished": {
        yield* endText();
        const isWhole = delta.reason === "stop" || delta.reason === "toolCalls";
        const reason = delta.reason === "filtered" ? "content_filter" : "max_output_tokens";
        const status = isWhole ? "completed" : "incomplete";
        const incomplete_details = isWhole ? null : { reason };
        yield event(`response.${status}`, {
          response: { ...response, status, incomplete_details, usage },
        });
      }
    }
  }
}

const ERROR = {
  type: "error",
  code: "server_error",
  message: "No",
  param: null,
  sequence_number: 2,
};

const RESPONSES: ModelProtocol<ResponsesRequest> = {
  base: "/v1",
  path: "/responses",
  request: ResponsesRequestJson,
  isKnown: ({ authorization }, apiKey) => authorization === `Bearer ${apiKey}`,
  faultOf,
  toPrompt,
  events,
  done: "",
  error: openaiError,
  garbage: {
    json: 'data: {"type": "response.output_t\n\n',
    shape: 'data: {"type": "response.output_text.delta", "hello": "world"}\n\n',
    error: `event: error\ndata: ${JSON.stringify(ERROR)}\n\n`,
  },
};
