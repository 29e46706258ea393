/** What a tenant may take along: its tables, each with the columns that leave, and how its pages are read. */

import { type IdPrefix, uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

/** A file of the export: a row of its table is one line, a JSON object with the columns in camelCase. */
export interface ExportFile {
  readonly table: string;
  readonly columns: readonly string[];
  /** Columns that are UUIDs, and the prefixes they are shown with. */
  readonly ids: Readonly<Record<string, IdPrefix>>;
  /** After the tenant, what the rows are ordered by: the rest of the primary key. */
  readonly key: readonly string[];
  /** Rows of a page: few where one may be large. */
  readonly rows: number;
}

const ROWS = 500;
/** An agent's graph is up to a body of a request, 1 MiB. */
const LARGE_ROWS = 10;

const file = (
  table: string,
  columns: string,
  ids: ExportFile["ids"],
  more: Partial<ExportFile> = {},
): ExportFile => ({ table, columns: columns.split(" "), ids, key: ["id"], rows: ROWS, ...more });

/** By the name of their file. No column that holds a secret, sealed or hashed, is in any of them. */
export const EXPORT_FILES = {
  tenant: file("tenant", "id name status settings limits models created_at", { id: "tenant" }),
  members: file("member", "id person_id role created_at", { id: "member", person_id: "person" }),
  invitations: file(
    "invitation",
    "id email role invited_by created_at expires_at accepted_at revoked_at",
    { id: "invitation" },
  ),
  api_keys: file(
    "api_key",
    "id name public_id scopes created_by created_at expires_at last_used_at revoked_at",
    { id: "key" },
  ),
  agents: file(
    "agent",
    "id name published_version draft revision is_talk_public created_at updated_at archived_at",
    { id: "agent" },
    { rows: LARGE_ROWS },
  ),
  agent_versions: file(
    "agent_version",
    "id agent_id number graph created_at",
    { id: "version", agent_id: "agent" },
    { rows: LARGE_ROWS },
  ),
  phone_numbers: file(
    "phone_number",
    "id number agent_id leg when_full created_at",
    { id: "number", agent_id: "agent" },
  ),
  clips: file("clip", "id name text store bytes created_at", { id: "clip" }),
  calls: file(
    "call",
    "id agent_id agent_version direction from_number to_number carrier carrier_call_id placed_by " +
      "status outcome reason variables usage analysis started_at answered_at ended_at account leg",
    { id: "call", agent_id: "agent" },
  ),
  call_events: file(
    "conversation_event",
    "conversation_id seq type payload at",
    { conversation_id: "call" },
    { key: ["conversation_id", "seq"] },
  ),
  recordings: file(
    "recording",
    "id call_id status reason store format consent segments bytes duration_ms started_at ended_at",
    { id: "recording", call_id: "call" },
  ),
  livekit_egresses: file(
    "livekit_egress",
    "id livekit_id room status error files started_by created_at started_at ended_at",
    { id: "egress" },
  ),
  credentials: file(
    "credential",
    "id provider name masked version status checked_at created_at updated_at",
    { id: "credential" },
  ),
  webhooks: file(
    "webhook_endpoint",
    "id url description events mode status disabled_reason failing_since version created_at",
    { id: "endpoint" },
  ),
  events: file("outbox", "id type payload at dispatched_at", { id: "event" }),
  deliveries: file(
    "delivery",
    "id endpoint_id event_id status attempt next_at created_at finished_at",
    { id: "delivery", endpoint_id: "endpoint", event_id: "event" },
  ),
  delivery_attempts: file(
    "delivery_attempt",
    "delivery_id attempt at duration_ms request_headers status answer error",
    { delivery_id: "delivery" },
    { key: ["delivery_id", "attempt"] },
  ),
  usage: file("quota_counter", "name period used", {}, { key: ["name", "period"] }),
  operator_visits: file(
    "operator_visit",
    "id operator role reason created_at expires_at ended_at",
    {},
  ),
  audit: file(
    "audit_entry",
    "id at actor_kind actor_id action subject_id details request_id address xid",
    { id: "audit" },
  ),
  audit_seals: file(
    "audit_seal",
    "seq entry_id hash sealed_at",
    { entry_id: "audit" },
    { key: ["seq"] },
  ),
  erasures: file("erasure_receipt", "id kind counts erased_by at", { id: "receipt" }),
} as const satisfies Record<string, ExportFile>;
export type ExportKind = keyof typeof EXPORT_FILES;

/** Where a page ended: the key of its last row, as text. */
export type ExportCursor = readonly string[];

export interface ExportPage {
  /** JSON, one a row. */
  readonly lines: readonly string[];
  /** Null: there is no more. */
  readonly next: ExportCursor | null;
}

/** A page of a file, by the table's key; the first one after null. */
export async function readExport(
  sql: Sql,
  tenantId: string,
  kind: ExportKind,
  after: ExportCursor | null,
): Promise<ExportPage> {
  const { table, columns, ids, key, rows: limit }: ExportFile = EXPORT_FILES[kind];
  const owner = table === "tenant" ? "id" : "tenant_id";
  // Names stand in the list above: nothing of a request gets here.
  const shown = columns.map((name) => {
    const prefix = ids[name];
    const value = prefix === undefined
      ? name === "hash" ? `encode(${name}, 'hex')` : name
      : `'${prefix}_' || ${name}`;
    return `'${camel(name)}', ${value}`;
  }).join(", ");
  const keys = key.join(", ");
  const position = after?.map((_, i) => `$${i + 2}::text::${typeOf(key[i] ?? "")}`).join(", ");
  const found = await sql.unsafe<{ line: string; at: string[] }[]>(
    `select json_build_object(${shown})::text as line,
      json_build_array(${key.map((name) => `${name}::text`).join(", ")}) as at
    from ${table}
    where ${owner} = $1::text::uuid ${position ? `and (${keys}) > (${position})` : ""}
    order by ${keys} limit ${limit}`,
    [uuidOf("tenant", tenantId), ...after ?? []],
  );
  const next = found.length < limit ? null : found.at(-1)?.at ?? null;
  return { lines: found.map(({ line }) => line), next };
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Of the columns that keys are made of. */
function typeOf(column: string): "bigint" | "timestamptz" | "text" | "uuid" {
  if (column === "seq" || column === "attempt") return "bigint";
  if (column === "period") return "timestamptz";
  return column === "name" ? "text" : "uuid";
}
