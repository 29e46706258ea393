/** The reference page at `/docs`, which works offline, and the document that it shows. */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import css from "swagger-ui-dist/swagger-ui.css" with { type: "text" };
import script from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "text" };
import { type Asset, asset, send } from "./asset.ts";
import type { Env } from "./env.ts";
import { answer, newRoutes } from "./openapi.ts";
import type { ApiDocument } from "./reference.ts";

/** All that the page loads and asks is of this origin; the images are in the style sheet. */
const PAGE_POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

// Addresses are relative, since PUBLIC_URL may have a path.
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ringmaster API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
`;

const START = `SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

const text = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: z.string() } },
});
const unchanged = { description: "Not changed since the version of If-None-Match" };
const shared = { method: "get" as const, tags: ["House"] };

const document = createRoute({
  ...shared,
  path: "/openapi.json",
  operationId: "getOpenApi",
  summary: "This description",
  responses: {
    200: answer(z.looseObject({ openapi: z.string() }), "OpenAPI 3.1"),
    304: unchanged,
  },
});

const page = createRoute({
  ...shared,
  path: "/docs",
  operationId: "getDocs",
  summary: "This description as a page",
  responses: { 200: text("text/html", "The page"), 304: unchanged },
});

const file = createRoute({
  ...shared,
  path: "/docs/{file}",
  operationId: "getDocsFile",
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

/** `describe` is called once, at the first request: all routes are registered by then. */
export function docs(describe: () => ApiDocument): OpenAPIHono<Env> {
  const files = new Map<string, Asset>();
  /** Made when it is first asked for, and kept. */
  function take(name: string, make: () => Asset): Asset {
    const made = files.get(name) ?? make();
    files.set(name, made);
    return made;
  }

  const routes = newRoutes();
  for (const route of [document, page, file]) routes.openAPIRegistry.registerPath(route);
  routes
    .get("/openapi.json", (c) => {
      const make = () => asset("application/json", JSON.stringify(describe()));
      return send(c, take("openapi.json", make));
    })
    .get("/docs", (c) => {
      c.header("Content-Security-Policy", PAGE_POLICY);
      return send(c, take("page", () => asset("text/html; charset=utf-8", PAGE)));
    })
    .get("/docs/:file", (c) => {
      const name = c.req.param("file");
      switch (name) {
        case "swagger-ui.css":
          return send(c, take(name, () => asset("text/css; charset=utf-8", css)));
        case "swagger-ui-bundle.js":
          return send(c, take(name, () => asset("text/javascript; charset=utf-8", script)));
        case "start.js":
          return send(c, take(name, () => asset("text/javascript; charset=utf-8", START)));
        default:
          return c.notFound();
      }
    });
  return routes;
}
