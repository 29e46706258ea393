/** A listener that trusts nobody: every wait, size and count of a peer is bounded. */

import { createServer, type IncomingMessage } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import { boundConnections } from "@/lib/connections.ts";
import { acceptSockets, bind, type UpgradeAnswer } from "@/lib/socket_server.ts";
import { inPieces, PIECE_BYTES } from "./pieces.ts";

/** What a peer may take. `node:http` enforces these under Deno 2.9; `Deno.serve` has none of them. */
export interface Limits {
  /** From the connection's first byte, or the last answer, to the end of the headers: 408. */
  readonly headersMs: number;
  /** To the end of the body: 408. */
  readonly requestMs: number;
  /** A peer that reads less than `stalledBytes` of an answer in so long is dropped. */
  readonly stalledMs: number;
  readonly stalledBytes: number;
  /** An idle connection between two requests; Node adds a second of its own. */
  readonly keepAliveMs: number;
  /** All headers of a request together: 431. */
  readonly headerBytesMax: number;
  /** Connections at once; one more takes the place of whoever has kept us waiting for longest. */
  readonly connectionsMax: number;
  /**
   * Connections at once from one address; more are closed unheard. An accepted media socket counts
   * no longer: a carrier's come from few addresses, and its signature vouches for it.
   */
  readonly connectionsPerAddressMax: number;
  /** Requests of one connection that wait for their answers; one more closes it. */
  readonly unansweredMax: number;
  /** A WebSocket message, whole or in fragments: 1009. */
  readonly messageBytesMax: number;
  /** Twilio sends 50 frames a second, and after a stall of the line all that it held back. */
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  /** A socket silent for twice as long is dead. */
  readonly silenceMs: number;
}

export const PUBLIC_LIMITS: Limits = {
  headersMs: 7_000, // every slow connection is closed within 10 s, on a busy machine too
  requestMs: 7_000,
  stalledMs: 7_000,
  stalledBytes: 16 * 1024,
  keepAliveMs: 5_000,
  headerBytesMax: 16 * 1024,
  connectionsMax: 2_000,
  connectionsPerAddressMax: 200,
  unansweredMax: 8, // browsers send one at a time
  messageBytesMax: 64 * 1024,
  messagesPerSecond: 100,
  messagesBurst: 1_000,
  silenceMs: 10_000,
};

export interface ListenOptions {
  readonly hostname: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<Limits>;
  /** Decides over WebSocket upgrades; none are taken without it. */
  readonly upgrade?: (request: IncomingMessage) => Promise<UpgradeAnswer>;
}

export interface Listener {
  readonly port: number;
  /** Stops listening and drops every connection, sockets too: drain first. */
  close(): Promise<void>;
}

interface App {
  fetch(request: Request, bindings: Bindings): Response | Promise<Response>;
}

/** What the listener knows of a connection. */
export interface Bindings {
  readonly remoteAddress?: string;
}

/** Serves an app. Rejects when the port is taken. */
export async function listen(app: App, options: ListenOptions): Promise<Listener> {
  const limits = { ...PUBLIC_LIMITS, ...options.limits };
  const answer = getRequestListener(async (request, { incoming, outgoing }) => {
    const { remoteAddress } = incoming.socket;
    const bindings = remoteAddress === undefined ? {} : { remoteAddress };
    const response = await app.fetch(request, bindings);
    return isWhole(request, response) ? await sendWhole(response, outgoing) : response;
  }, {
    overrideGlobalObjects: false,
    hostname: options.hostname,
  });
  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(500, limits.headersMs / 4),
    maxHeaderSize: limits.headerBytesMax,
    requireHostHeader: true,
  });
  const connections = boundConnections(server, {
    max: limits.connectionsMax,
    perAddressMax: limits.connectionsPerAddressMax,
    unansweredMax: limits.unansweredMax,
    stalledMs: limits.stalledMs,
    stalledBytes: limits.stalledBytes,
    clock: options.clock,
  });
  server.on("request", (request, response) => {
    connections.serve(request, response, () => void answer(request, response));
  });
  acceptSockets(server, {
    messageBytesMax: limits.messageBytesMax,
    rules: {
      clock: options.clock,
      silenceMs: limits.silenceMs,
      rate: { perSecond: limits.messagesPerSecond, burst: limits.messagesBurst },
    },
    failed: (error) => options.log.error("upgrade failed", { error }),
  }, async (request) => {
    const answered = await options.upgrade?.(request) ?? NOT_FOUND;
    if (answered.type === "refuse" || answered.isStranger === true) return answered;
    if (answered.type === "accept") connections.vouch(request.socket);
    else return vouchedOnceCarried(answered, () => connections.vouch(request.socket));
    return answered;
  });
  await bind(server, options);

  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The listener has no port");
  return {
    port: address.port,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.drop();
      return closed;
    },
  };
}

/** The machine that it is carried to has let it in. */
function vouchedOnceCarried(
  answer: Extract<UpgradeAnswer, { type: "carry" }>,
  vouch: () => void,
): UpgradeAnswer {
  return {
    ...answer,
    async take(raw, head) {
      const other = await answer.take(raw, head);
      if (other === null) vouch();
      return other;
    },
  };
}

/** Whether its body is there, as that of a JSON answer is: all others may be streams. */
function isWhole({ method }: Request, { status, headers }: Response): boolean {
  const type = headers.get("content-type") ?? "";
  return /^application\/(problem\+)?json\b/.test(type) && !headers.has("content-encoding") &&
    method !== "HEAD" && status !== 204 && status !== 304;
}

/** As a stream, in which its end is looked for, it costs half as much again. */
async function sendWhole(response: Response, outgoing: Outgoing): Promise<Response> {
  const body = new Uint8Array(await response.arrayBuffer());
  if (body.length > PIECE_BYTES) return new Response(inPieces(body), response);
  const head: string[] = [];
  response.headers.forEach((value, name) => { // a tenth of what `for … of` costs
    if (name !== "content-length") head.push(name, value);
  });
  head.push("content-length", `${body.length}`);
  outgoing.writeHead(response.status, head);
  outgoing.end(body);
  return SENT;
}

interface Outgoing {
  writeHead(status: number, namesAndValues: string[]): unknown;
  end(body: Uint8Array): unknown;
}
/** What the adapter takes for an answer that is on its way. */
const SENT = new Response(null, { headers: { "x-hono-already-sent": "true" } });

const NOT_FOUND: UpgradeAnswer = { type: "refuse", status: 404, body: "" };
