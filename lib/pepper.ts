/** Hashes of what is random already (keys, tokens): HMAC-SHA-256 under the house's pepper. */

import { createHmac, timingSafeEqual } from "node:crypto";
import type { Secret } from "./secret.ts";

/** `purpose` keeps the hash of one thing from standing for another. */
export function peppered(pepper: Secret, purpose: string, text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    createHmac("sha256", pepper.reveal()).update(`${purpose}\0${text}`).digest(),
  );
}

/** In constant time; hashes of different lengths are not equal. */
export function isSameHash(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
