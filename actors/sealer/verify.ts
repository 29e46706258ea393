/** Verifying the audit log: every chain from its beginning, and what no chain can show of itself. */

import { countEntries, getCut, type Head, type Link, listLinks, sealOf } from "@/db/audit_chain.ts";
import { hasCutEntry } from "@/db/audit.ts";
import type { Database } from "@/db/client.ts";
import { tenantsAfter } from "@/db/lookups.ts";

const PAGE_MAX = 1_000;
const READ_MS = 30_000;
/** An entry is sealed within a second; after this, its missing seal is no delay but a fault. */
const UNSEALED_MS = 60_000;
/** A chain whose oldest entries are removed while it is read is read again, so often. */
const TRIES_MAX = 3;

/** The heads of chains, by tenant. */
export type Heads = Readonly<Record<string, Head>>;

/** The first thing that is wrong with a tenant's log. */
export interface Fault {
  readonly tenantId: string;
  /** Null: of an entry that has no seal. */
  readonly seq: number | null;
  /** `audit_…`; null where the entry is not there. */
  readonly entryId: string | null;
  readonly what: string;
}

export interface Verified {
  readonly entries: number;
  readonly tenants: number;
  readonly heads: Heads;
  /** The first fault of each tenant that has one. */
  readonly faults: readonly Fault[];
}

export interface VerifyOptions {
  /** Only this tenant; null: all. */
  readonly tenantId: string | null;
  /** Of an earlier run, kept where nobody at the database can change them: what shows a cut tail. */
  readonly anchors: Heads;
  readonly date: Date;
}

interface Walked {
  readonly entries: number;
  readonly head: Head | null;
  readonly fault: Fault | null;
}

/** Reads every chain in pages, as the application's role and tenant by tenant. */
export async function verifyAudit(database: Database, options: VerifyOptions): Promise<Verified> {
  const heads: Record<string, Head> = {};
  const faults: Fault[] = [];
  let entries = 0;
  let tenants = 0;
  for await (const tenantId of tenantsOf(database, options.tenantId)) {
    const walked = await walk(database, tenantId, options);
    tenants++;
    entries += walked.entries;
    if (walked.head !== null) heads[tenantId] = walked.head;
    if (walked.fault !== null) faults.push(walked.fault);
  }
  for (const tenantId of Object.keys(options.anchors)) {
    const isMissing = heads[tenantId] === undefined && !faults.some((f) => f.tenantId === tenantId);
    if (isMissing && (options.tenantId ?? tenantId) === tenantId) {
      faults.push({ tenantId, seq: null, entryId: null, what: "the whole chain is missing" });
    }
  }
  return { entries, tenants, heads, faults };
}

async function* tenantsOf(database: Database, only: string | null): AsyncGenerator<string> {
  if (only !== null) return yield only;
  let after: string | null = null;
  while (true) {
    const page = { after, limit: PAGE_MAX };
    const ids: string[] = await database.lookup("jobs", READ_MS, (sql) => tenantsAfter(sql, page));
    yield* ids;
    if (ids.length < PAGE_MAX) return;
    after = ids.at(-1) ?? null;
  }
}

async function walk(
  database: Database,
  tenantId: string,
  options: VerifyOptions,
  tries = 1,
): Promise<Walked> {
  const cut = await read(database, tenantId, (sql) => getCut(sql, tenantId));
  const walked = await walkFrom(database, tenantId, cut, options);
  if (walked.fault === null || tries === TRIES_MAX) return walked;
  const now = await read(database, tenantId, (sql) => getCut(sql, tenantId));
  return now?.seq === cut?.seq ? walked : await walk(database, tenantId, options, tries + 1);
}

async function walkFrom(
  database: Database,
  tenantId: string,
  cut: { readonly seq: number; readonly hash: Uint8Array } | null,
  { anchors, date }: VerifyOptions,
): Promise<Walked> {
  const anchor = anchors[tenantId] ?? null;
  let hash: Uint8Array = cut?.hash ?? new Uint8Array(32);
  let seq = cut?.seq ?? 0;
  let entries = 0;
  const broken = (what: string, at: number | null, entryId: string | null): Walked => ({
    entries,
    head: null,
    fault: { tenantId, seq: at, entryId, what },
  });
  const isAnchored = (): boolean => anchor?.seq !== seq || anchor.hash === hash.toHex();

  if (cut !== null) {
    const end = { seq, hash: hash.toHex() };
    if (!await read(database, tenantId, (sql) => hasCutEntry(sql, tenantId, end))) {
      return broken("entries before it were removed, and no entry says so", seq + 1, null);
    }
    if (!isAnchored()) return broken("is not what it was when its head was kept", seq, null);
  }
  while (true) {
    const page = { after: seq, limit: PAGE_MAX };
    const links = await read(database, tenantId, (sql) => listLinks(sql, tenantId, page));
    for (const link of links) {
      const what = faultOf(link, seq + 1, hash);
      if (what !== null) return broken(what, seq + 1, `audit_${link.entryId}`);
      seq++;
      entries++;
      hash = link.hash;
      if (!isAnchored()) {
        return broken("is not what it was when its head was kept", seq, `audit_${link.entryId}`);
      }
    }
    if (links.length < PAGE_MAX) break;
  }
  if (anchor !== null && anchor.seq > seq) {
    return broken(`entries up to ${anchor.seq} were there and are missing`, seq + 1, null);
  }
  const unsealed = await oldestUnsealed(database, tenantId, date);
  if (unsealed !== null) return broken("has no seal", null, unsealed);
  return { entries, head: seq === 0 ? null : { seq, hash: hash.toHex() }, fault: null };
}

/** What is wrong with a link that should be the one of this number, on top of this hash. */
function faultOf(link: Link, seq: number, before: Uint8Array): string | null {
  if (Number(link.seq) !== seq) return `is missing: the next one is ${link.seq}`;
  const { id } = link;
  if (id === undefined || id === null) return "its entry is missing";
  // With its id the row of the entry is there, and every member of it.
  const text = link as Required<Link>;
  const isSame = sealOf(before, text).toHex() === new Uint8Array(link.hash).toHex();
  return isSame ? null : "entry or seal was changed: its hash does not fit";
}

/** Entries are read by id: one that was planted or whose seal was deleted is in no chain. */
async function oldestUnsealed(
  database: Database,
  tenantId: string,
  date: Date,
): Promise<string | null> {
  const before = new Date(date.getTime() - UNSEALED_MS);
  let after: string | null = null;
  while (true) {
    const page = { after, limit: PAGE_MAX, before };
    const found: Awaited<ReturnType<typeof countEntries>> = await read(
      database,
      tenantId,
      (sql) => countEntries(sql, tenantId, page),
    );
    if (found.unsealed !== null) return found.unsealed;
    if (found.count < PAGE_MAX) return null;
    after = found.last;
  }
}

function read<T>(
  database: Database,
  tenantId: string,
  work: Parameters<typeof database.asTenant<T>>[3],
): Promise<T> {
  return database.asTenant("jobs", tenantId, READ_MS, work);
}
