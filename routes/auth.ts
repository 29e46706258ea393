/** Signing up, logging in and out: what may be asked without a credential. */

import { createRoute, z } from "@hono/zod-openapi";
import type { TokensView } from "@/actors/gate/sign_in.ts";
import { answer, body, newRoutes } from "./openapi.ts";

const TOKEN_MAX = 128;
/** Before it is normalised; the rule for a new one is the gate's. */
const PASSWORD_BODY_MAX = 1_024;

/** RFC 5321 4.5.3.1.3 allows 254 characters. Case is not told apart. */
export const Email = z.email().max(254).toLowerCase();
export const Password = z.string().min(1).max(PASSWORD_BODY_MAX);
const refreshToken = z.string().min(1).max(TOKEN_MAX);

const Tokens = z.object({
  accessToken: z.string(),
  tokenType: z.literal("Bearer"),
  expiresIn: z.int(),
  refreshToken: z.string(),
  refreshExpiresIn: z.int(),
  tenantId: z.string().nullable(),
}).openapi("Tokens") satisfies z.ZodType<TokensView>;

const Signup = z.strictObject({
  email: Email,
  password: Password,
  name: z.string().trim().min(1).max(100),
  tenantName: z.string().trim().min(1).max(100).optional(),
  invitationToken: z.string().min(1).max(TOKEN_MAX).optional(),
}).refine(
  ({ tenantName, invitationToken }) =>
    (tenantName === undefined) !== (invitationToken === undefined),
  { path: ["tenantName"], error: "Give either this or invitationToken" },
);

const signup = createRoute({
  method: "post",
  path: "/signup",
  tags: ["Auth"],
  summary: "Sign up with a new tenant, or with an invitation into one",
  request: { body: body(Signup) },
  responses: { 201: answer(Tokens, "The tokens of the first session") },
});

const login = createRoute({
  method: "post",
  path: "/login",
  tags: ["Auth"],
  summary: "Log in with a password",
  request: { body: body(z.strictObject({ email: Email, password: Password })) },
  responses: { 200: answer(Tokens, "The tokens of a new session") },
});

const refresh = createRoute({
  method: "post",
  path: "/refresh",
  tags: ["Auth"],
  summary: "Exchange a refresh token for the next one",
  request: { body: body(z.strictObject({ refreshToken })) },
  responses: { 200: answer(Tokens, "An access token, and the next refresh token") },
});

const logout = createRoute({
  method: "post",
  path: "/logout",
  tags: ["Auth"],
  summary: "End the session of a refresh token",
  request: { body: body(z.strictObject({ refreshToken })) },
  responses: { 204: { description: "It is over, if it was not before" } },
});

const reset = createRoute({
  method: "post",
  path: "/password/reset",
  tags: ["Auth"],
  summary: "Ask for a mail with a code that sets a new password",
  request: { body: body(z.strictObject({ email: Email })) },
  responses: { 202: { description: "A mail is on its way, if there is such an account" } },
});

const confirm = createRoute({
  method: "post",
  path: "/password/reset/confirm",
  tags: ["Auth"],
  summary: "Set a new password with the code of the mail; all sessions end",
  request: {
    body: body(
      z.strictObject({ token: z.string().min(1).max(TOKEN_MAX), newPassword: Password }),
    ),
  },
  responses: { 204: { description: "It is changed" } },
});

export const auth = newRoutes()
  .openapi(signup, async (c) => c.json(await c.var.gate("signUp", c.req.valid("json")), 201))
  .openapi(login, async (c) => c.json(await c.var.gate("logIn", c.req.valid("json")), 200))
  .openapi(refresh, async (c) => c.json(await c.var.gate("refresh", c.req.valid("json")), 200))
  .openapi(logout, async (c) => {
    await c.var.gate("logOut", c.req.valid("json"));
    return c.body(null, 204);
  })
  .openapi(reset, async (c) => {
    await c.var.gate("resetPassword", c.req.valid("json"));
    return c.body(null, 202);
  })
  .openapi(confirm, async (c) => {
    await c.var.gate("confirmReset", c.req.valid("json"));
    return c.body(null, 204);
  });
