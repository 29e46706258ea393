/** The stored form of a recording: µ-law, left the caller and right the agent, in segments of five seconds. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { uuidOf } from "@/lib/ids.ts";

/** A sample of each side. */
export const SAMPLE_BYTES = 2;
export const STORED_BYTES_PER_MS = SAMPLE_BYTES * BYTES_PER_MS;
export const SEGMENT_MS = 5_000;
/** Every segment but the last has so many. */
export const SEGMENT_BYTES = SEGMENT_MS * STORED_BYTES_PER_MS;
const INDEX_DIGITS = 6; // 57 days

/** What a download of it is: 16-bit samples, which everything plays, or µ-law as it is, half of that. */
export const RECORDING_FORMATS = ["pcm", "mulaw"] as const;
export type RecordingFormat = typeof RECORDING_FORMATS[number];

/** Under which all segments of a recording are stored. Ids are prefixed ones. */
export function recordingPrefix(tenantId: string, recordingId: string): string {
  return `recordings/${uuidOf("tenant", tenantId)}/${uuidOf("recording", recordingId)}/`;
}

/** Of the segment that is the `index`th, from 0. Their order is that of their names. */
export function segmentKey(prefix: string, index: number): string {
  return `${prefix}${String(index).padStart(INDEX_DIGITS, "0")}`;
}
