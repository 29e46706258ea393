/** Errands of an export: it is said in the audit log, then read page by page, and recordings segment by segment. */

import {
  EXPORT_FILES,
  type ExportCursor,
  type ExportKind,
  type ExportPage,
  readExport,
} from "@/db/exports.ts";
import { listRecordings, type Recording } from "@/db/recordings.ts";
import { recordingPrefix, segmentKey } from "@/lib/recording/segments.ts";
import { errand } from "./errand.ts";

/** Of a page. */
const RECORDINGS = 100;

export const exportErrands = {
  /** Returns the kinds there are, each a file of the export. */
  beginExport: errand("data:export", async ({ act, tenantId }, _: void): Promise<ExportKind[]> => {
    await act(({ audit }) => audit({ action: "tenant.exported", subjectId: tenantId }));
    return Object.keys(EXPORT_FILES) as ExportKind[]; // its very keys
  }),

  exportPage: errand(
    "data:export",
    (
      { read, tenantId },
      { kind, after }: { readonly kind: ExportKind; readonly after: ExportCursor | null },
    ): Promise<ExportPage> => read((sql) => readExport(sql, tenantId, kind, after)),
  ),

  /** Recordings whose sound goes along, in their order, from after `after`; none: that was all. */
  exportRecordings: errand(
    "data:export",
    ({ read, tenantId }, { after }: { readonly after: string | null }): Promise<Recording[]> =>
      read((sql) => listRecordings(sql, tenantId, { after, limit: RECORDINGS })),
  ),

  /** A segment of one of them; null: it is lost. */
  exportSegment: errand(
    "data:export",
    async (
      { stores, tenantId, signal },
      { recordingId, store, index }: {
        readonly recordingId: string;
        readonly store: Recording["store"];
        readonly index: number;
      },
    ): Promise<Uint8Array<ArrayBuffer> | null> => {
      const key = segmentKey(recordingPrefix(tenantId, recordingId), index);
      return await stores.of(store).get(key, signal);
    },
  ),
};
