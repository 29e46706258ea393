/** New work on a machine that drains: another machine gets it, or it is refused by name. */

import type { Context, MiddlewareHandler } from "hono";
import { AppError } from "@/lib/errors.ts";
import type { AppDeps } from "./deps.ts";
import type { Env } from "./env.ts";

/** Calls that are to be placed, and that pages ask for. */
const NEW_WORK = [
  /^\/api\/v1\/calls$/,
  /^\/api\/v1\/livekit\/rooms\/[^/]+\/(agents|sip-participants)$/,
  /^\/talk\/[\w-]+\/tickets$/,
  /^\/api\/v1\/agents\/[\w-]+\/talk-tickets$/,
];
/** What a carrier asks about calls: new ones, and those that it was told to ask about again. */
const RINGS = /^\/twilio\/(tenant_[\w-]+\/)?(voice|livekit)$/;
const RESUMES = /^\/twilio\/(?:tenant_[\w-]+\/)?calls\/(call_[\w-]+)\/resume$/;
/** A balancer looks every few seconds, and then comes here no more. */
const RETRY_S = 5;
/** https://fly.io/docs/networking/dynamic-request-routing/ */
const REPLAY = "elsewhere=true;timeout=5s;fallback=force_self";
/** On a question that another machine has passed on: it goes no further. */
const PASSED_ON = "x-ringmaster-passed-on";
/** Machines that are tried, each within the limits of `Others.send`; a carrier waits for 15 s. */
const TRIES_MAX = 2;

/** The machines that new work can go to. */
export interface Others {
  /** Where they are reached, as `http://HOST:PORT`; empty: this one is alone. */
  urls(): readonly string[];
  /** With limits on time and size; rejects when one of them is missed. */
  readonly send: typeof fetch;
  /** Whether a call lives on this machine: what is asked about it is answered here. */
  isHere(callId: string): boolean;
}

type Deps = Pick<AppDeps, "isDraining" | "edge" | "others" | "random" | "log">;

/** For who understands a refusal by name. */
export function refuseNewWork({ isDraining, edge }: Deps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { path, method } = c.req;
    if (!isDraining() || method !== "POST" || !NEW_WORK.some((it) => it.test(path))) {
      return await next();
    }
    if (edge.trustsFly && !wasBrought(c)) return c.body(null, 409, { "fly-replay": REPLAY });
    throw new AppError("draining", "This machine takes no new work: ask again", {
      retryable: true,
      retryAfterS: RETRY_S,
    });
  };
}

/**
 * For carriers, which would hang up at a refusal: another machine answers in this one's place. A balancer may
 * send them here until it has looked; and a call that was handed over can be taken by any machine but this one.
 */
export function passOn(deps: Deps): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (!deps.isDraining() || c.req.method !== "POST" || !isForOthers(deps, c.req.path)) {
      return await next();
    }
    if (wasBrought(c) || c.req.header(PASSED_ON) !== undefined) return await next();
    if (deps.edge.trustsFly) return c.body(null, 409, { "fly-replay": REPLAY });
    return await answerOfOthers(deps, c) ?? await next();
  };
}

function isForOthers({ others }: Deps, path: string): boolean {
  const callId = RESUMES.exec(path)?.[1];
  return callId === undefined ? RINGS.test(path) : !others.isHere(callId);
}

/** Null: there are none, or they do not answer. */
async function answerOfOthers(
  { others, random, log }: Deps,
  c: Context<Env>,
): Promise<Response | null> {
  const urls = others.urls();
  const from = Math.floor(random() * urls.length);
  const { pathname, search } = new URL(c.req.url);
  for (const url of [...urls.slice(from), ...urls.slice(0, from)].slice(0, TRIES_MAX)) {
    try {
      const answer = await others.send(`${url}${pathname}${search}`, {
        method: "POST",
        body: c.var.signedBody,
        headers: {
          "Content-Type": c.req.header("content-type") ?? "application/x-www-form-urlencoded",
          "X-Twilio-Signature": c.req.header("x-twilio-signature") ?? "",
          [PASSED_ON]: "1",
        },
      });
      const type = answer.headers.get("content-type");
      return new Response(await answer.text(), {
        status: answer.status,
        headers: type === null ? {} : { "Content-Type": type },
      });
    } catch (error) {
      log.warn("another machine did not answer a carrier", { url, error });
    }
  }
  return null;
}

/** By Fly's proxy, from another machine or back to this one. */
function wasBrought(c: Context<Env>): boolean {
  return ["fly-replay-src", "fly-replay-failed"].some((it) => c.req.header(it) !== undefined);
}
