/** Errands on the audit log: reading it. */

import { type AuditFilter, listAuditEntries, type ReadAuditEntry } from "@/db/audit.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { errand } from "./errand.ts";

export interface AuditView {
  readonly id: string;
  readonly at: string;
  readonly actorKind: "user" | "key" | "operator" | "system";
  readonly actorId: string;
  readonly action: string;
  readonly subjectId: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string | null;
  readonly address: string | null;
  /** Both null for the second in which the entry waits for its seal. */
  readonly seq: number | null;
  readonly hash: string | null;
}

export interface AuditQuery extends AuditFilter {
  readonly limit: number;
  /** The `next` of the page before. */
  readonly cursor?: string | undefined;
}

export const auditErrands = {
  /** Newest first, operators' acts for the tenant among them. */
  auditEntries: errand(
    "audit:read",
    async (
      { read, tenantId },
      { limit, cursor, ...filter }: AuditQuery,
    ): Promise<{ items: AuditView[]; next: string | null }> => {
      const page = cursor === undefined ? { limit } : { limit, before: readCursor(cursor) };
      const entries = await read((sql) => listAuditEntries(sql, tenantId, filter, page));
      const last = entries.length < limit ? undefined : entries.at(-1);
      return {
        items: entries.map(toView),
        next: last === undefined ? null : `${last.atText}~${last.id}`,
      };
    },
  ),
};

const CURSOR = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)~(audit_.*)$/;

function readCursor(cursor: string): { at: string; id: string } {
  const [, at = "", id = ""] = CURSOR.exec(cursor) ?? [];
  if (uuidOf("audit", id) === null || Number.isNaN(Date.parse(at))) {
    throw new AppError("invalid", "Not a cursor that was given out", { field: "cursor" });
  }
  return { at, id };
}

function toView({ atText: _, at, ...entry }: ReadAuditEntry): AuditView {
  return { ...entry, at: at.toISOString() };
}
