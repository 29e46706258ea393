/** Twilio's ConversationRelay: text both ways. https://www.twilio.com/docs/voice/conversationrelay/websocket-messages */

import { z } from "zod";
import { AppError } from "@/lib/errors.ts";
import type { MediaEvent, MediaProtocol } from "./carrier.ts";
import type { RelayWire } from "./relay.ts";

const NAME_MAX = 1024;
const PARAMETERS_MAX = 16;
/** Characters of one message of the caller's words, or of ours that were played. */
const TEXT_MAX = 20_000;

const Text = z.string().max(TEXT_MAX);
const Sid = z.string().regex(/^\w{1,64}$/);

// Not strict: Twilio adds fields without notice. What we read is checked, and unknown types are refused.
const RelayMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("setup"),
    sessionId: Sid,
    callSid: Sid,
    customParameters: z.record(z.string().max(NAME_MAX), z.string().max(NAME_MAX))
      .refine((parameters) => Object.keys(parameters).length <= PARAMETERS_MAX, "Too many")
      .default({}),
  }),
  z.object({ type: z.literal("prompt"), voicePrompt: Text, last: z.boolean().default(true) }),
  z.object({ type: z.literal("interrupt"), utteranceUntilInterrupt: Text.default("") }),
  z.object({ type: z.literal("dtmf"), digit: z.string().regex(/^[0-9A-D*#]$/) }),
  z.object({ type: z.literal("error"), description: Text.default("") }),
  // What `events` asks for: named in the attribute's table, its shape as Twilio's own demos read it.
  z.object({ type: z.literal("info"), name: z.string().max(NAME_MAX), value: z.unknown() }),
]);
type RelayMessage = z.infer<typeof RelayMessage>;

/** A protocol whose carrier speaks for itself. */
export interface TwilioRelay extends MediaProtocol {
  readonly relay: RelayWire;
}

/** The protocol of one socket. No audio goes over it: to send any is a bug of ours. */
export function twilioRelay(): TwilioRelay {
  let isSetUp = false;

  return {
    parse(text) {
      const message = parseMessage(text);
      const isSetup = message.type === "setup";
      if (isSetup === isSetUp) throw invalid("type", `"${message.type}" out of order`);
      isSetUp = true;
      return toEvent(message);
    },
    audio: silent,
    mark: silent,
    clear: silent,
    relay: {
      // Preemptible: what we say next takes its place, which is how it is silenced.
      say: ({ text, isLast, isInterruptible }) =>
        JSON.stringify({
          ...{ type: "text", token: text, last: isLast },
          ...{ interruptible: isInterruptible, preemptible: true },
        }),
      hush: () => JSON.stringify({ type: "text", token: " ", last: true, preemptible: true }),
      press: (keys) =>
        JSON.stringify({ type: "sendDigits", digits: keys.replace(/[^\d*#w]/gi, "") }),
      language: (language) =>
        JSON.stringify({
          type: "language",
          ttsLanguage: language,
          transcriptionLanguage: language,
        }),
      end: (reason) =>
        JSON.stringify({ type: "end", handoffData: JSON.stringify({ reasonCode: reason }) }),
    },
  };
}

function silent(): never {
  throw new Error("Cannot send audio to a carrier that speaks for itself");
}

function toEvent(message: RelayMessage): MediaEvent {
  switch (message.type) {
    case "setup":
      return {
        type: "started",
        streamId: message.sessionId,
        carrierCallId: message.callSid,
        parameters: message.customParameters,
      };
    case "prompt":
      return { type: "typed", text: message.voicePrompt, isFinal: message.last };
    case "interrupt":
      return {
        type: "relayed",
        event: { type: "interrupted", heard: message.utteranceUntilInterrupt },
      };
    case "dtmf":
      return { type: "dtmf", digit: message.digit };
    case "error":
      return { type: "faulted" };
    case "info":
      return toInfo(message);
  }
}

function toInfo({ name, value }: Extract<RelayMessage, { type: "info" }>): MediaEvent {
  if (name === "agentSpeaking" && (value === "on" || value === "off")) {
    return { type: "relayed", event: { type: "speaking", isSpeaking: value === "on" } };
  }
  if (name === "tokensPlayed" && typeof value === "string") {
    return { type: "relayed", event: { type: "played", text: value.slice(0, TEXT_MAX) } };
  }
  return { type: "connected" }; // a sign of life, and nothing that we act on
}

function parseMessage(text: string): RelayMessage {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid", "Relay message is not JSON", { cause });
  }
  const parsed = RelayMessage.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(issue?.path.join(".") ?? "", issue?.message ?? "");
}

/** The message's own text may be what a caller said, so only the place is told. */
function invalid(field: string, problem: string): AppError {
  return new AppError("invalid", `Relay message is wrong in ${field}: ${problem}`, { field });
}
