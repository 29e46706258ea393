/** Recordings of calls: what there is, and the file itself for who has a link to it. */

import { createRoute, z } from "@hono/zod-openapi";
import { CONSENTS } from "@/lib/recording/consent.ts";
import { type ByteRange, rangeOf, wavFile } from "@/lib/recording/download.ts";
import { RECORDING_FORMATS } from "@/lib/recording/segments.ts";
import { answer, id, newRoutes, SIGNED_IN, Time } from "./openapi.ts";

const TOKEN_MAX = 200;

const Recording = z.object({
  id: id("recording"),
  callId: id("call"),
  status: z.enum(["recording", "complete", "failed"]),
  reason: z.string().nullable().meta({ description: "Why it failed, as `store_failed`" }),
  consent: z.enum(CONSENTS).meta({
    description: "What stood before its first byte: nothing, a sentence, or a spoken yes",
  }),
  format: z.enum(RECORDING_FORMATS),
  segments: z.int(),
  bytes: z.int().meta({ description: "Of the file" }),
  durationMs: z.int(),
  startedAt: Time,
  endedAt: Time.nullable(),
  link: z.object({ url: z.string(), expiresAt: Time }).nullable().meta({
    description: "Opens for ten minutes. Null while it is being recorded",
  }),
}).openapi("Recording");

const get = createRoute({
  method: "get",
  path: "/{id}/recording",
  tags: ["Calls"],
  operationId: "getCallRecording",
  summary: "The recording of a call, with a link to its sound",
  security: SIGNED_IN,
  request: { params: z.object({ id: id("call") }) },
  responses: { 200: answer(Recording, "The recording; a link that is given out is audited") },
});

const wav = { "audio/wav": { schema: z.string().meta({ format: "binary" }) } };
const download = createRoute({
  method: "get",
  path: "/recordings/{token}",
  tags: ["Calls"],
  operationId: "downloadRecording",
  summary: "The sound of a recording: left the caller, right the agent",
  request: {
    params: z.object({ token: z.string().max(TOKEN_MAX) }),
    headers: z.object({
      range: z.string().max(TOKEN_MAX).optional(),
      "if-range": z.string().max(TOKEN_MAX).optional(),
      "if-none-match": z.string().max(TOKEN_MAX).optional(),
    }),
  },
  responses: {
    200: { description: "A WAV file", content: wav },
    206: { description: "The part of it that Range names", content: wav },
    304: { description: "Not changed since the version of If-None-Match" },
    416: { description: "It has no such part: Content-Range says how long it is" },
  },
});

/** Under `/api/v1/calls`. */
export const callRecordings = newRoutes().openapi(
  get,
  async (c) => c.json(await c.var.desk("callRecording", c.req.valid("param").id), 200),
);

/** For who has a link; it stands in no other place. */
export const openRecordings = newRoutes().openapi(download, async (c) => {
  const { token } = c.req.valid("param");
  const { range, "if-range": ifRange, "if-none-match": ifNoneMatch } = c.req.valid("header");
  const isRead = c.req.method !== "HEAD";
  const { id, store, format, bytes } = await c.var.gate("openRecording", { token, isRead });
  const file = wavFile(format, bytes);
  const etag = `"${id}-${bytes}"`;
  c.header("ETag", etag);
  c.header("Accept-Ranges", "bytes");
  c.header("Cache-Control", "private, no-store, no-transform");
  c.header("Content-Disposition", `attachment; filename="${id}.wav"`);
  if (ifNoneMatch?.includes(etag)) return c.body(null, 304);

  const isWanted = range !== undefined && (ifRange === undefined || ifRange === etag);
  const part = isWanted ? rangeOf(range, file.totalBytes) : null;
  if (part === "unsatisfiable") {
    c.header("Content-Range", `bytes */${file.totalBytes}`);
    return c.body(null, 416);
  }
  const { from, to }: ByteRange = part ?? { from: 0, to: file.totalBytes - 1 };
  c.header("Content-Type", "audio/wav");
  c.header("Content-Length", `${to + 1 - from}`);
  if (part !== null) c.header("Content-Range", `bytes ${from}-${to}/${file.totalBytes}`);
  const status = part === null ? 200 : 206;
  if (!isRead) return c.body(null, status);
  const segment = (index: number) => c.var.gate("recordingSegment", { token, store, index });
  return c.body(ReadableStream.from(file.read({ from, to }, segment)), status);
});
