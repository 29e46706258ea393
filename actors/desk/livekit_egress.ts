/** Errands on recordings of LiveKit rooms: begun and ended here, told of by webhooks. */

import {
  getEgress,
  isFinal,
  listEgresses,
  type StoredEgress,
  storeEgress,
  updateEgressStarter,
} from "@/db/livekit.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { EgressFile, EgressStatus } from "@/lib/providers/livekit/livekit.ts";
import { Secret } from "@/lib/secret.ts";
import { errand } from "./errand.ts";
import { projectOf, standingRoom } from "./livekit_rooms.ts";
import type { Office } from "./office.ts";

export interface EgressView {
  readonly id: string;
  /** `EG_…` */
  readonly livekitId: string;
  readonly room: string;
  readonly status: EgressStatus;
  readonly error: string | null;
  readonly files: EgressFile[];
  readonly startedBy: string | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

interface EgressInput {
  readonly room: string;
  readonly isAudioOnly: boolean;
  /** Null: the room's name and the time. */
  readonly path: string | null;
  /** Null: the store that the LiveKit server is set up with. */
  readonly s3: {
    readonly bucket: string;
    readonly region: string;
    readonly accessKey: string;
    readonly secret: string;
    readonly endpoint: string | null;
  } | null;
}

export const liveKitEgressErrands = {
  /** Newest first. */
  liveKitEgresses: errand("calls:read", async (
    { read, tenantId },
    { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<{ items: EgressView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: cursor };
    const items = (await read((sql) => listEgresses(sql, tenantId, page))).map(toEgressView);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  /** As LiveKit says now, where it has not ended: its webhooks may not reach us. */
  liveKitEgress: errand("calls:read", async (office, id: string): Promise<EgressView> => {
    const stored = await found(office, id);
    if (isFinal(stored.status)) return toEgressView(stored);
    const { api } = await projectOf(office);
    const now = await api.findEgress(stored.livekitId, office.signal);
    if (now === null) return toEgressView(stored);
    return toEgressView(await kept(office, now, stored));
  }),

  startLiveKitEgress: errand("calls:write", async (
    office,
    { room: name, isAudioOnly, path, s3 }: EgressInput,
  ): Promise<EgressView> => {
    const { tenantId, by, act, signal } = office;
    const { api } = await projectOf(office);
    const room = await standingRoom(office, api, name);
    const started = await api.startEgress({
      room: room.name,
      isAudioOnly,
      // The store may be shared: each company's files are under its own id.
      path: `${tenantId}/${path ?? `${name}/{time}`}.${isAudioOnly ? "ogg" : "mp4"}`,
      s3: s3 && { ...s3, secret: new Secret(s3.secret) },
    }, signal);
    const stored = await act(async ({ sql, audit }) => {
      await storeEgress(sql, tenantId, started, { room: name, startedBy: by.id });
      const { livekitId } = started;
      const row = await updateEgressStarter(sql, tenantId, { livekitId, startedBy: by.id });
      if (row === null) throw new Error("A recording was stored, and is not there");
      await audit({
        action: "livekit.egress_started",
        subjectId: row.id,
        details: { isAudioOnly },
      });
      return row;
    });
    return toEgressView(stored);
  }),

  /** Fails with conflict when it has ended. */
  stopLiveKitEgress: errand("calls:write", async (office, id: string): Promise<EgressView> => {
    const stored = await found(office, id);
    if (isFinal(stored.status)) throw new AppError("conflict", "The recording has ended");
    const { api } = await projectOf(office);
    const stopped = await api.stopEgress(stored.livekitId, office.signal);
    await office.act(({ audit }) => audit({ action: "livekit.egress_stopped", subjectId: id }));
    return toEgressView(await kept(office, stopped, stored));
  }),
};

/** What is stored then: a webhook may have told of something newer. */
async function kept(
  { read, tenantId }: Office,
  egress: Parameters<typeof storeEgress>[2],
  { id, room, startedBy }: StoredEgress,
): Promise<StoredEgress> {
  const row = await read(async (sql) => {
    await storeEgress(sql, tenantId, egress, { room, startedBy });
    return await getEgress(sql, tenantId, id);
  });
  if (row === null) throw noEgress();
  return row;
}

async function found({ read, tenantId }: Office, id: string): Promise<StoredEgress> {
  if (uuidOf("egress", id) === null) throw noEgress();
  const row = await read((sql) => getEgress(sql, tenantId, id));
  if (row === null) throw noEgress();
  return row;
}

function noEgress(): AppError {
  return new AppError("not_found", "No such recording");
}

export function toEgressView(egress: StoredEgress): EgressView {
  const { createdAt, startedAt, endedAt } = egress;
  return {
    ...egress,
    files: [...egress.files],
    createdAt: createdAt.toISOString(),
    startedAt: startedAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null,
  };
}
