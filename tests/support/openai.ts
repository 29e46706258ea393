/** An OpenAI server on loopback: streamed chat completions as the real one writes them, from a simulated model's mind. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { z } from "zod";
import { systemClock } from "@/lib/clock.ts";
import type { LanguageModel, ModelDelta, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";

export interface OpenAIServer {
  /** For `OPENAI_BASE_URL`. */
  readonly url: string;
  /** Bodies of the requests it accepted, oldest first. */
  readonly requests: readonly ChatRequest[];
  /** How the last answer ended; undefined while none has. */
  readonly lastEnd: "complete" | "broken" | "hungUp" | undefined;
  /** Resolves at the next request, or end of an answer. */
  change(): Promise<void>;
  /** From the next request on. */
  behave(behaviour: OpenAIBehaviour): void;
  close(): Promise<void>;
}

export type OpenAIBehaviour =
  | { readonly type: "answer" }
  /** An error as JSON, before any answer. */
  | { readonly type: "status"; readonly status: 401 | 429 | 500 | 503 }
  /** The connection is lost after so many chunks; 0 is after the head. */
  | { readonly type: "lost"; readonly afterChunks: number }
  /** The answer ends properly after so many chunks, and lacks the rest. */
  | { readonly type: "short"; readonly afterChunks: number }
  /** Silence after so many chunks, the connection stays; null is before the head. */
  | { readonly type: "hang"; readonly afterChunks: number | null }
  /** A line that is no JSON, JSON that is no chunk, a page that is no stream, or an error in mid-stream. */
  | { readonly type: "garbage"; readonly kind: "json" | "shape" | "html" | "error" };

export interface OpenAIServerOptions {
  /** What it answers; by default a simulated model without delays. */
  readonly brain?: LanguageModel;
  readonly apiKey?: string;
}

export async function startOpenAI(options: OpenAIServerOptions = {}): Promise<OpenAIServer> {
  const { apiKey = "sk-test" } = options;
  const brain = options.brain ??
    simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0 });
  const requests: ChatRequest[] = [];
  let behaviour: OpenAIBehaviour = { type: "answer" };
  let lastEnd: OpenAIServer["lastEnd"];
  let change = Promise.withResolvers<void>();

  function tellChange(): void {
    change.resolve();
    change = Promise.withResolvers();
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers } = request;
    if (method !== "POST" || url !== "/v1/chat/completions") {
      return fail(response, 404, `Invalid URL (${method} ${url})`, null);
    }
    if (headers.authorization !== `Bearer ${apiKey}`) {
      return fail(response, 401, "Incorrect API key provided: sk-***.", "invalid_api_key");
    }
    const body = ChatRequestJson.safeParse(await json(request));
    if (!body.success) return fail(response, 400, z.prettifyError(body.error), null);
    const fault = faultOf(body.data);
    if (fault !== null) return fail(response, 400, fault, null);
    requests.push(body.data);
    tellChange();

    const now = behaviour;
    if (now.type === "status") {
      const [message, code] = STATUS[now.status];
      return fail(response, now.status, message, code);
    }
    if (now.type === "garbage" && now.kind === "html") {
      response.writeHead(200, { "content-type": "text/html" }).end("<html>It works!</html>");
      return;
    }
    await stream(response, body.data, now);
  }

  async function stream(
    response: ServerResponse,
    request: ChatRequest,
    now: OpenAIBehaviour,
  ): Promise<void> {
    lastEnd = undefined;
    const caller = new AbortController();
    response.on("close", () => {
      lastEnd ??= "hungUp";
      caller.abort();
      tellChange();
    });
    if (now.type === "hang" && now.afterChunks === null) return;
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "x-request-id": "req_test",
    });
    try {
      for await (const bytes of awkwardly(answer(request, now, caller.signal))) {
        response.write(bytes);
      }
      lastEnd ??= now.type === "short" ? "broken" : "complete";
      response.end();
    } catch (error) {
      if (error !== LOST && !caller.signal.aborted) throw error;
      lastEnd ??= "broken";
      response.socket?.destroySoon(); // what was written arrives, and no end of the body after it
    }
  }

  async function* answer(
    request: ChatRequest,
    now: OpenAIBehaviour,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let sent = 0;
    yield ": a comment, as proxies send to keep a connection open\n\n";
    for await (const chunk of toChunks(brain.respond(toPrompt(request), signal))) {
      if ("afterChunks" in now && sent++ === now.afterChunks) {
        if (now.type === "short") return;
        if (now.type === "lost") throw LOST;
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
      }
      if (now.type === "garbage") {
        const error = { message: "The server had an error", type: "server_error", code: null };
        if (now.kind === "json") yield 'data: {"id": "chatcmpl-test", "choi\n\n';
        if (now.kind === "shape") yield 'data: {"hello": "world"}\n\n';
        if (now.kind === "error") yield `data: ${JSON.stringify({ error })}\n\n`;
        return;
      }
      const { model } = request;
      const head = { id: "chatcmpl-test", object: "chat.completion.chunk", created: 1, model };
      yield `data: ${JSON.stringify({ ...head, usage: null, ...chunk })}\n\n`;
    }
    yield "data: [DONE]\n\n";
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error) => response.destroy(error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");

  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    requests,
    get lastEnd() {
      return lastEnd;
    },
    change: () => change.promise,
    behave: (next) => void (behaviour = next),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const LOST = new Error("The connection is lost");

/** Message, code. */
const STATUS = {
  401: ["Incorrect API key provided: sk-***.", "invalid_api_key"],
  429: ["Rate limit reached for requests", "rate_limit_exceeded"],
  500: ["The server had an error while processing your request.", null],
  503: ["The engine is currently overloaded, please try again later", null],
} as const;

function fail(
  response: ServerResponse,
  status: number,
  message: string,
  code: string | null,
): void {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  response.writeHead(status, { "content-type": "application/json" })
    .end(JSON.stringify({ error: { message, type, param: null, code } }));
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

/** The same bytes, cut where it hurts: in mid-line, and in the middle of a character. */
async function* awkwardly(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let n = 0;
  for await (const text of texts) {
    const bytes = new TextEncoder().encode(text);
    const inCharacter = bytes.findIndex((byte) => (byte & 0xc0) === 0x80);
    const cut = inCharacter > 0 ? inCharacter : (n++ * 7) % bytes.length;
    if (cut > 0) yield bytes.subarray(0, cut);
    yield bytes.subarray(cut);
  }
}
