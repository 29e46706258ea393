/** Signing webhooks: by Standard Webhooks, and the older way of a hex digest. https://www.standardwebhooks.com */

import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";

const PREFIX = "whsec_";
const SECRET_BYTES = 32; // "between 24 and 64 bytes"
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/** `whsec_` and the base64 of 32 random bytes. */
export function newWebhookSecret(): string {
  return PREFIX + crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toBase64();
}

/** Whether it is `whsec_` and the base64 of 24 to 64 bytes. */
export function isWebhookSecret(text: string): boolean {
  if (!text.startsWith(PREFIX)) return false;
  try {
    const { length } = Uint8Array.fromBase64(text.slice(PREFIX.length));
    return length >= MIN_BYTES && length <= MAX_BYTES;
  } catch {
    return false;
  }
}

export interface Signed {
  /** The same on every retry: receivers know by it what they have had. */
  readonly id: string;
  /** Of this attempt: receivers refuse what is older than five minutes. */
  readonly at: Date;
  readonly body: string;
}

/** A signature for each live secret, so that a receiver may still hold the one before. */
export function standardHeaders(
  { id, at, body }: Signed,
  secrets: readonly string[],
): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}

/** The hex HMAC-SHA-256 of the body alone, keyed by the secret's text: one secret, and no word on time. */
export function hexHeaders(
  { id, body }: Pick<Signed, "id" | "body">,
  { secret, type }: { readonly secret: string; readonly type: string },
): Record<string, string> {
  return {
    "webhook-id": id,
    "x-pabbly-event": type,
    "x-pabbly-signature": createHmac("sha256", secret).update(body).digest("hex"),
  };
}
