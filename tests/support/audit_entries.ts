/** Audit entries for tests, sealed. */

import { sealPass } from "@/actors/sealer/pass.ts";
import { type AuditEntry, insertAuditEntry } from "@/db/audit.ts";
import type { Database } from "@/db/client.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { DEADLINE_MS } from "./rows.ts";

export function auditEntry(more: Partial<AuditEntry> = {}): AuditEntry {
  return {
    id: newId("audit"),
    at: new Date("2026-01-05T09:00:00.123Z"),
    actorKind: "user",
    actorId: "person_1",
    action: "agent.published",
    subjectId: "agent_1",
    details: { version: 3, name: 'Größe \u2028 "x"', tiny: 1e-7 },
    requestId: null,
    address: "192.0.2.1",
    ...more,
  };
}

/** In one transaction, in this order. */
export async function writeAudit(
  database: Database,
  tenantId: string,
  entries: readonly AuditEntry[],
): Promise<void> {
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    for (const entry of entries) await insertAuditEntry(sql, tenantId, entry);
  });
}

/** Seals all that waits, of all tenants. */
export async function sealAll(database: Database, clock = systemClock): Promise<void> {
  while ((await sealPass({ database, clock, log: silentLog })).hasMore);
}
