/** The page on which a person talks to an agent, its files, and its tickets. */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import css from "@/routes/talk/page.css" with { type: "text" };
import html from "@/routes/talk/page.html" with { type: "text" };
import narrator from "@/routes/talk/narrator.js" with { type: "text" };
import script from "@/routes/talk/page.js" with { type: "text" };
import view from "@/routes/talk/view.js" with { type: "text" };
import worklet from "@/routes/talk/worklet.js" with { type: "text" };
import { asset, send } from "./asset.ts";
import type { Env } from "./env.ts";
import { answer, body, id, newRoutes, SIGNED_IN, Time } from "./openapi.ts";

/** All that the page loads and asks is of this origin, its socket too; it may be framed by nobody. */
const PAGE_POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

const ORIGIN_MAX = 300;
const Origin = z.string().max(ORIGIN_MAX).refine((text) => {
  const url = URL.parse(text);
  return url !== null && url.origin === text && /^https?:$/.test(url.protocol);
}, "Not an origin, as https://www.example.com").meta({ example: "https://www.example.com" });

const NewTicket = z.strictObject({ origin: Origin.optional() });
const Ticket = z.object({
  ticket: z.string(),
  expiresAt: Time,
  url: z.string().meta({ description: "The agent's page, with the ticket in the fragment" }),
}).openapi("TalkTicket");

const params = z.object({ id: id("agent") });
const text = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: z.string() } },
});
const unchanged = { description: "Not changed since the version of If-None-Match" };
const shared = { tags: ["Talk"] };

const newTicket = createRoute({
  ...shared,
  method: "post",
  path: "/{id}/talk-tickets",
  operationId: "createTalkTicket",
  summary: "A ticket for one conversation with an agent in a browser",
  description:
    "Good once, for a minute. With an origin, a page of that origin may use it, and no other.",
  security: SIGNED_IN,
  request: { params, body: { ...body(NewTicket), required: false } },
  responses: { 201: answer(Ticket, "The ticket: show it as the second WebSocket protocol") },
});

const publicTicket = createRoute({
  ...shared,
  method: "post",
  path: "/talk/{id}/tickets",
  operationId: "createPublicTalkTicket",
  summary: "A ticket to an agent that anyone may talk to",
  request: { params },
  responses: { 201: answer(Ticket.pick({ ticket: true }), "The ticket") },
});

const page = createRoute({
  ...shared,
  method: "get",
  path: "/talk/{id}",
  operationId: "getTalkPage",
  summary: "The page on which a person talks to an agent",
  request: { params },
  responses: { 200: text("text/html", "The page, whatever the id"), 304: unchanged },
});

const file = createRoute({
  ...shared,
  method: "get",
  path: "/talk/files/{file}",
  operationId: "getTalkFile",
  summary: "What the page is made of",
  request: { params: z.object({ file: z.string().max(64) }) },
  responses: {
    200: {
      description: "The file",
      content: { "text/css": { schema: z.string() }, "text/javascript": { schema: z.string() } },
    },
    304: unchanged,
  },
});

/** Under `/api/v1/agents`. */
export const talkTickets = newRoutes().openapi(newTicket, async (c) => {
  const { id: agentId } = c.req.valid("param");
  const { origin = null } = c.req.valid("json") ?? {};
  return c.json(await c.var.desk("newTalkTicket", { agentId, origin }), 201);
});

/** For who has no credential: the gate knows the agents that anyone may talk to. */
export const openTalk = newRoutes().openapi(
  publicTicket,
  async (c) => c.json(await c.var.gate("publicTalkTicket", c.req.valid("param").id), 201),
);

export function talkPages(): OpenAPIHono<Env> {
  const javascript = (source: string) => asset("text/javascript; charset=utf-8", source);
  const files = new Map([
    ["page.css", asset("text/css; charset=utf-8", css)],
    ["page.js", javascript(script)],
    ["view.js", javascript(view)],
    ["narrator.js", javascript(narrator)],
    ["worklet.js", javascript(worklet)],
  ]);
  const whole = asset("text/html; charset=utf-8", html);
  const routes = newRoutes();
  for (const route of [page, file]) routes.openAPIRegistry.registerPath(route);
  routes
    .get("/talk/files/:file", (c) => {
      const found = files.get(c.req.param("file"));
      return found === undefined ? c.notFound() : send(c, found);
    })
    .get("/talk/:id", (c) => {
      c.header("Content-Security-Policy", PAGE_POLICY);
      return send(c, whole);
    });
  return routes;
}
