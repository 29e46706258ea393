/** Errands of an export: it is said in the audit log, then read page by page. */

import {
  EXPORT_FILES,
  type ExportCursor,
  type ExportKind,
  type ExportPage,
  readExport,
} from "@/db/exports.ts";
import { errand } from "./errand.ts";

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
};
