/** Upstash's REST API on loopback, in front of a real Redis. https://upstash.com/docs/redis/features/restapi */

import { z } from "zod";
import { type Clock, sleep } from "@/lib/clock.ts";
import { connectRedis, type RedisConnection, type RedisReply } from "./redis_connection.ts";

export type UpstashBehaviour =
  | { readonly type: "answer" }
  /** The connection is cut in place of an answer. */
  | { readonly type: "gone" }
  | { readonly type: "slow"; readonly ms: number }
  /** This is answered to everything, with status 200. */
  | { readonly type: "wrong"; readonly body: string }
  | { readonly type: "status"; readonly status: 401 | 429 | 500 };

export interface UpstashServer {
  /** For `UPSTASH_REDIS_REST_URL` and `_TOKEN`. */
  readonly url: string;
  readonly token: string;
  /** Requests that have come, whatever became of them. */
  readonly asked: number;
  /** From the next request on. */
  behave(behaviour: UpstashBehaviour): void;
  close(): Promise<void>;
}

const Command = z.array(z.union([z.string(), z.number(), z.null()]).transform(String)).min(1);
const Commands = z.array(Command).min(1);

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** `path`: the socket of Redis. */
export function startUpstash(
  { path, clock }: { readonly path: string; readonly clock: Clock },
): UpstashServer {
  const token = crypto.randomUUID();
  const closing = new AbortController();
  let behaviour: UpstashBehaviour = { type: "answer" };
  let asked = 0;
  let redis: Promise<RedisConnection> | null = null;

  /** A lost connection is made anew at the next command. */
  async function send(command: readonly string[]): Promise<RedisReply> {
    redis ??= connectRedis(path);
    try {
      return await (await redis).send(command);
    } catch (error) {
      redis = null;
      throw error;
    }
  }

  async function inTurn(
    commands: readonly (readonly string[])[],
    shown: (value: string) => string,
  ): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (const command of commands) answers.push(toEntry(await send(command), shown));
    return answers;
  }

  async function execute(request: Request): Promise<Answer> {
    if (request.headers.get("authorization") !== `Bearer ${token}`) {
      return { status: 401, body: { error: "Unauthorized" } };
    }
    const shown = request.headers.get("upstash-encoding") === "base64" ? base64 : String;
    const body: unknown = await request.json();
    switch (new URL(request.url).pathname) {
      case "/": {
        const entry = toEntry(await send(Command.parse(body)), shown);
        return { status: "error" in entry ? 400 : 200, body: entry };
      }
      case "/pipeline":
        return { status: 200, body: await inTurn(Commands.parse(body), shown) };
      case "/multi-exec": {
        const commands = [["MULTI"], ...Commands.parse(body)];
        for (const command of commands) await send(command);
        const done = await send(["EXEC"]);
        if (done.type !== "list") return { status: 400, body: toEntry(done, shown) };
        return { status: 200, body: done.items.map((item) => toEntry(item, shown)) };
      }
      default:
        return { status: 404, body: { error: "Not found" } };
    }
  }

  async function answer(request: Request): Promise<Response> {
    asked++;
    const now = behaviour;
    if (now.type === "gone") throw new Error("gone");
    if (now.type === "slow") await sleep(clock, now.ms, closing.signal).catch(() => {});
    if (now.type === "wrong") return new Response(now.body);
    if (now.type === "status") return Response.json({ error: "No" }, { status: now.status });
    const { status, body } = await execute(request);
    return Response.json(body, { status });
  }

  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
    onError: () => Response.json({ error: "Redis is away" }, { status: 500 }),
  }, async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      if (behaviour.type !== "gone") throw error;
      return cut();
    }
  });

  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    token,
    get asked() {
      return asked;
    },
    behave: (next) => behaviour = next,
    async close() {
      closing.abort();
      (await redis?.catch(() => null))?.close();
      await server.shutdown();
    },
  };
}

/** An answer that breaks off before its first byte of body. */
function cut(): Response {
  return new Response(new ReadableStream({ start: (body) => body.error(new Error("cut")) }));
}

type Entry = { readonly result: unknown } | { readonly error: string };

function toEntry(reply: RedisReply, shown: (value: string) => string): Entry {
  if (reply.type === "error") return { error: reply.value };
  return { result: toResult(reply, shown) };
}

function toResult(reply: RedisReply, shown: (value: string) => string): unknown {
  switch (reply.type) {
    case "null":
      return null;
    case "integer":
      return reply.value;
    case "list":
      return reply.items.map((item) => toResult(item, shown));
    case "status":
      return reply.value === "OK" ? "OK" : shown(reply.value);
    case "text":
    case "error":
      return shown(reply.value);
  }
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
