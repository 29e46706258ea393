/** Errands on recordings: what there is of a call, and a link to it that opens for minutes. */

import { getRecordingOfCall, type Recording } from "@/db/recordings.ts";
import { AppError } from "@/lib/errors.ts";
import { LINK_MS, signLink } from "@/lib/recording/link.ts";
import { wavFile } from "@/lib/recording/download.ts";
import { LEFT_MS, settleRecording } from "@/db/settle_recordings.ts";
import { found } from "./calls.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

export interface RecordingView {
  readonly id: string;
  readonly callId: string;
  readonly status: Recording["status"];
  /** Why it failed. */
  readonly reason: string | null;
  /** What stood before its first byte. */
  readonly consent: Recording["consent"];
  readonly format: Recording["format"];
  readonly segments: number;
  /** Of the file that its link gives. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Null while it is being recorded, and when there is no sound. */
  readonly link: { readonly url: string; readonly expiresAt: string } | null;
}

export const recordingErrands = {
  /** Throws not_found for a call that has none. A link that is given out is on record. */
  callRecording: errand("calls:read", async (office, callId: string): Promise<RecordingView> => {
    const { tenantId, act, clock } = office;
    const recording = await standing(office, callId);
    const { id, status, bytes } = recording;
    if (status === "recording" || bytes === 0) return toView(recording, null);
    const expiresAt = new Date(+clock.date() + LINK_MS);
    const url = linkTo(office, { tenantId, recordingId: id, expiresAt });
    await act(({ audit }) =>
      audit({ action: "recording.linked", subjectId: id, details: { callId } })
    );
    return toView(recording, { url, expiresAt: expiresAt.toISOString() });
  }),
};

/** One whose process has gone is ended here, by whoever asks for it first. */
async function standing(office: Office, callId: string): Promise<Recording> {
  const { tenantId, read, clock, signal } = office;
  const { call, recording } = await read(async (sql) => {
    const call = await found(sql, office, callId);
    return { call, recording: await getRecordingOfCall(sql, tenantId, callId) };
  });
  if (recording === null) throw new AppError("not_found", "The call was not recorded");
  const isLeft = call.endedAt !== null && +clock.date() - +call.endedAt > LEFT_MS;
  if (recording.status !== "recording" || !isLeft) return recording;
  await settleRecording(office, recording, clock.date(), signal);
  return await read((sql) => getRecordingOfCall(sql, tenantId, callId)) ?? recording;
}

function linkTo(
  { pepper, publicUrl }: Office,
  link: Parameters<typeof signLink>[1],
): string {
  if (pepper === null) {
    throw new AppError("not_configured", "Cannot sign a link: no pepper is set", {
      field: "TOKEN_PEPPER",
    });
  }
  return `${publicUrl}/recordings/${signLink(pepper, link)}`;
}

function toView(recording: Recording, link: RecordingView["link"]): RecordingView {
  const { id, callId, status, reason, consent, format, segments, durationMs } = recording;
  return {
    ...{ id, callId, status, reason, consent, format, segments, durationMs },
    bytes: recording.bytes === 0 ? 0 : wavFile(format, recording.bytes).totalBytes,
    startedAt: recording.startedAt.toISOString(),
    endedAt: recording.endedAt?.toISOString() ?? null,
    link,
  };
}
