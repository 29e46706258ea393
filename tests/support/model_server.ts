/** A language model's server on loopback: answers from a simulated model's mind, streamed, and misbehaves when asked to. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { z } from "zod";
import { systemClock } from "@/lib/clock.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";

export interface ModelServer<R> {
  /** With the part of the path that belongs into the setting. */
  readonly url: string;
  /** Bodies of the requests it accepted, oldest first. */
  readonly requests: readonly R[];
  /** How the last answer ended; undefined while none has. */
  readonly lastEnd: "complete" | "broken" | "hungUp" | undefined;
  /** Resolves at the next request, or end of an answer. */
  change(): Promise<void>;
  /** From the next request on. */
  behave(behaviour: ServerBehaviour): void;
  close(): Promise<void>;
}

export type ServerBehaviour =
  | { readonly type: "answer" }
  /** An error as JSON, before any answer. */
  | { readonly type: "status"; readonly status: ErrorStatus }
  /** The connection is lost after so many events; 0 is after the head. */
  | { readonly type: "lost"; readonly afterChunks: number }
  /** The answer ends properly after so many events, and lacks the rest. */
  | { readonly type: "short"; readonly afterChunks: number }
  /** Silence after so many events, the connection stays; null is before the head. */
  | { readonly type: "hang"; readonly afterChunks: number | null }
  /** A line that is no JSON, JSON that is no event, a page that is no stream, or an error in mid-stream. */
  | { readonly type: "garbage"; readonly kind: "json" | "shape" | "html" | "error" };

export type ErrorStatus = 401 | 429 | 500 | 503;

export interface ModelServerOptions {
  /** What it answers; by default a simulated model without delays. */
  readonly brain?: LanguageModel;
  readonly apiKey?: string;
}

/** How one provider speaks. */
export interface ModelProtocol<R> {
  /** What of the URL stands in the setting, as `/v1`. */
  readonly base: string;
  /** Behind it. */
  readonly path: string;
  readonly request: z.ZodType<R>;
  /** True when the request shows that it knows the key, and has the headers that it must have. */
  isKnown(headers: IncomingMessage["headers"], apiKey: string): boolean;
  /** What the real server refuses with 400 beyond the shape, in its words. */
  faultOf(request: R): string | null;
  toPrompt(request: R): Prompt;
  /** The answer's events, each a whole block of the stream. */
  events(deltas: AsyncIterable<ModelDelta>, request: R): AsyncIterable<string>;
  /** The last block. Empty: there is none. */
  readonly done: string;
  /** An error's body. */
  error(status: number, message: string | null): unknown;
  /** A block for each kind of nonsense. */
  readonly garbage: Readonly<Record<"json" | "shape" | "error", string>>;
}

export async function startModelServer<R>(
  protocol: ModelProtocol<R>,
  options: ModelServerOptions = {},
): Promise<ModelServer<R>> {
  const { apiKey = "sk-test" } = options;
  const brain = options.brain ??
    simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0 });
  const requests: R[] = [];
  let behaviour: ServerBehaviour = { type: "answer" };
  let lastEnd: ModelServer<R>["lastEnd"];
  let change = Promise.withResolvers<void>();

  function tellChange(): void {
    change.resolve();
    change = Promise.withResolvers();
  }

  function fail(response: ServerResponse, status: number, message: string | null): void {
    response.writeHead(status, { "content-type": "application/json" })
      .end(JSON.stringify(protocol.error(status, message)));
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers } = request;
    if (method !== "POST" || url !== `${protocol.base}${protocol.path}`) {
      return fail(response, 404, `Invalid URL (${method} ${url})`);
    }
    if (!protocol.isKnown(headers, apiKey)) return fail(response, 401, null);
    const body = protocol.request.safeParse(await json(request));
    if (!body.success) return fail(response, 400, z.prettifyError(body.error));
    const fault = protocol.faultOf(body.data);
    if (fault !== null) return fail(response, 400, fault);
    requests.push(body.data);
    tellChange();

    const now = behaviour;
    if (now.type === "status") return fail(response, now.status, null);
    if (now.type === "garbage" && now.kind === "html") {
      response.writeHead(200, { "content-type": "text/html" }).end("<html>It works!</html>");
      return;
    }
    await stream(response, body.data, now);
  }

  async function stream(response: ServerResponse, request: R, now: ServerBehaviour): Promise<void> {
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
    request: R,
    now: ServerBehaviour,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let sent = 0;
    yield ": a comment, as proxies send to keep a connection open\n\n";
    const deltas = brain.respond(protocol.toPrompt(request), signal);
    for await (const event of protocol.events(deltas, request)) {
      if ("afterChunks" in now && sent++ === now.afterChunks) {
        if (now.type === "short") return;
        if (now.type === "lost") throw LOST;
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
      }
      if (now.type === "garbage" && now.kind !== "html") return yield protocol.garbage[now.kind];
      yield event;
    }
    if (protocol.done !== "") yield protocol.done;
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error) => response.destroy(error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");

  return {
    url: `http://127.0.0.1:${address.port}${protocol.base}`,
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
