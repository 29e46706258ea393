/** What of the house is configured, and which setting what is not waits for. */

import type { Config } from "./config.ts";
import { accountOf, KEY_SETTINGS } from "./provider_choice.ts";

export interface Feature {
  readonly name:
    | ("carrier" | "livekit" | "rooms" | "stt" | "llm" | "tts")
    | ("logins" | "apiKeys" | "credentials" | "webhooks" | "signup")
    | ("mail" | "recordings" | "sharedLimits" | "database");
  /** What provides it: `twilio`, `simulated`, `embedded`; null when nothing does. */
  readonly provider: string | null;
  /** The setting that is not there; null: it is configured. */
  readonly missing: string | null;
}

/** `hasKeys`: whether the house has its key-encryption key and its pepper, set or made. */
export function featuresOf(config: Config, hasKeys: boolean): Feature[] {
  const { twilio, livekit, rooms, auth, mail, redis } = config;
  const carrier = twilio.accountSid === null
    ? "TWILIO_ACCOUNT_SID"
    : twilio.authToken === null
    ? "TWILIO_AUTH_TOKEN"
    : null;
  const key = auth.keyEncryptionKeys === null ? "KEY_ENCRYPTION_KEYS" : "TOKEN_PEPPER";
  const kept = (name: Feature["name"]): Feature => ({
    name,
    provider: hasKeys ? "ringmaster" : null,
    missing: hasKeys ? null : key,
  });
  return [
    { name: "carrier", provider: carrier === null ? "twilio" : null, missing: carrier },
    {
      name: "livekit",
      provider: missingOf(livekit) === null ? "livekit" : null,
      missing: missingOf(livekit),
    },
    roomsFeature(rooms),
    speech("stt", config.stt),
    speech("llm", config.llm),
    speech("tts", config.tts),
    ...(["logins", "apiKeys", "credentials", "webhooks"] as const).map(kept),
    { name: "signup", provider: auth.signup, missing: hasKeys ? null : key },
    { name: "mail", provider: mail.smtpUrl === null ? "folder" : "smtp", missing: null },
    { name: "recordings", provider: config.storage.s3 === null ? "folder" : "s3", missing: null },
    { name: "sharedLimits", provider: redis === null ? "memory" : "upstash", missing: null },
    { name: "database", provider: config.database.type, missing: null },
  ];
}

/** The first setting of a LiveKit project that is not there; null: it is whole. */
export function missingOf({ url, apiKey, apiSecret }: Config["livekit"]): string | null {
  if (url === null) return "LIVEKIT_URL";
  if (apiKey === null) return "LIVEKIT_API_KEY";
  return apiSecret === null ? "LIVEKIT_API_SECRET" : null;
}

function roomsFeature({ url, token }: Config["rooms"]): Feature {
  const missing = url === null ? "ROOMS_URL" : token === null ? "ROOMS_TOKEN" : null;
  return { name: "rooms", provider: missing === null ? "livekit" : null, missing };
}

function speech(
  name: "stt" | "llm" | "tts",
  config: Config["stt" | "llm" | "tts"],
): Feature {
  const account = accountOf(config.provider);
  const isMissing = config.provider !== "simulated" && config.apiKey === null && account !== null;
  return { name, provider: config.provider, missing: isMissing ? KEY_SETTINGS[account] : null };
}
