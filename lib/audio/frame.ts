/** Telephone audio as it travels: 8 kHz mono G.711 µ-law, one byte a sample, 20 ms a frame. */

export const SAMPLE_RATE = 8000;
/** Bytes of a millisecond of µ-law. */
export const BYTES_PER_MS = SAMPLE_RATE / 1000;
export const FRAME_MS = 20;
/** Bytes of a frame: Twilio's inbound size, and what outbound chunks are multiples of. */
export const FRAME_BYTES = FRAME_MS * BYTES_PER_MS;
/** The µ-law byte of a zero sample (G.711: positive zero is 0xFF). */
export const SILENCE = 0xff;
