/** Identifiers: UUIDv7 (RFC 9562 §5.7) shown with a prefix, as `call_0198f3c2-…`. */

import { systemClock } from "./clock.ts";

export type IdPrefix =
  | ("tenant" | "person" | "member" | "session" | "invitation" | "key" | "visit")
  | ("agent" | "version" | "number" | "call" | "event" | "request")
  | ("egress" | "recording" | "clip")
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

/** Random bytes are asked for by the thousand: the question costs more than they do. */
const RANDOM_BYTES = 4_000;

function randomTens(): () => Uint8Array {
  const bytes = new Uint8Array(RANDOM_BYTES);
  let at = RANDOM_BYTES;
  return () => {
    if (at === RANDOM_BYTES) {
      crypto.getRandomValues(bytes);
      at = 0;
    }
    return bytes.slice(at, at += 10);
  };
}

export const systemIds: IdSource = ascendingIds({
  unixMs: () => systemClock.date().getTime(),
  random: randomTens(),
});

/** A UUIDv7: 48 bits of time, version, 74 random bits. Sorts by the time it was made. */
export function uuidv7(source: IdSource = systemIds): string {
  const time = source.unixMs().toString(16).padStart(12, "0");
  const random = source.random().slice(0, 10);
  random[0] = ((random[0] ?? 0) & 0x0f) | 0x70;
  random[2] = ((random[2] ?? 0) & 0x3f) | 0x80;
  const hex = random.toHex();
  return `${time.slice(0, 8)}-${time.slice(8)}-${hex.slice(0, 4)}-${hex.slice(4, 8)}-${
    hex.slice(8)
  }`;
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
