/** Entries of recordings: who has a link that was signed here opens it, until it has expired. */

import { act } from "@/db/act.ts";
import { getRecording, type Recording } from "@/db/recordings.ts";
import { AppError } from "@/lib/errors.ts";
import { DOWNLOAD_MS, readLink, type RecordingLink } from "@/lib/recording/link.ts";
import { recordingPrefix, segmentKey } from "@/lib/recording/segments.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import { pepperOf } from "./sign_in.ts";

const ENTRY_MS = 2_000;

export type LinkedRecording = Pick<Recording, "id" | "store" | "format" | "bytes">;

export const recordingEntries = {
  /** Throws not_found for a link that was not signed here, or leads nowhere any more; gone for one that has expired. */
  openRecording: entry(async (
    lobby,
    { token, isRead }: { readonly token: string; readonly isRead: boolean },
  ): Promise<LinkedRecording> => {
    const { database, clock, request } = lobby;
    const { tenantId, recordingId, expiresAt } = linkOf(lobby, token);
    if (expiresAt <= clock.date()) throw new AppError("gone", "The link has expired");
    const { requestId, address } = request;
    const actor = { actorKind: "system", actorId: "link", requestId, address } as const;
    const bounds = { tenantId, pool: "rest", deadlineMs: ENTRY_MS } as const;
    const options = { ...bounds, database, clock, committed: lobby, actor };
    const found = await act(options, async ({ sql, audit }) => {
      const found = await getRecording(sql, tenantId, recordingId);
      if (found === null || found.bytes === 0 || found.status === "recording") return null;
      if (isRead) await audit({ action: "recording.downloaded", subjectId: recordingId });
      return found;
    });
    if (found === null) throw noRecording();
    const { id, store, format, bytes } = found;
    return { id, store, format, bytes };
  }),

  /** A segment of what was opened; null: it is lost. */
  recordingSegment: entry(async (
    lobby,
    { token, store, index }: {
      readonly token: string;
      readonly store: Recording["store"];
      readonly index: number;
    },
  ): Promise<Uint8Array<ArrayBuffer> | null> => {
    const { clock, stores, signal } = lobby;
    const { tenantId, recordingId, expiresAt } = linkOf(lobby, token);
    if (+clock.date() - +expiresAt > DOWNLOAD_MS) {
      throw new AppError("gone", "The link has expired");
    }
    const key = segmentKey(recordingPrefix(tenantId, recordingId), index);
    return await stores.of(store).get(key, signal);
  }),
};

function linkOf(lobby: Lobby, token: string): RecordingLink {
  const link = readLink(pepperOf(lobby), token);
  if (link === null) throw noRecording();
  return link;
}

function noRecording(): AppError {
  return new AppError("not_found", "No such recording");
}
