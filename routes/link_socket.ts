/** The socket of another machine of the cluster: whoever opens it proves first which of them it is. */

import type { IncomingMessage } from "node:http";
import { FRAME_BYTES_MAX } from "@/actors/cluster/links/frames.ts";
import { LINK_PATH } from "@/actors/cluster/links/connect.ts";
import type { LinksMessage } from "@/actors/cluster/links/links.ts";
import { type Hello, HELLO_HEADER, parseHello } from "@/actors/cluster/links/proof.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import { problem, STATUS_OF } from "./errors.ts";

/** Looks at what was shown need no database. */
const KNOCK_MS = 1_000;

export interface LinkSocketDeps {
  /** Null: this machine is not one of many. */
  readonly links: Ref<LinksMessage> | null;
  readonly log: Log;
}

/** Null: the path is not this socket's. */
export function linkSocket(
  { links, log }: LinkSocketDeps,
): (request: IncomingMessage) => Promise<UpgradeAnswer> | null {
  async function admitted(ref: Ref<LinksMessage> | null, header: unknown): Promise<Hello> {
    const hello = parseHello(typeof header === "string" ? header : undefined);
    if (ref === null || hello === null) throw new AppError("not_found", "No such socket");
    await ref.ask<null>((reply) => ({ type: "knock", hello, reply }), { timeoutMs: KNOCK_MS });
    return hello;
  }

  async function answer(request: IncomingMessage): Promise<UpgradeAnswer> {
    try {
      const hello = await admitted(links, request.headers[HELLO_HEADER]);
      return {
        type: "accept",
        trusted: { messageBytesMax: FRAME_BYTES_MAX },
        opened: (socket) => void links?.send({ type: "connected", hello, socket }),
      };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const requestId = newId("request");
      log.warn("link of another machine refused", { requestId, code: error.code, error });
      return { type: "refuse", status: STATUS_OF[error.code], body: problem(error, requestId) };
    }
  }

  return (request) => request.url === LINK_PATH ? answer(request) : null;
}
