/** The carrier's media socket: a signed, one-use path that leads to one call. */

import type { IncomingMessage } from "node:http";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import { isSocketSigned } from "@/lib/providers/carrier/signature.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import { problem, STATUS_OF } from "./errors.ts";

/** A stream's place: `/media/{node}/{callId}/{epoch}/{token}`. */
export interface MediaPath {
  readonly node: string;
  readonly callId: string;
  readonly epoch: number;
  readonly token: string;
}

/** `refused`: token or epoch is not the one given out. `taken`: a socket is there already. */
export type AttachAnswer = "ok" | "refused" | "taken" | "missing";

export interface MediaDeps {
  readonly publicUrl: string;
  /** What the account that a call came by signs with; of no call of ours the house's. Null: none is set. */
  authTokenOf(callId: string): Promise<string | null>;
  /** Spends the path's token; asked before 101. Whoever got `ok` is followed by `connected`, or by nothing. */
  attach(path: MediaPath): Promise<AttachAnswer>;
  /** The socket is open. Nobody listens to it yet. */
  connected(callId: string, socket: MessageSocket): void;
  readonly log: Log;
}

/** Decides over the upgrade of a media socket, for `listen`. */
export function media(deps: MediaDeps): (request: IncomingMessage) => Promise<UpgradeAnswer> {
  return async (request) => {
    try {
      const path = await admit(deps, request);
      return { type: "accept", opened: (socket) => deps.connected(path.callId, socket) };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const requestId = newId("request");
      deps.log.warn("media socket refused", { requestId, code: error.code, error });
      return {
        type: "refuse",
        status: STATUS_OF[error.code],
        body: problem(error, requestId),
      };
    }
  };
}

const REFUSALS = {
  refused: "forbidden",
  taken: "conflict",
  missing: "not_found",
} as const satisfies Record<Exclude<AttachAnswer, "ok">, ErrorCode>;

/** Throws AppError for a socket that may not come in: nothing of a call is touched before the signature. */
async function admit(deps: MediaDeps, request: IncomingMessage): Promise<MediaPath> {
  const { publicUrl } = deps;
  const url = request.url ?? "";
  const path = parsePath(url);
  if (path === null) throw new AppError("not_found", "No such socket");
  const authToken = await deps.authTokenOf(path.callId);
  if (authToken === null) {
    throw new AppError("not_configured", "Media sockets are off", { field: "TWILIO_AUTH_TOKEN" });
  }
  const signature = request.headers["x-twilio-signature"];
  if (typeof signature !== "string") {
    throw new AppError("unauthenticated", "No signature", { field: "X-Twilio-Signature" });
  }
  if (!isSocketSigned(authToken, { url: `${publicUrl}${url}`, signature })) {
    throw new AppError("forbidden", "Wrong signature", { field: "X-Twilio-Signature" });
  }
  const answer = await deps.attach(path);
  if (answer !== "ok") throw new AppError(REFUSALS[answer], `Media socket is ${answer}`);
  return path;
}

/** Null for what is no path of a stream. */
export function parsePath(url: string): MediaPath | null {
  const parts = /^\/media\/([\w.-]{1,64})\/([\w-]{1,64})\/(\d{1,9})\/([\w-]{16,128})\/?$/.exec(url);
  if (parts === null) return null;
  const [, node = "", callId = "", epoch = "", token = ""] = parts;
  return uuidOf("call", callId) === null ? null : { node, callId, epoch: Number(epoch), token };
}
