/** Credentials: which providers a company may bring its own account of, with which fields, and how they are shown. */

export const CREDENTIAL_PROVIDERS = [
  "twilio",
  "deepgram",
  "openai",
  "anthropic",
  "elevenlabs",
  "livekit",
] as const;
export type CredentialProvider = typeof CREDENTIAL_PROVIDERS[number];

/** The fields of each; `secret` ones are never shown. */
export const CREDENTIAL_FIELDS = {
  twilio: { accountSid: "shown", authToken: "secret" },
  deepgram: { apiKey: "secret" },
  openai: { apiKey: "secret" },
  anthropic: { apiKey: "secret" },
  elevenlabs: { apiKey: "secret", voice: "shown" },
  livekit: {
    url: "shown",
    apiKey: "shown",
    apiSecret: "secret",
    sipHost: "shown",
    sipUsername: "shown",
    sipPassword: "secret",
  },
} as const satisfies Record<CredentialProvider, Readonly<Record<string, "shown" | "secret">>>;

/** By field. A field that was not given is absent. */
export type CredentialValues = Readonly<Record<string, string>>;

/** The name of the credential that calls are held with. */
export const CREDENTIAL_IN_USE = "default";

const TAIL_MAX = 4;
/** A part of what is hidden at most: of a short secret less is shown, or nothing. */
const SHOWN_PART = 1 / 4;
/** What a provider begins all its keys with says nothing of one: `sk-`, `sk_`, `xi-`. */
const PREFIX = /^[a-z]{2,3}[-_]/;

/** `sk-…f3a9`: never more than a quarter of it. */
export function mask(secret: string): string {
  const room = Math.floor(secret.length * SHOWN_PART);
  const tail = Math.min(TAIL_MAX, room);
  const prefix = PREFIX.exec(secret)?.[0] ?? "";
  const head = prefix.length + tail <= room ? prefix : "";
  return `${head}…${tail === 0 ? "" : secret.slice(-tail)}`;
}

/** What may be read back. */
export function masked(provider: CredentialProvider, values: CredentialValues): CredentialValues {
  const fields: Readonly<Record<string, "shown" | "secret">> = CREDENTIAL_FIELDS[provider];
  return Object.fromEntries(
    Object.entries(values).map((
      [name, value],
    ) => [name, fields[name] === "shown" ? value : mask(value)]),
  );
}
