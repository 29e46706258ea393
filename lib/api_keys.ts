/**
 * API keys: `rm_live_PUBLICID_SECRET_CHECKSUM`. A secret scanner finds one by `KEY_PATTERN`, and it and
 * we refuse a mistyped one by its checksum, without a database.
 *
 * PUBLICID is 64 and SECRET 256 random bits, CHECKSUM the CRC-32 (IEEE 802.3, as in zlib) of all that
 * stands before its underscore; each is a big-endian number in base62 (`0-9A-Za-z`), filled up with `0`.
 */

import { crc32 } from "node:zlib";
import { peppered } from "./pepper.ts";
import type { Secret } from "./secret.ts";

/** `live` keys are a tenant's; `oper` ones are an operator's who acts in a tenant for a while. */
export type KeyKind = "live" | "oper";

/** For a secret scanner: what matches and whose checksum is right, is a key of ours. */
export const KEY_PATTERN = /\brm_(?:live|oper)_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b/;

const WHOLE = new RegExp(`^${KEY_PATTERN.source}$`);
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PUBLIC_BYTES = 8;
const SECRET_BYTES = 32;

export interface ReadKey {
  readonly kind: KeyKind;
  /** May be shown: what a key is looked up by, and told from others by. */
  readonly publicId: string;
}

/** A whole key, as it is shown once. */
export function newKey(
  kind: KeyKind,
  random: (bytes: number) => Uint8Array = (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
): string {
  const publicId = base62(random(PUBLIC_BYTES), 11);
  const text = `rm_${kind}_${publicId}_${base62(random(SECRET_BYTES), 43)}`;
  return `${text}_${checksum(text)}`;
}

/** Whether a bearer token means to be one of our keys: it is nothing else then. */
export function isKeyLike(token: string): boolean {
  return token.startsWith("rm_");
}

/** Null for what is no key: of another shape, or whose checksum is wrong. */
export function readKey(token: string): ReadKey | null {
  if (!WHOLE.test(token)) return null;
  const end = token.lastIndexOf("_");
  if (checksum(token.slice(0, end)) !== token.slice(end + 1)) return null;
  const [, kind, publicId = ""] = token.split("_");
  return { kind: kind === "oper" ? "oper" : "live", publicId };
}

/** What is stored of a key: it tells nothing without the house's pepper. */
export function keyHash(pepper: Secret, key: string): Uint8Array<ArrayBuffer> {
  return peppered(pepper, "api-key", key);
}

function checksum(text: string): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, crc32(text));
  return base62(bytes, 6);
}

function base62(bytes: Uint8Array, digits: number): string {
  let left = BigInt(`0x${bytes.toHex()}`);
  let text = "";
  for (let i = 0; i < digits; i++) {
    text = ALPHABET.charAt(Number(left % 62n)) + text;
    left /= 62n;
  }
  return text;
}
