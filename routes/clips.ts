/** Clips over REST: recorded sentences that an agent plays where its texts say `{{clip:name}}`. */

import { createRoute, z } from "@hono/zod-openapi";
import { CLIP_MAX_MS } from "@/lib/clip_library.ts";
import { CLIP_NAME } from "@/lib/workflow/clip_name.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const TEXT_MAX = 1_000; // as of a sentence
/** Three quarters of it are bytes: a minute and a half of µ-law. A body is 1 MiB at the most. */
const BASE64_MAX = 1_000_000;

const Clip = z.object({
  id: id("clip"),
  name: z.string(),
  text: z.string(),
  durationMs: z.int(),
  createdAt: Time,
}).openapi("Clip");

const NewClip = z.strictObject({
  name: z.string().regex(CLIP_NAME).meta({
    description: "An agent's text plays it as {{clip:name}}",
    example: "opening-hours",
  }),
  text: z.string().trim().min(1).max(TEXT_MAX).transform((text) => text.replace(/\s+/g, " ")).meta({
    description:
      "The words in it: they stand in the transcript, and are spoken where it is not to be had",
  }),
  format: z.enum(["wav", "mulaw"]).default("wav").meta({
    description:
      "wav: 16-bit PCM or µ-law at 8, 16, 24, 32 or 48 kHz; mulaw: without a head, mono, 8 kHz",
  }),
  audio: z.base64().min(1).max(BASE64_MAX).meta({
    description: `The sound in base64, ${CLIP_MAX_MS / 1000} s at the most`,
  }),
});
const params = z.object({ id: id("clip") });
const common = { tags: ["Clips"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List clips, newest first",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Clip), "A page of clips") },
});

const create = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Store a recorded sentence",
  request: { body: body(NewClip) },
  responses: { 201: answer(Clip, "The clip, which agents may name now") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a clip",
  request: { params },
  responses: { 200: answer(Clip, "The clip") },
});

const sound = createRoute({
  ...common,
  method: "get",
  path: "/{id}/audio",
  summary: "Listen to a clip",
  request: { params },
  responses: {
    200: {
      description: "16-bit PCM, mono, 8 kHz, as callers hear it",
      content: { "audio/wav": { schema: z.string().meta({ format: "binary" }) } },
    },
  },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Delete a clip and its sound",
  description: "Refused while an agent names it.",
  request: { params },
  responses: { 204: { description: "It is gone" } },
});

export const clips = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("clips", c.req.valid("query")), 200))
  .openapi(create, async (c) => c.json(await c.var.desk("createClip", c.req.valid("json")), 201))
  .openapi(get, async (c) => c.json(await c.var.desk("clip", c.req.valid("param").id), 200))
  .openapi(sound, async (c) => {
    const file = await c.var.desk("clipSound", c.req.valid("param").id);
    return c.body(file, 200, { "Content-Type": "audio/wav" });
  })
  .openapi(remove, async (c) => {
    await c.var.desk("deleteClip", c.req.valid("param").id);
    return c.body(null, 204);
  });
