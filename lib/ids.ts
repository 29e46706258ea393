/** Identifiers: UUIDv7 (RFC 9562 §5.7) shown with a prefix, as `call_0198f3c2-…`. */

import { systemClock } from "./clock.ts";

export type IdPrefix =
  | ("tenant" | "person" | "member" | "session" | "invitation" | "key" | "visit")
  | ("agent" | "version" | "number" | "call" | "event" | "request")
  | ("credential" | "audit" | "receipt" | "job" | "endpoint" | "delivery");

/** Milliseconds since the epoch, and 10 random bytes. Tests pass their own. */
export interface IdSource {
  unixMs(): number;
  random(): Uint8Array;
}

/** Of one process the ids ascend, in one millisecond too and when the clock is set back (RFC 9562 §6.2, method 1). */
export function ascendingIds(source: IdSource): IdSource {
  let lastMs = 0;
  let count = 0;
  return {
    unixMs() {
      const now = source.unixMs();
      if (now > lastMs) {
        lastMs = now;
        count = -1;
      } else if (count === COUNT_MAX) {
        lastMs++;
        count = -1;
      }
      return lastMs;
    },
    /** Its first 12 bits are the count, which begins low enough to go on for 2,048 ids. */
    random() {
      const bytes = source.random();
      count = count < 0 ? ((bytes[0] ?? 0) << 8 | (bytes[1] ?? 0)) & COUNT_START_MAX : count + 1;
      bytes[0] = count >> 8;
      bytes[1] = count & 0xff;
      return bytes;
    },
  };
}

const COUNT_MAX = 0xfff;
const COUNT_START_MAX = 0x7ff;

export const systemIds: IdSource = ascendingIds({
  unixMs: () => systemClock.date().getTime(),
  random: () => crypto.getRandomValues(new Uint8Array(10)),
});

/** A UUIDv7: 48 bits of time, version, 74 random bits. Sorts by the time it was made. */
export function uuidv7(source: IdSource = systemIds): string {
  const bytes = new Uint8Array(16);
  const ms = source.unixMs();
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(ms / 2 ** (8 * (5 - i))) & 0xff;
  bytes.set(source.random().subarray(0, 10), 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, hex);
}

/** `newId("call")` → `call_0198f3c2-1b2c-7def-8123-456789abcdef`. */
export function newId(prefix: IdPrefix, source: IdSource = systemIds): string {
  return `${prefix}_${uuidv7(source)}`;
}

const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The UUID inside a prefixed id, or null when the prefix or the shape is another. */
export function uuidOf(prefix: IdPrefix, id: string): string | null {
  if (!id.startsWith(`${prefix}_`)) return null;
  const uuid = id.slice(prefix.length + 1);
  return SHAPE.test(uuid) ? uuid : null;
}

/** 256 random bits in base64url: for tokens that must not be guessed. */
export function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}
