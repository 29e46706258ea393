/** Calls over REST: place one, read one, read what happened in it. */

import { Hono } from "hono";
import { z } from "zod";
import type { CallView, EventView } from "@/actors/desk/desk.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { check, readJson } from "./body.ts";
import { type AppDeps, ASK_MS } from "./deps.ts";
import type { Env } from "./env.ts";

const PAGE_MAX = 500;
/** Placing a call waits for the carrier's API. */
const PLACE_MS = 10_000;

const NewCall = z.strictObject({
  agentId: z.string().refine((id) => uuidOf("agent", id) !== null, "Not an agent's id"),
  to: z.e164(),
  from: z.e164(),
});
const CallId = z.string().refine((id) => uuidOf("call", id) !== null, "Not a call's id");
const Page = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(100),
});

/** `before`: the id of the last call already seen; newest first. */
const CallPage = z.strictObject({
  before: CallId.optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(50),
});

/** Behind the operator's token until there is a login (#3): one tenant, that of the token. */
export function calls({ desk, api }: AppDeps): Hono<Env> {
  return new Hono<Env>()
    .post("/", async (c) => {
      const call = await readJson(c, NewCall);
      const placed = await desk(api.tenantId).ask<{ callId: string }>(
        (reply) => ({ type: "placeCall", ...call, reply }),
        { timeoutMs: PLACE_MS },
      );
      return c.json({ id: placed.callId }, 201);
    })
    .get("/", async (c) => {
      const page = check(c.req.query(), CallPage);
      const list = await desk(api.tenantId).ask<CallView[]>(
        (reply) => ({ type: "calls", ...page, reply }),
        { timeoutMs: ASK_MS },
      );
      return c.json({ calls: list });
    })
    .get("/:id", async (c) => {
      const callId = callIdOf(c.req.param("id"));
      const call = await desk(api.tenantId).ask<CallView | null>(
        (reply) => ({ type: "call", callId, reply }),
        { timeoutMs: ASK_MS },
      );
      return c.json(found(call));
    })
    .get("/:id/events", async (c) => {
      const callId = callIdOf(c.req.param("id"));
      const page = check(c.req.query(), Page);
      const events = await desk(api.tenantId).ask<EventView[]>(
        (reply) => ({ type: "events", callId, ...page, reply }),
        { timeoutMs: ASK_MS },
      );
      return c.json({ events });
    });
}

/** What is no id names no call: the answer is the one for a call that is not there. */
function callIdOf(text: string): string {
  return found(uuidOf("call", text) === null ? null : text);
}

function found<T>(thing: T | null): T {
  if (thing === null) throw new AppError("not_found", "No such call");
  return thing;
}
