/** Invitations over REST: ask somebody in by mail, ask again, take it back; and what a token is good for. */

import { createRoute, z } from "@hono/zod-openapi";
import type { InvitationView } from "@/actors/desk/invitations.ts";
import type { ValidInvitation } from "@/actors/gate/invitations.ts";
import { Email } from "./auth.ts";
import { RoleName } from "./members.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Invitation = z.object({
  id: id("invitation"),
  email: z.string(),
  role: RoleName,
  status: z.enum(["pending", "accepted", "expired", "revoked"]),
  invitedBy: z.string(),
  createdAt: Time,
  expiresAt: Time,
}).openapi("Invitation") satisfies z.ZodType<InvitationView>;

const Valid = z.object({
  tenantName: z.string(),
  email: z.string(),
  role: RoleName,
  expiresAt: Time,
}).openapi("ValidInvitation") satisfies z.ZodType<ValidInvitation>;

const params = z.object({ id: id("invitation") });
const common = { tags: ["Invitations"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List invitations, newest first",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Invitation), "A page of invitations") },
});

const create = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Invite somebody by mail",
  description: "For seven days. Nobody gives a role that can do more than they can.",
  request: { body: body(z.strictObject({ email: Email, role: RoleName })) },
  responses: { 201: answer(Invitation, "The invitation; its token is in the mail alone") },
});

const resend = createRoute({
  ...common,
  method: "post",
  path: "/{id}/resend",
  summary: "Mail an invitation again",
  description: "With a new token, for seven days more; the one before is good for nothing.",
  request: { params },
  responses: { 200: answer(Invitation, "The invitation as it is now") },
});

const revoke = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Take an invitation back",
  request: { params },
  responses: { 204: { description: "Its token is good for nothing any more" } },
});

const validate = createRoute({
  method: "get",
  path: "/validate/{token}",
  tags: ["Invitations"],
  summary: "Read what an invitation is to, by its token",
  request: { params: z.object({ token: z.string().max(128) }) },
  responses: { 200: answer(Valid, "It can be accepted by signing up") },
});

export const invitations = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("invitations", c.req.valid("query")), 200))
  .openapi(create, async (c) => c.json(await c.var.desk("invite", c.req.valid("json")), 201))
  .openapi(resend, async (c) => {
    return c.json(await c.var.desk("resendInvitation", c.req.valid("param").id), 200);
  })
  .openapi(revoke, async (c) => {
    await c.var.desk("revokeInvitation", c.req.valid("param").id);
    return c.body(null, 204);
  });

/** For who has only the token. */
export const openInvitations = newRoutes()
  .openapi(validate, async (c) => {
    return c.json(await c.var.gate("validateInvitation", c.req.valid("param").token), 200);
  });
