/** Who asks: the credential of a request becomes a principal, and its tenant's desk. */

import type { Context, MiddlewareHandler } from "hono";
import type { AskDesk } from "@/actors/desk/errands.ts";
import type { AskGate } from "@/actors/gate/entries.ts";
import type { Principal, SignedIn } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { type AppDeps, ASK_MS } from "./deps.ts";
import { clientAddress } from "./edge.ts";
import type { Env } from "./env.ts";

/** An errand may wait for the database, and for a provider that it asks. */
export const ERRAND_MS = 15_000;
const USER_AGENT_MAX = 256;

/** Lets the gate be asked, by one who may not have logged in. */
export function visiting({ gate, edge }: Pick<AppDeps, "gate" | "edge">): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set("request", {
      requestId: c.get("requestId"),
      address: clientAddress(c, edge),
      idempotencyKey: c.req.method === "POST" ? idempotencyKey(c) : null,
    });
    const userAgent = (c.req.header("user-agent") ?? "").slice(0, USER_AGENT_MAX);
    const ask = (name: string, input?: unknown): Promise<unknown> =>
      gate.ask(
        (reply) => ({
          type: "entry",
          name,
          input,
          visitor: {
            by: c.get("principal") ?? null,
            person: c.get("person") ?? null,
            operator: c.get("operator") ?? null,
            request: c.get("request"),
            userAgent,
          },
          reply,
        }),
        { timeoutMs: ERRAND_MS },
      );
    c.set("gate", ask as AskGate); // typed by the entry's name
    await next();
  };
}

/** What a POST is to be done under once; other methods can be repeated as they are. */
function idempotencyKey(c: Context<Env>): string | null {
  const key = c.req.header("idempotency-key") ?? null;
  if (key === null || /^[\x20-\x7e]{1,255}$/.test(key)) return key;
  const field = "Idempotency-Key";
  const message = "Must be 1 to 255 printable characters of ASCII";
  throw new AppError("invalid", `Wrong input in "${field}": ${message}`, {
    field,
    errors: [{ in: "header", field, message }],
  });
}

/** Lets only principals pass, and gives them the desk of their tenant. */
export function authenticated(deps: Pick<AppDeps, "gate" | "desk">): MiddlewareHandler<Env> {
  return async (c, next) => {
    const token = bearerOf(c);
    const tenantId = c.req.header("x-tenant-id") ?? null;
    const authenticate = (): Promise<Principal> =>
      deps.gate.ask<Principal>(
        (reply) => ({ type: "authenticate", shown: { token, tenantId }, reply }),
        { timeoutMs: ASK_MS },
      );
    const by = await authenticate();
    c.set("principal", by);
    c.set("recheck", authenticate);
    const desk = deps.desk(by.tenantId);
    const ask = (name: string, input?: unknown): Promise<unknown> =>
      desk.ask(
        (reply) => ({ type: "errand", name, input, by, request: c.get("request"), reply }),
        { timeoutMs: ERRAND_MS },
      );
    c.set("desk", ask as AskDesk); // typed by the errand's name
    await next();
  };
}

/**
 * Lets only people pass who have shown an access token, whatever tenants they are in: a member of a
 * suspended tenant, or of none, may still log out. Entries find them as the lobby's `person`.
 */
export function signedIn({ gate }: Pick<AppDeps, "gate">): MiddlewareHandler<Env> {
  return async (c, next) => {
    const token = bearerOf(c);
    const person = await gate.ask<SignedIn>(
      (reply) => ({ type: "signedIn", token, reply }),
      { timeoutMs: ASK_MS },
    );
    c.set("person", person);
    await next();
  };
}

function bearerOf(c: Context): string {
  const token = /^Bearer (\S{1,4096})$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (token === undefined) {
    throw new AppError("unauthenticated", "No bearer token", { field: "Authorization" });
  }
  return token;
}
