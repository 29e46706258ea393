/** Which recordings a tenant takes along in an export, and what its manifest says of each. Pure. */

import { wavFile } from "./download.ts";
import type { RecordingFormat } from "./segments.ts";

/** Sound of one export, as WAV: a zip without extensions holds 4 GiB. The first recordings come first. */
export const SOUND_MAX_BYTES = 2 * 1024 ** 3;

export interface Takeable {
  readonly id: string;
  readonly callId: string;
  readonly status: string;
  readonly format: RecordingFormat;
  /** As stored. */
  readonly bytes: number;
}

/** A line of the manifest. `file`: where it is in the zip; null: it was left out, and `reason` says why. */
export interface Taken {
  readonly id: string;
  readonly callId: string;
  readonly bytes: number;
  readonly file: string | null;
  readonly reason: "no_sound" | "still_recorded" | "too_much" | null;
}

/** `takenBytes`: of those before it. */
export function take(
  { id, callId, status, format, bytes }: Takeable,
  takenBytes: number,
  maxBytes = SOUND_MAX_BYTES,
): Taken {
  const totalBytes = bytes === 0 ? 0 : wavFile(format, bytes).totalBytes;
  const leaveOut = (reason: NonNullable<Taken["reason"]>): Taken => ({
    ...{ id, callId, bytes: totalBytes, file: null, reason },
  });
  if (status === "recording") return leaveOut("still_recorded");
  if (bytes === 0) return leaveOut("no_sound");
  if (takenBytes + totalBytes > maxBytes) return leaveOut("too_much");
  return { id, callId, bytes: totalBytes, file: `sound/${id}.wav`, reason: null };
}
