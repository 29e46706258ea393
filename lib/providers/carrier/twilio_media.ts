/** Twilio's bidirectional media stream. https://www.twilio.com/docs/voice/media-streams/websocket-messages */

import { z } from "zod";
import { AppError } from "@/lib/errors.ts";
import { SAMPLE_RATE } from "@/lib/audio/frame.ts";
import { sharedBytes } from "@/lib/audio/shared_bytes.ts";
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
  | { readonly type: "started"; readonly streamSid: string; readonly tail: string }
  | { readonly type: "stopped"; readonly streamSid: string };

/** All of it is text. */
export interface TwilioMedia extends MediaProtocol {
  audio(audio: Uint8Array): string;
}

/** The protocol of one socket. Refuses what is malformed, out of order or of another stream. */
export function twilioMedia(): TwilioMedia {
  let phase: Phase = { type: "opened" };
  /** Of the last message; beside the phase, which would else be made anew fifty times a second. */
  let sequence = 0;

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
    const { streamSid } = message;
    const nth = Number(message.sequenceNumber);
    if (message.event === "start") {
      if (phase.type !== "connected") throw invalid("event", `"start" while ${phase.type}`);
      sequence = nth;
      return { type: "started", streamSid, tail: tailOf(streamSid) };
    }
    if (phase.type !== "started") {
      throw invalid("event", `"${message.event}" while ${phase.type}`);
    }
    if (streamSid !== phase.streamSid) throw invalid("streamSid", "another stream's");
    if (nth <= sequence) throw invalid("sequenceNumber", "not increasing");
    sequence = nth;
    return message.event === "stop" ? { type: "stopped", streamSid } : phase;
  }

  return {
    isSteady: true,
    parse(text) {
      const frame = phase.type === "started" ? readFrame(text, phase.tail) : null;
      if (frame !== null && frame.sequence > sequence) {
        sequence = frame.sequence;
        return { type: "audio", audio: frame.audio, atMs: frame.atMs };
      }
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

/** A frame as Twilio writes it: in this order, without spaces. */
const HEAD = '{"event":"media","sequenceNumber":"';
const TRACK = '","media":{"track":"inbound","chunk":"';
const TIMESTAMP = '","timestamp":"';
const PAYLOAD = '","payload":"';
const DIGITS_MAX = 15;

function tailOf(streamSid: string): string {
  return `"},"streamSid":"${streamSid}"}`;
}

interface Frame {
  readonly sequence: number;
  readonly atMs: number;
  readonly audio: Uint8Array;
}

/**
 * A frame as Twilio writes it, of the stream that ends in `tail`; null for all else, which is read as JSON. A sixth of
 * the price of JSON and its checks, for fifty messages a second of each call.
 */
function readFrame(text: string, tail: string): Frame | null {
  if (!text.startsWith(HEAD) || !text.endsWith(tail)) return null;
  const sequenceEnd = digitsEnd(text, HEAD.length);
  if (!text.startsWith(TRACK, sequenceEnd)) return null;
  const chunkEnd = digitsEnd(text, sequenceEnd + TRACK.length);
  if (!text.startsWith(TIMESTAMP, chunkEnd)) return null;
  const timestampAt = chunkEnd + TIMESTAMP.length;
  const timestampEnd = digitsEnd(text, timestampAt);
  if (!text.startsWith(PAYLOAD, timestampEnd)) return null;
  const payloadAt = timestampEnd + PAYLOAD.length;
  const payloadEnd = text.length - tail.length;
  if (payloadAt > payloadEnd) return null; // both end at one quote
  const audio = decode(text.slice(payloadAt, payloadEnd)); // no quote can be in it: it would be no base64
  if (audio === null) return null;
  return {
    sequence: Number(text.slice(HEAD.length, sequenceEnd)),
    atMs: Number(text.slice(timestampAt, timestampEnd)),
    audio,
  };
}

/** Behind the digits that begin at `at`; -1 when there are none, or too many. */
function digitsEnd(text: string, at: number): number {
  let end = at;
  for (let code = text.charCodeAt(end); code >= 0x30 && code <= 0x39; code = text.charCodeAt(end)) {
    end++;
  }
  return end === at || end - at > DIGITS_MAX ? -1 : end;
}

function parseMessage(text: string): TwilioMessage {
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
        audio: decoded(message.media.payload),
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

/** Null for what is no base64, or not as it is written without white space. */
function decode(payload: string): Uint8Array | null {
  const padding = payload.endsWith("==") ? 2 : payload.endsWith("=") ? 1 : 0;
  const place = sharedBytes(Math.floor((payload.length - padding) * 3 / 4));
  try {
    const { read, written } = place.setFromBase64(payload);
    return read === payload.length && written === place.length ? place : null;
  } catch {
    return null;
  }
}

function decoded(payload: string): Uint8Array {
  try {
    return decode(payload) ?? Uint8Array.fromBase64(payload);
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
