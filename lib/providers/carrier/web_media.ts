/** The media socket of a page in a browser: our own protocol, described in docs/talk.md. */

import { z } from "zod";
import { FRAME_MS } from "@/lib/audio/frame.ts";
import { newNarrower, newWidener, WIDE_FRAME_BYTES } from "@/lib/audio/resample.ts";
import { AppError } from "@/lib/errors.ts";
import type { MediaEvent, MediaProtocol } from "./carrier.ts";

const NAME_MAX = 64;
/** Characters of what a caller may write at once. */
export const TYPED_MAX = 1_000;

const WebMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("start"), version: z.literal(1) }),
  z.strictObject({ type: z.literal("mark"), name: z.string().min(1).max(NAME_MAX) }),
  z.strictObject({
    type: z.literal("text"),
    text: z.string().trim().min(1).max(TYPED_MAX),
    isFinal: z.boolean(),
  }),
  z.strictObject({ type: z.literal("dtmf"), digit: z.string().regex(/^[0-9A-D*#]$/) }),
  z.strictObject({ type: z.literal("end") }),
]);

/**
 * The protocol of one socket, which was let in with a token: `start` therefore carries none. Audio is PCM, 16 bit,
 * little-endian, mono, 16 kHz, a frame of 20 ms a binary message; inside it is µ-law at 8 kHz as everywhere.
 */
export function webMedia(
  { carrierCallId, token }: { readonly carrierCallId: string; readonly token: string },
): MediaProtocol {
  const narrower = newNarrower();
  const widener = newWidener();
  let phase: "opened" | "started" | "stopped" = "opened";
  let frames = 0;

  function advance(type: z.infer<typeof WebMessage>["type"]): void {
    const isFirst = type === "start";
    if (isFirst !== (phase === "opened") || phase === "stopped") {
      throw invalid("type", `"${type}" while ${phase}`);
    }
    phase = type === "end" ? "stopped" : "started";
  }

  return {
    parse(text) {
      const message = parseMessage(text);
      advance(message.type);
      switch (message.type) {
        case "start":
          return { type: "started", streamId: carrierCallId, carrierCallId, parameters: { token } };
        case "mark":
          return { type: "mark", name: message.name };
        case "text":
          return { type: "typed", text: message.text, isFinal: message.isFinal };
        case "dtmf":
          return { type: "dtmf", digit: message.digit };
        case "end":
          return { type: "stopped" };
      }
    },
    parseBinary(pcm): MediaEvent {
      if (phase !== "started") throw invalid("type", `audio while ${phase}`);
      if (pcm.length !== WIDE_FRAME_BYTES) throw invalid("audio", "not a frame of 20 ms");
      return { type: "audio", audio: narrower.narrow(pcm), atMs: frames++ * FRAME_MS };
    },
    audio: (audio) => widener.widen(audio),
    mark: (name) => JSON.stringify({ type: "mark", name }),
    clear: () => JSON.stringify({ type: "clear" }),
    show: (notice) => JSON.stringify(notice),
  };
}

function parseMessage(text: string): z.infer<typeof WebMessage> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid", "Message is not JSON", { cause });
  }
  const parsed = WebMessage.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(issue?.path.join(".") ?? "", issue?.message ?? "");
}

/** The message's own text may be what a caller wrote, so only the place is told. */
function invalid(field: string, problem: string): AppError {
  return new AppError("invalid", `Message is wrong in "${field}": ${problem}`, { field });
}
