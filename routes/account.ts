/** One's own account: who one is, one's sessions and password. */

import { createRoute, z } from "@hono/zod-openapi";
import type { MeView, Preferences, SessionView } from "@/actors/gate/me.ts";
import { ROLES } from "@/lib/access.ts";
import { Password } from "./auth.ts";
import { answer, body, id, idField, newRoutes, SIGNED_IN, Time } from "./openapi.ts";
import { Language, Model, TimeZone, Voice } from "./preferences.ts";

const OwnPreferences = z.object({
  language: Language.optional(),
  timezone: TimeZone.optional(),
  voice: Voice.optional(),
  model: Model.optional(),
}).openapi("Preferences") satisfies z.ZodType<Preferences>;

const Me = z.object({
  id: id("person"),
  email: z.string(),
  name: z.string(),
  isOperator: z.boolean(),
  tenantId: id("tenant").nullable(),
  primaryTenantId: id("tenant").nullable(),
  preferences: OwnPreferences,
  memberships: z.array(z.object({
    tenantId: id("tenant"),
    tenantName: z.string(),
    tenantStatus: z.enum(["trial", "active", "suspended", "cancelled"]),
    role: z.enum(ROLES),
  })).readonly(),
}).openapi("Me") satisfies z.ZodType<MeView>;

const Session = z.object({
  id: id("session"),
  userAgent: z.string(),
  address: z.string(),
  createdAt: Time,
  lastUsedAt: Time,
  expiresAt: Time,
  isCurrent: z.boolean(),
}).openapi("Session") satisfies z.ZodType<SessionView>;

const Change = z.strictObject({
  name: z.string().trim().min(1).max(100).optional(),
  primaryTenantId: idField("tenant").optional(),
  preferences: z.strictObject({
    language: Language.nullable().optional(),
    timezone: TimeZone.nullable().optional(),
    voice: Voice.nullable().optional(),
    model: Model.nullable().optional(),
  }).optional().meta({ description: "What is absent stays; null takes one away" }),
});

const getMe = createRoute({
  method: "get",
  path: "/me",
  tags: ["Auth"],
  summary: "Who asks, and where they are a member",
  security: SIGNED_IN,
  responses: { 200: answer(Me, "The person of the access token") },
});

const patchMe = createRoute({
  method: "patch",
  path: "/me",
  tags: ["Auth"],
  summary: "Change one's name and preferences, or the tenant of requests that name none",
  security: SIGNED_IN,
  request: { body: body(Change) },
  responses: { 200: answer(Me, "The person as they are now") },
});

const getSessions = createRoute({
  method: "get",
  path: "/sessions",
  tags: ["Auth"],
  summary: "List one's live sessions, the one used last first",
  security: SIGNED_IN,
  responses: { 200: answer(z.object({ items: z.array(Session).readonly() }), "At most 200") },
});

const deleteSession = createRoute({
  method: "delete",
  path: "/sessions/{id}",
  tags: ["Auth"],
  summary: "End one of one's sessions",
  security: SIGNED_IN,
  request: { params: z.object({ id: id("session") }) },
  responses: { 204: { description: "It is over" } },
});

const deleteSessions = createRoute({
  method: "delete",
  path: "/sessions",
  tags: ["Auth"],
  summary: "End all of one's sessions but this one",
  security: SIGNED_IN,
  responses: { 200: answer(z.object({ revoked: z.int() }), "How many were ended") },
});

const postPassword = createRoute({
  method: "post",
  path: "/password",
  tags: ["Auth"],
  summary: "Change one's password; all other sessions end",
  security: SIGNED_IN,
  request: {
    body: body(z.strictObject({ currentPassword: Password, newPassword: Password })),
  },
  responses: { 204: { description: "It is changed" } },
});

export const account = newRoutes()
  .openapi(getMe, async (c) => c.json(await c.var.gate("me"), 200))
  .openapi(patchMe, async (c) => c.json(await c.var.gate("changeMe", c.req.valid("json")), 200))
  .openapi(getSessions, async (c) => c.json(await c.var.gate("sessions"), 200))
  .openapi(deleteSession, async (c) => {
    await c.var.gate("revokeSession", c.req.valid("param"));
    return c.body(null, 204);
  })
  .openapi(deleteSessions, async (c) => c.json(await c.var.gate("revokeOtherSessions"), 200))
  .openapi(postPassword, async (c) => {
    await c.var.gate("changePassword", c.req.valid("json"));
    return c.body(null, 204);
  });
