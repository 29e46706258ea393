/** The socket of somebody of the company who listens to a live call: a ticket lets it in, once. */

import type { IncomingMessage } from "node:http";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { LISTEN_PROTOCOL } from "@/lib/listening.ts";
import type { Log } from "@/lib/log.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import { problem, STATUS_OF } from "./errors.ts";
import { turnAway } from "./talk_socket.ts";

export interface ListenSocketDeps {
  /** Spends the ticket. Throws forbidden, or not_found when the call has ended. */
  admit(callId: string, ticket: string): Promise<{ readonly by: string }>;
  tapped(callId: string, by: string, socket: MessageSocket): void;
  /** Whether whoever asks may open another socket. */
  mayOpen(request: IncomingMessage): boolean;
  readonly log: Log;
}

/** Null: the path is not one of these sockets. */
export function listenSocket(
  deps: ListenSocketDeps,
): (request: IncomingMessage) => Promise<UpgradeAnswer> | null {
  return (request) => {
    const callId = /^\/calls\/(call_[\w-]{36})\/listen$/.exec(request.url ?? "")?.[1];
    return callId === undefined ? null : answer(deps, callId, request);
  };
}

async function answer(
  { admit, tapped, mayOpen, log }: ListenSocketDeps,
  callId: string,
  request: IncomingMessage,
): Promise<UpgradeAnswer> {
  const requestId = newId("request");
  const [protocol, shown] = (request.headers["sec-websocket-protocol"] ?? "").split(/\s*,\s*/);
  try {
    if (!mayOpen(request)) {
      throw new AppError("rate_limited", "Too many sockets", { retryable: true });
    }
    const ticket = /^ticket\.([\w-]{20,64})$/.exec(shown ?? "")?.[1];
    if (protocol !== LISTEN_PROTOCOL || ticket === undefined) {
      throw new AppError("not_found", "No such socket");
    }
    const { by } = await admit(callId, ticket);
    return {
      type: "accept",
      isBinary: true,
      isStranger: true,
      opened: (socket) => tapped(callId, by, socket),
    };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    log.warn("listening refused", { requestId, callId, code: error.code, error });
    if (protocol === LISTEN_PROTOCOL && error.code !== "rate_limited") return turnAway(error);
    return { type: "refuse", status: STATUS_OF[error.code], body: problem(error, requestId) };
  }
}
