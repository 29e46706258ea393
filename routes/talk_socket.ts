/** The socket of a page that talks to an agent: a ticket lets it in once, and its secret brings it back. */

import type { IncomingMessage } from "node:http";
import type { CallAnswer, DeskMessage } from "@/actors/desk/desk.ts";
import type { GateMessage } from "@/actors/gate/gate.ts";
import type { Talker } from "@/actors/gate/talk.ts";
import type { Ref, Reply } from "@/actors/runtime/actor.ts";
import type { EdgeConfig } from "@/lib/config.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { newId, newToken, uuidOf } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import { WEB_CARRIER } from "@/lib/providers/carrier/web.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import { webCallId } from "@/lib/talk.ts";
import { ASK_MS } from "./deps.ts";
import { peerAddress } from "./edge.ts";
import { problem, STATUS_OF } from "./errors.ts";
import { type AttachAnswer, type MediaPath, parsePath } from "./media.ts";

/** What a page names first in `Sec-WebSocket-Protocol`; behind it what it shows, which so stands in no URL and no log. */
export const TALK_PROTOCOL = "ringmaster.talk.v1";

/** How a socket is closed that is not let in: a browser tells its page nothing of an HTTP status. */
export const CLOSE_CODES = {
  forbidden: 4403,
  not_found: 4404,
  conflict: 4409,
  busy: 4429,
  other: 4500,
} as const;

export interface TalkSocketDeps {
  readonly publicUrl: string;
  readonly edge: EdgeConfig;
  readonly gate: Pick<Ref<GateMessage>, "ask">;
  desk(tenantId: string): Pick<Ref<DeskMessage>, "ask">;
  /** The tenant of a call that lives on this machine. */
  tenantOf(callId: string): string | null;
  attach(path: MediaPath): Promise<AttachAnswer>;
  connected(callId: string, socket: MessageSocket): void;
  /** Whether whoever asks may open another socket. */
  mayOpen(request: IncomingMessage): boolean;
  readonly log: Log;
}

/** What a page shows: a ticket, or what it was given when it came in first. */
type Shown =
  | { readonly type: "ticket"; readonly ticket: string }
  | { readonly type: "resume"; readonly callId: string; readonly secret: string };

/** Null: the path is not one of these sockets. */
export function talkSocket(
  deps: TalkSocketDeps,
): (request: IncomingMessage) => Promise<UpgradeAnswer> | null {
  return (request) => {
    const agentId = /^\/talk\/([\w-]{1,64})\/socket$/.exec(request.url ?? "")?.[1];
    return agentId === undefined ? null : answer(deps, agentId, request);
  };
}

async function answer(
  deps: TalkSocketDeps,
  agentId: string,
  request: IncomingMessage,
): Promise<UpgradeAnswer> {
  const requestId = newId("request");
  try {
    const address = peerAddress(request, deps.edge);
    if (!deps.mayOpen(request)) {
      throw new AppError("rate_limited", "Too many sockets", { retryable: true });
    }
    const shown = shownBy(request);
    const { origin = null, host = "" } = request.headers;
    if (shown === null || uuidOf("agent", agentId) === null) {
      throw new AppError("not_found", "No such socket");
    }
    if (shown.type === "resume") return await comeBack(deps, shown, { requestId, address });
    return await comeIn(deps, {
      ...{ agentId, origin, host, address, requestId },
      ticket: shown.ticket,
    });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    deps.log.warn("talk socket refused", { requestId, code: error.code, error });
    const isPage = request.headers["sec-websocket-protocol"]?.startsWith(TALK_PROTOCOL) ?? false;
    if (!isPage || error.code === "rate_limited") {
      return { type: "refuse", status: STATUS_OF[error.code], body: problem(error, requestId) };
    }
    return turnAway(error);
  }
}

/** Opened and closed at once, so that the page can say why. */
export function turnAway({ code, message }: AppError): UpgradeAnswer {
  return {
    type: "accept",
    isStranger: true,
    opened: (socket) => socket.close(closeCodeOf(code), message.slice(0, 100)),
  };
}

function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case "forbidden":
    case "tenant_suspended":
      return CLOSE_CODES.forbidden;
    case "not_found":
      return CLOSE_CODES.not_found;
    case "conflict":
      return CLOSE_CODES.conflict;
    case "busy":
    case "draining":
    case "mailbox_full":
    case "quota_exceeded":
      return CLOSE_CODES.busy;
    default:
      return CLOSE_CODES.other;
  }
}

/** The call that a page comes back to; null: it does not. */
export function resumedCall(request: IncomingMessage): string | null {
  const shown = /^\/talk\/[\w-]{1,64}\/socket$/.test(request.url ?? "") ? shownBy(request) : null;
  return shown?.type === "resume" ? shown.callId : null;
}

function shownBy({ headers }: IncomingMessage): Shown | null {
  const [name, shown] = (headers["sec-websocket-protocol"] ?? "").split(/\s*,\s*/);
  if (name !== TALK_PROTOCOL || shown === undefined) return null;
  const ticket = /^ticket\.([\w-]{43})$/.exec(shown)?.[1];
  if (ticket !== undefined) return { type: "ticket", ticket };
  const [, callId, secret] = /^resume\.(call_[\w-]{36})\.([\w-]{43})$/.exec(shown) ?? [];
  return callId === undefined || secret === undefined ? null : { type: "resume", callId, secret };
}

interface Coming {
  readonly agentId: string;
  /** Null: it is no page. */
  readonly origin: string | null;
  readonly host: string;
  readonly ticket: string;
  readonly address: string | null;
  readonly requestId: string;
}

/** The ticket is spent, whatever comes of it. */
async function comeIn(deps: TalkSocketDeps, coming: Coming): Promise<UpgradeAnswer> {
  const { agentId, ticket } = coming;
  const redeemed = { name: "redeemTalkTicket", input: { ticket, agentId } } as const;
  const talker = await enter<Talker>(deps, redeemed, coming);
  checkOrigin(deps, coming, talker.origin);
  const secret = newToken();
  const ring = {
    from: WEB_CARRIER,
    to: WEB_CARRIER,
    carrierCallId: webCallId(secret),
    agentId,
    account: "house",
    channel: "web",
    configVersion: talker.configVersion,
  } as const;
  const answer = await deps.desk(talker.tenantId).ask<CallAnswer>(
    (reply) => ({ type: "ring", ring, reply }),
    { timeoutMs: ASK_MS },
  );
  return await takeIn(deps, answer, secret);
}

/** Asks the gate for a page. */
async function enter<T>(
  deps: TalkSocketDeps,
  { name, input }: { readonly name: string; readonly input: unknown },
  { requestId, address }: Pick<Coming, "requestId" | "address">,
): Promise<T> {
  return await deps.gate.ask<T>(
    (reply) => ({
      type: "entry",
      ...{ name, input },
      visitor: {
        by: null,
        person: null,
        operator: null,
        request: { requestId, address, idempotencyKey: null },
        userAgent: "",
      },
      reply: reply as Reply<unknown>,
    }),
    { timeoutMs: ASK_MS },
  );
}

/** The page's socket was lost, and its call waits; or its machine is gone, and the call goes on here. */
async function comeBack(
  deps: TalkSocketDeps,
  { callId, secret }: Extract<Shown, { type: "resume" }>,
  from: Pick<Coming, "requestId" | "address">,
): Promise<UpgradeAnswer> {
  const carrierCallId = webCallId(secret);
  const here = deps.tenantOf(callId);
  const found = { name: "talkedCall", input: { callId, carrierCallId } } as const;
  const tenantId = here ?? (await enter<{ tenantId: string }>(deps, found, from)).tenantId;
  const answer = await deps.desk(tenantId).ask<CallAnswer>(
    (reply) => ({ type: "resume", callId, carrierCallId, reply }),
    { timeoutMs: ASK_MS },
  );
  return await takeIn(deps, answer, secret);
}

/** Pages of the house, of the origins that are set, and of what the ticket was made for; who is no page has none. */
function checkOrigin(
  { publicUrl, edge }: TalkSocketDeps,
  { origin, host }: Coming,
  wanted: string | null,
): void {
  const house = [new URL(publicUrl).origin, ...edge.origins];
  if (/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host)) house.push(`http://${host}`);
  const known = wanted === null ? house : [wanted];
  if (origin === null ? wanted === null : known.includes(origin)) return;
  throw new AppError("forbidden", "This page may not talk here", { field: "Origin" });
}

async function takeIn(
  deps: TalkSocketDeps,
  answer: CallAnswer,
  secret: string,
): Promise<UpgradeAnswer> {
  switch (answer.type) {
    case "wait": // phones do that
    case "busy":
      throw new AppError("busy", "All lines are taken", { retryable: true });
    case "refused":
    case "transfer":
    case "hangUp":
      throw new AppError("not_found", "The call has ended");
    case "connect": {
      const path = parsePath(answer.mediaPath);
      if (path === null) throw new Error("A call's own path is none");
      if (await deps.attach(path) !== "ok") throw new AppError("conflict", "A socket is there");
      const { callId } = answer;
      return {
        type: "accept",
        isBinary: true,
        opened(socket) {
          socket.send(JSON.stringify({ type: "admitted", callId, resume: secret }));
          deps.connected(callId, socket);
        },
      };
    }
  }
}
