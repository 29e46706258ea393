/** What a server and the process that joins rooms for it say to each other over one WebSocket, a room each. */

import { z } from "zod";
import { FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { AppError } from "@/lib/errors.ts";
import type { MediaProtocol } from "@/lib/providers/carrier/carrier.ts";

const NAME_MAX = 64;
const mark = z.strictObject({ type: z.literal("mark"), name: z.string().min(1).max(NAME_MAX) });

/** From the server. A binary message is one or more frames to play. */
const ToRoom = z.discriminatedUnion("type", [
  /** The first: join with this token, and wait for this participant to be there and to have answered. */
  z.strictObject({
    type: z.literal("join"),
    url: z.string().max(2_048),
    token: z.string().max(8_192),
    identity: z.string().min(1).max(256),
    waitMs: z.int().min(1).max(120_000),
  }),
  /** Comes back when all before it has played, or was dropped by `clear`. */
  mark,
  z.strictObject({ type: z.literal("clear") }),
]);
export type ToRoom = z.infer<typeof ToRoom>;

/** From the room. A binary message is a frame of the participant's. */
const FromRoom = z.discriminatedUnion("type", [
  /** They are there. */
  z.strictObject({ type: z.literal("started") }),
  mark,
  z.strictObject({ type: z.literal("dtmf"), digit: z.string().regex(/^[0-9A-D*#]$/) }),
  /** They have left, or the room is gone. */
  z.strictObject({ type: z.literal("stopped") }),
  /** The room could not be joined, or nobody came. */
  z.strictObject({ type: z.literal("failed"), reason: z.enum(["join", "nobody"]) }),
]);
export type FromRoom = z.infer<typeof FromRoom>;

/** Throws AppError("invalid") that names the field. */
export const parseToRoom = (text: string): ToRoom => parse(text, ToRoom);
export const parseFromRoom = (text: string): FromRoom => parse(text, FromRoom);

function parse<T>(text: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid", "Message is not JSON", { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new AppError("invalid", `Message is wrong in "${field}"`, { field });
}

/** The server's end as the media socket of a call. It was opened for this call: `started` carries no token. */
export function roomMedia(
  { carrierCallId, token }: { readonly carrierCallId: string; readonly token: string },
): MediaProtocol {
  let frames = 0;
  return {
    parse(text) {
      const message = parseFromRoom(text);
      switch (message.type) {
        case "started":
          return { type: "started", streamId: carrierCallId, carrierCallId, parameters: { token } };
        case "mark":
          return { type: "mark", name: message.name };
        case "dtmf":
          return { type: "dtmf", digit: message.digit };
        case "stopped":
        case "failed":
          return { type: "stopped" };
      }
    },
    parseBinary(audio) {
      if (audio.length === FRAME_BYTES) return { type: "audio", audio, atMs: frames++ * FRAME_MS };
      throw new AppError("invalid", "Not a frame of 20 ms", { field: "audio" });
    },
    audio: (audio) => audio,
    mark: (name) => JSON.stringify({ type: "mark", name }),
    clear: () => JSON.stringify({ type: "clear" }),
  };
}
