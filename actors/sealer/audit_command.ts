/** The command `audit verify [--tenant ID] [--heads FILE]`, for operators and their cron. */

import type { Database } from "@/db/client.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { z } from "zod";
import { type Heads, verifyAudit } from "./verify.ts";

const HELP = "audit verify [--tenant ID] [--heads FILE]";

/** What a file of heads holds: by tenant, the number and the hash of its last entry. */
const KeptHeads = z.record(
  z.string(),
  z.object({ seq: z.int().min(0), hash: z.string().regex(/^[0-9a-f]{64}$/) }),
);

export interface AuditCommand {
  readonly tenantId: string | null;
  /** Compared with, when it is there; written, when no fault was found. Keep it away from the database. */
  readonly headsFile: string | null;
}

/** Throws AppError("invalid") for anything but the two options. */
export function readAuditCommand(args: readonly string[]): AuditCommand {
  const [verb, ...rest] = args;
  if (verb !== "verify") throw new AppError("invalid", `No such command: ${HELP}`);
  const options = new Map<string, string>();
  for (let i = 0; i < rest.length; i += 2) {
    const [name = "", value] = rest.slice(i, i + 2);
    if (!["--tenant", "--heads"].includes(name) || value === undefined) {
      throw new AppError("invalid", `No such option "${name}": ${HELP}`);
    }
    options.set(name, value);
  }
  const tenantId = options.get("--tenant") ?? null;
  if (tenantId !== null && uuidOf("tenant", tenantId) === null) {
    throw new AppError("invalid", `Not an id of a tenant: "${tenantId}"`, { field: "--tenant" });
  }
  return { tenantId, headsFile: options.get("--heads") ?? null };
}

/** False when something is wrong: each fault is said on a line of its own. */
export async function runAuditCommand(
  database: Database,
  { tenantId, headsFile }: AuditCommand,
  { date, say }: { readonly date: Date; say(line: string): void },
): Promise<boolean> {
  const anchors = headsFile === null ? {} : await readHeads(headsFile);
  const { entries, tenants, heads, faults } = await verifyAudit(database, {
    tenantId,
    anchors,
    date,
  });
  for (const fault of faults) {
    const at = fault.seq === null ? "" : ` seq ${fault.seq}`;
    const id = fault.entryId === null ? "" : ` ${fault.entryId}`;
    say(`BROKEN ${fault.tenantId}${at}${id}: ${fault.what}`);
  }
  if (faults.length > 0) return false;
  if (headsFile !== null) {
    await Deno.writeTextFile(headsFile, JSON.stringify({ ...anchors, ...heads }, null, 1) + "\n");
  }
  say(`${entries} entries of ${tenants} tenants verified`);
  return true;
}

async function readHeads(file: string): Promise<Heads> {
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {}; // the first run writes it
    throw error;
  }
  const parsed = KeptHeads.safeParse(JSON.parse(text));
  if (!parsed.success) throw new AppError("invalid", `Not a file of heads: "${file}"`);
  return parsed.data;
}
