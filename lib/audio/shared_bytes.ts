/** Room for audio in buffers that many share: a buffer each costs four times what goes into it, fifty times a second a call. */

const BUFFER_BYTES = 16 * 1024;
/** What is longer gets a buffer of its own. */
const SHARED_MAX_BYTES = BUFFER_BYTES / 8;

let buffer = new Uint8Array(0);
let used = 0;

/** Zeros that nobody else is given. Whoever keeps them keeps up to 16 KiB of others' with them. */
export function sharedBytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > SHARED_MAX_BYTES) return new Uint8Array(length);
  if (used + length > buffer.length) {
    buffer = new Uint8Array(BUFFER_BYTES);
    used = 0;
  }
  const place = buffer.subarray(used, used + length);
  used += length;
  return place;
}
