/** What others verify our access tokens with (RFC 7517). */

import { createRoute, z } from "@hono/zod-openapi";
import { answer, newRoutes } from "./openapi.ts";

/** Less than a key is published before it signs. */
const CACHE_S = 300;

const Jwks = z.object({
  keys: z.array(z.object({
    kty: z.literal("OKP"),
    crv: z.literal("Ed25519"),
    x: z.string(),
    kid: z.string(),
    alg: z.literal("Ed25519"),
    use: z.literal("sig"),
  })).readonly(),
}).openapi("Jwks");

const jwks = createRoute({
  method: "get",
  path: "/.well-known/jwks.json",
  tags: ["Auth"],
  summary: "The keys that access tokens are verified with",
  responses: { 200: answer(Jwks, "Public keys only") },
});

export const wellKnown = newRoutes()
  .openapi(jwks, async (c) => {
    const { keys } = await c.var.gate("jwks");
    c.header("Cache-Control", `public, max-age=${CACHE_S}`);
    return c.json({ keys: [...keys] }, 200);
  });
