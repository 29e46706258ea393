/** Twilio's bidirectional media stream. https://www.twilio.com/docs/voice/media-streams/websocket-messages */

import { z } from "zod";
import { AppError } from "@/lib/errors.ts";
import { SAMPLE_RATE } from "@/lib/audio/frame.ts";
import type { MediaEvent, MediaProtocol } from "./carrier.ts";

const NAME_MAX = 1024;
const PARAMETERS_MAX = 16;

/** Numbers travel as strings. Read where they are used: a transform would cost each frame 2 µs. */
const COUNT = /^\d{1,15}$/;
const Count = z.string().regex(COUNT);
const Name = z.string().min(1).max(NAME_MAX);
/** `MZ…`, `CA…`. Checked, since it goes into what we send without escaping. */
const SID = /^\w{1,64}$/;
const Sid = z.string().regex(SID);
const Sequence = { sequenceNumber: Count, streamSid: Sid };

// Not strict: Twilio adds fields without notice. What we read is checked, and unknown events are refused.
const TwilioMessage = z.discriminatedUnion("event", [
  z.object({
    event: z.literal("connected"),
    protocol: z.literal("Call"),
    version: Name, // "1.0.0" since 2020
  }),
  z.object({
    event: z.literal("start"),
    ...Sequence,
    start: z.object({
      streamSid: Sid,
      callSid: Sid,
      mediaFormat: z.object({
        encoding: z.literal("audio/x-mulaw"),
        sampleRate: z.literal(SAMPLE_RATE), // a number here, unlike all others
        channels: z.literal(1),
      }),
      customParameters: z.record(Name, z.string().max(NAME_MAX))
        .refine((parameters) => Object.keys(parameters).length <= PARAMETERS_MAX, "Too many"),
    }),
  }),
  z.object({
    event: z.literal("media"),
    ...Sequence,
    media: z.object({
      track: z.literal("inbound"), // a bidirectional stream has no other
      timestamp: Count,
      payload: z.string(),
    }),
  }),
  z.object({
    event: z.literal("dtmf"),
    ...Sequence,
    dtmf: z.object({ digit: z.string().regex(/^[0-9A-D*#]$/) }),
  }),
  z.object({
    event: z.literal("mark"),
    ...Sequence,
    mark: z.object({ name: Name }),
  }),
  z.object({ event: z.literal("stop"), ...Sequence }),
]);
type TwilioMessage = z.infer<typeof TwilioMessage>;

/** Where a stream stands. Messages are numbered from the first, `start`; only `connected` is not. */
type Phase =
  | { readonly type: "opened" | "connected" }
  | { readonly type: "started"; readonly streamSid: string; readonly sequence: number }
  | { readonly type: "stopped"; readonly streamSid: string };

/** All of it is text. */
export interface TwilioMedia extends MediaProtocol {
  audio(audio: Uint8Array): string;
}

/** The protocol of one socket. Refuses what is malformed, out of order or of another stream. */
export function twilioMedia(): TwilioMedia {
  let phase: Phase = { type: "opened" };

  /** The stream's id for what we send. Sending before `start` is a bug of ours; what crosses a `stop` is not. */
  function streamSid(): string {
    if (!("streamSid" in phase)) throw new Error(`Cannot send on a stream that is ${phase.type}`);
    return phase.streamSid;
  }

  /** The phase that follows a message, or a refusal. */
  function advance(message: TwilioMessage): Phase {
    if (message.event === "connected") {
      if (phase.type !== "opened") throw invalid("event", `"connected" while ${phase.type}`);
      return { type: "connected" };
    }
    const sequence = Number(message.sequenceNumber);
    if (message.event === "start") {
      if (phase.type !== "connected") throw invalid("event", `"start" while ${phase.type}`);
      return { type: "started", streamSid: message.streamSid, sequence };
    }
    if (phase.type !== "started") {
      throw invalid("event", `"${message.event}" while ${phase.type}`);
    }
    if (message.streamSid !== phase.streamSid) throw invalid("streamSid", "another stream's");
    if (sequence <= phase.sequence) throw invalid("sequenceNumber", "not increasing");
    if (message.event === "stop") return { type: "stopped", streamSid: phase.streamSid };
    return { ...phase, sequence };
  }

  return {
    isSteady: true,
    parse(text) {
      const message = parseMessage(text);
      const event = toEvent(message);
      phase = advance(message);
      return event;
    },
    audio(audio) {
      // By hand: neither a sid nor base64 needs escaping, and this runs for every frame out.
      return `{"event":"media","streamSid":"${streamSid()}","media":{"payload":"${audio.toBase64()}"}}`;
    },
    mark: (name) => JSON.stringify({ event: "mark", streamSid: streamSid(), mark: { name } }),
    clear: () => JSON.stringify({ event: "clear", streamSid: streamSid() }),
  };
}

const MEDIA_HEAD = new RegExp(
  String
    .raw`^\{"event":"media","sequenceNumber":"(\d{1,15})","media":\{"track":"inbound","chunk":"\d{1,15}",` +
    String.raw`"timestamp":"(\d{1,15})","payload":"`,
);
const MEDIA_TAIL = /^"\},"streamSid":"(\w{1,64})"\}$/;
const TAIL_MAX = `"},"streamSid":""}`.length + 64;

/**
 * A frame as Twilio writes it, in its order and without spaces; null for all else, which is read as JSON. Half the
 * price of JSON and its checks, for fifty messages a second of each call.
 */
function readMedia(text: string): Extract<TwilioMessage, { event: "media" }> | null {
  const head = MEDIA_HEAD.exec(text);
  if (head === null) return null;
  const start = head[0].length;
  const end = text.indexOf('"', start);
  if (end === -1 || text.length - end > TAIL_MAX) return null;
  const [, streamSid] = MEDIA_TAIL.exec(text.slice(end)) ?? [];
  const payload = text.slice(start, end);
  const [, sequenceNumber = "", timestamp = ""] = head; // both are in it
  if (streamSid === undefined || !/^[\w+/=-]*$/.test(payload)) return null;
  return {
    event: "media",
    sequenceNumber,
    streamSid,
    media: { track: "inbound", timestamp, payload },
  };
}

function parseMessage(text: string): TwilioMessage {
  const frame = readMedia(text);
  if (frame !== null) return frame;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid", "Media message is not JSON", { cause });
  }
  if (isMedia(json)) return json;
  const parsed = TwilioMessage.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(issue?.path.join(".") ?? "", issue?.message ?? "");
}

/** As the schema has it, by hand: this runs for every frame in. What it refuses, the schema says why. */
function isMedia(json: unknown): json is Extract<TwilioMessage, { event: "media" }> {
  const { event, sequenceNumber, streamSid, media } = Object(json);
  return event === "media" && isText(sequenceNumber, COUNT) && isText(streamSid, SID) &&
    media?.track === "inbound" && isText(media.timestamp, COUNT) &&
    typeof media.payload === "string";
}

function isText(value: unknown, shape: RegExp): boolean {
  return typeof value === "string" && shape.test(value);
}

function toEvent(message: TwilioMessage): MediaEvent {
  switch (message.event) {
    case "connected":
      return { type: "connected" };
    case "start":
      return {
        type: "started",
        streamId: message.start.streamSid,
        carrierCallId: message.start.callSid,
        parameters: message.start.customParameters,
      };
    case "media":
      return {
        type: "audio",
        audio: decode(message.media.payload),
        atMs: Number(message.media.timestamp),
      };
    case "dtmf":
      return { type: "dtmf", digit: message.dtmf.digit };
    case "mark":
      return { type: "mark", name: message.mark.name };
    case "stop":
      return { type: "stopped" };
  }
}

/** Frames stand in shared buffers: one each costs four times the decoding, fifty times a second a call. */
const SHARED_BYTES = 16 * 1024;
const SHARED_MAX_BYTES = SHARED_BYTES / 8;
let shared = new Uint8Array(0);
let sharedUsed = 0;

function decode(payload: string): Uint8Array {
  const padding = payload.endsWith("==") ? 2 : payload.endsWith("=") ? 1 : 0;
  const bytes = Math.floor((payload.length - padding) * 3 / 4);
  try {
    if (bytes > SHARED_MAX_BYTES) return Uint8Array.fromBase64(payload);
    if (sharedUsed + bytes > shared.length) {
      shared = new Uint8Array(SHARED_BYTES);
      sharedUsed = 0;
    }
    const place = shared.subarray(sharedUsed, sharedUsed + bytes);
    const { read, written } = place.setFromBase64(payload);
    if (read !== payload.length || written !== bytes) return Uint8Array.fromBase64(payload); // white space in it
    sharedUsed += bytes;
    return place;
  } catch (cause) {
    throw new AppError("invalid", "Media message is wrong in media.payload: not base64", {
      field: "media.payload",
      cause,
    });
  }
}

/** The message's own text may be what a caller typed or said, so only the place is told. */
function invalid(field: string, problem: string): AppError {
  return new AppError("invalid", `Media message is wrong in ${field}: ${problem}`, { field });
}
