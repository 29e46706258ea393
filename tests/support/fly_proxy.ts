/**
 * Fly's proxy on loopback, as far as machines see it: it spreads requests, replays them where an answer says
 * so, and leaves what is open alone when a machine is cordoned. https://fly.io/docs/networking/dynamic-request-routing/
 */

import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { deadline, systemClock } from "@/lib/clock.ts";
import { messageOf } from "@/lib/errors.ts";

export interface FlyMachine {
  readonly id: string;
  readonly port: number;
}

export interface Asked {
  readonly path: string;
  readonly isUpgrade: boolean;
}

export interface FlyProxyOptions {
  /** Whom a request goes to first, of those that take any; the next in turn when absent. */
  readonly pick?: (asked: Asked, machines: readonly FlyMachine[]) => FlyMachine | undefined;
  /** False: a balancer that knows nothing of Fly's headers. */
  readonly isFly?: boolean;
}

/** What came of a request that a machine had replayed. */
export interface Replayed {
  readonly path: string;
  readonly from: string;
  readonly to: string;
  readonly outcome: "answered" | FailReason;
}

type FailReason = "timeout" | "retries_exhausted" | "no_candidate";

export interface FlyProxy {
  /** `http://127.0.0.1:PORT`: the app's public address. */
  readonly url: string;
  readonly replays: readonly Replayed[];
  /** What no machine may ask of it, and asked. */
  readonly faults: readonly string[];
  /** Connections that it holds open between a client and a machine. */
  readonly openCount: number;
  add(machine: FlyMachine): void;
  remove(id: string): void;
  /** It gets no new requests; what is open goes on. */
  cordon(id: string): void;
  uncordon(id: string): void;
  close(): Promise<void>;
}

/** A larger request cannot be replayed. */
const REPLAY_BYTES_MAX = 1024 * 1024;
/** For a replay that says no time of its own, and for any first answer. */
const ANSWER_MS = 30_000;
const REGION = "iad";
/** What is between two ends of one connection, and a body that `fetch` has unpacked. */
const HOP_HEADERS = ["connection", "keep-alive", "transfer-encoding"].concat(
  ["content-encoding", "content-length"],
);

/** As `fly-replay` or its JSON form say it. */
interface Replay {
  readonly instance: string;
  readonly timeoutMs: number;
  readonly fallback: "force_self" | "prefer_self" | null;
  readonly state: string | null;
}

/** `deliver` passes what a machine answered on to the client. */
type Tried =
  | { readonly type: "answer"; deliver(): Promise<void> | void }
  | { readonly type: "replay"; readonly replay: Replay }
  | { readonly type: "unreachable" };

type Try = (machine: FlyMachine, added: Headers, signal: AbortSignal) => Promise<Tried>;
type Headers = Readonly<Record<string, string>>;

export async function startFlyProxy(options: FlyProxyOptions = {}): Promise<FlyProxy> {
  const { isFly = true } = options;
  const machines = new Map<string, FlyMachine & { isCordoned: boolean }>();
  const replays: Replayed[] = [];
  const open = new Set<Duplex>();
  const faults: string[] = [];
  let turn = 0;

  function routable(): FlyMachine[] {
    return [...machines.values()].filter(({ isCordoned }) => !isCordoned);
  }

  function candidate(id: string): FlyMachine | undefined {
    return routable().find((machine) => machine.id === id);
  }

  function firstFor(asked: Asked, headers: IncomingMessage["headers"]): FlyMachine | undefined {
    const forced = isFly ? headers["fly-force-instance-id"] : undefined;
    if (typeof forced === "string") return candidate(forced);
    const all = routable();
    return options.pick?.(asked, all) ?? all[turn++ % Math.max(1, all.length)];
  }

  async function inTime(send: Try, machine: FlyMachine, added: Headers, ms: number) {
    const { signal, cancel } = deadline(systemClock, ms, () => new Error("timeout"));
    const { promise: late, resolve } = Promise.withResolvers<"timeout">();
    signal.addEventListener("abort", () => resolve("timeout"), { once: true });
    try {
      return await Promise.race([send(machine, added, signal), late]);
    } finally {
      cancel();
    }
  }

  /** Null: nobody could be asked. */
  async function route(asked: Asked, first: FlyMachine | undefined, send: Try) {
    if (first === undefined) return null;
    const tried = await inTime(send, first, {}, ANSWER_MS);
    if (tried === "timeout" || tried.type === "unreachable") return null;
    return tried.type === "answer" ? tried : await follow(asked, first, tried.replay, send);
  }

  async function follow(asked: Asked, from: FlyMachine, replay: Replay, send: Try) {
    const { instance, timeoutMs, fallback, state } = replay;
    const startedMs = systemClock.now();
    const target = candidate(instance);
    const source = [`instance=${from.id}`, `region=${REGION}`, `t=${Math.round(startedMs * 1000)}`];
    if (state !== null) source.push(`state=${state}`);
    const tried = target === undefined
      ? "no_candidate"
      : await inTime(send, target, { "fly-replay-src": source.join(";") }, timeoutMs);
    const outcome = typeof tried === "string"
      ? tried
      : tried.type === "unreachable"
      ? "retries_exhausted"
      : "answered";
    replays.push({ path: asked.path, from: from.id, to: instance, outcome });
    if (typeof tried !== "string" && tried.type === "answer") return tried;
    if (typeof tried !== "string" && tried.type === "replay") {
      throw new Error("A replayed request was replayed again");
    }
    if (fallback === null) return null;
    const others = fallback === "prefer_self" ? routable() : [];
    const self = candidate(from.id) ?? others.at(0);
    if (self === undefined) return null;
    const failed = [
      ...[`instance=${instance}`, "app=ringmaster", `region=${REGION}`],
      ...[`replay_source=${from.id}`, `reason=${outcome}`],
      `elapsed_ms=${Math.round(systemClock.now() - startedMs)}`,
    ].join(";");
    const back = await inTime(send, self, { "fly-replay-failed": failed }, ANSWER_MS);
    if (typeof back === "string" || back.type === "unreachable") return null;
    if (back.type === "replay") throw new Error("A fallback request was replayed");
    return back;
  }

  /** Headers as a machine gets them: nobody else may set the proxy's own. */
  function passed({ headers, socket }: IncomingMessage, added: Headers): Record<string, string> {
    const kept = Object.entries(headers).filter(([name]) => !isFly || !name.startsWith("fly-"));
    return {
      ...Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
      ...(isFly ? { "fly-client-ip": socket.remoteAddress ?? "" } : {}),
      ...added,
    };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = new Uint8Array(await new Response(ReadableStream.from(request)).arrayBuffer());
    const { method = "GET", url: path = "" } = request;
    const asked = { path, isUpgrade: false };
    const tried = await route(
      asked,
      firstFor(asked, request.headers),
      async (machine, added, signal) => {
        const { connection: _c, host: _h, "content-length": _l, ...headers } = passed(
          request,
          added,
        );
        const answer = await fetch(`http://127.0.0.1:${machine.port}${path}`, {
          method,
          headers,
          redirect: "manual",
          signal,
          ...(body.length === 0 ? {} : { body }),
        }).catch(() => null);
        if (answer === null) return { type: "unreachable" };
        const replay = isFly && body.length <= REPLAY_BYTES_MAX ? await replayOf(answer) : null;
        if (replay !== null) return { type: "replay", replay };
        return {
          type: "answer",
          async deliver() {
            const headers = [...answer.headers].filter(([name]) => !HOP_HEADERS.includes(name));
            response.writeHead(answer.status, Object.fromEntries(headers));
            for await (const piece of answer.body ?? []) response.write(piece);
            response.end();
          },
        };
      },
    );
    if (tried === null) response.writeHead(502).end();
    else await tried.deliver();
  }

  async function upgrade(request: IncomingMessage, client: Duplex, rest: Uint8Array) {
    client.on("error", () => {});
    const asked = { path: request.url ?? "", isUpgrade: true };
    const tried = await route(
      asked,
      firstFor(asked, request.headers),
      async (machine, added, signal) => {
        const headers = Object.entries(passed(request, added));
        const lines = [
          `GET ${asked.path} HTTP/1.1`,
          ...headers.map(([name, value]) => `${name}: ${value}`),
        ];
        const answered = await askFor(machine, `${lines.join("\r\n")}\r\n\r\n`, signal);
        if (answered === null) return { type: "unreachable" };
        const { far, head, more } = answered;
        const replay = isFly ? await replayOf(responseOf(head, more)) : null;
        if (replay !== null) {
          far.destroy();
          return { type: "replay", replay };
        }
        return {
          type: "answer",
          deliver() {
            client.write(head);
            client.write(more);
            far.write(rest);
            pipe(client, far);
          },
        };
      },
    );
    if (tried === null) client.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    else await tried.deliver();
  }

  function pipe(client: Duplex, far: Socket): void {
    for (const [from, to] of [[client, far], [far, client]] as const) {
      open.add(from);
      from.on("data", (data) => void (to.destroyed || to.write(data)));
      from.on("close", () => {
        open.delete(from);
        to.end(() => to.destroy());
      });
      from.on("end", () => from.destroy());
    }
    far.resume();
    client.resume();
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error) => {
      faults.push(messageOf(error));
      response.destroy();
    });
  });
  server.on("upgrade", (request: IncomingMessage, client: Duplex, rest: Uint8Array) => {
    upgrade(request, client, rest).catch((error) => {
      faults.push(messageOf(error));
      client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A listener on a port has an AddressInfo.
  const { port } = server.address() as AddressInfo;

  function setCordoned(id: string, isCordoned: boolean): void {
    const machine = machines.get(id);
    if (machine === undefined) throw new Error(`No machine "${id}"`);
    machine.isCordoned = isCordoned;
  }

  return {
    url: `http://127.0.0.1:${port}`,
    replays,
    faults,
    get openCount() {
      return open.size / 2;
    },
    add: (machine) => void machines.set(machine.id, { ...machine, isCordoned: false }),
    remove: (id) => void machines.delete(id),
    cordon: (id) => setCordoned(id, true),
    uncordon: (id) => setCordoned(id, false),
    async close() {
      for (const socket of open) socket.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Answered {
  readonly far: Socket;
  /** To the end of the headers, and what came behind them. */
  readonly head: Uint8Array;
  readonly more: Uint8Array;
}

/** Sends a request's head, and reads that of its answer. Null: there was none. */
function askFor(
  { port }: FlyMachine,
  head: string,
  signal: AbortSignal,
): Promise<Answered | null> {
  return new Promise((resolve) => {
    const far = connect({ port, host: "127.0.0.1", noDelay: true });
    let bytes = Buffer.alloc(0);
    const fail = (): void => {
      far.destroy();
      resolve(null);
    };
    const read = (data: Uint8Array): void => {
      bytes = Buffer.concat([bytes, data]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      far.off("data", read);
      far.off("close", fail);
      signal.removeEventListener("abort", fail);
      far.pause();
      resolve({ far, head: bytes.subarray(0, end + 4), more: bytes.subarray(end + 4) });
    };
    far.on("error", () => {});
    far.on("data", read);
    far.on("close", fail);
    signal.addEventListener("abort", fail, { once: true });
    far.write(head);
  });
}

/** An answer's head as one that has headers; 101 is none that `Response` knows. */
function responseOf(head: Uint8Array, body: Uint8Array): Response {
  const [, ...lines] = new TextDecoder("latin1").decode(head).trimEnd().split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const at = line.indexOf(":");
    return [line.slice(0, at), line.slice(at + 1).trim()];
  });
  return new Response(new Uint8Array(body), { headers });
}

async function replayOf(answer: Response): Promise<Replay | null> {
  const header = answer.headers.get("fly-replay");
  const isJson = answer.headers.get("content-type") === "application/vnd.fly.replay+json";
  if (header === null && !isJson) return null;
  const text = await answer.text();
  const fields: Record<string, string> = isJson
    ? JSON.parse(text)
    : Object.fromEntries((header ?? "").split(";").map((field) => field.split("=")));
  const { instance, timeout, fallback, state = null } = fields;
  if (instance === undefined) throw new Error(`A replay to no instance: ${header ?? text}`);
  if (fallback !== undefined && fallback !== "force_self" && fallback !== "prefer_self") {
    throw new Error(`No such fallback: ${fallback}`);
  }
  return { instance, timeoutMs: durationMs(timeout), fallback: fallback ?? null, state };
}

/** `10s`, `800ms`. */
function durationMs(text: string | undefined): number {
  if (text === undefined) return ANSWER_MS;
  const [, count, unit] = /^(\d+)(ms|s)$/.exec(text) ?? [];
  if (count === undefined) throw new Error(`No duration: ${text}`);
  return Number(count) * (unit === "s" ? 1000 : 1);
}
