/** A tenant with one row in every table that tenants and people have, written past the application. */

import type postgres from "postgres";
import type { Database, Sql } from "@/db/client.ts";
import { type IdPrefix, newId, uuidOf, uuidv7 } from "@/lib/ids.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { DEADLINE_MS } from "./rows.ts";

/** Prefixed ids of what is in it. */
export type WorldIds = Readonly<Record<Exclude<IdPrefix, "request">, string>>;

export interface World {
  readonly ids: WorldIds;
  /** E.164, of its number and of its call's caller. */
  readonly number: string;
  readonly caller: string;
  /** A sentence that stands in its rows and in no other world's. */
  readonly canary: string;
}

type Values = Readonly<Record<string, unknown>>;

/**
 * The columns of one row a table, in an order in which they can be inserted. A table that is missing
 * here fails the tests of isolation.
 */
export const ROWS: Readonly<Record<string, (world: World, sql: Sql) => Values>> = {
  tenant: ({ ids, canary }) => ({ id: uuid(ids.tenant), name: canary }),
  person: ({ ids }) => ({
    id: uuid(ids.person),
    email: `${uuid(ids.person)}@example.com`,
    name: "Ada",
    primary_tenant_id: uuid(ids.tenant),
  }),
  person_secret: ({ ids }) => ({ person_id: uuid(ids.person), password_hash: HASH }),
  person_preference: ({ ids }, sql) => ({
    person_id: uuid(ids.person),
    preferences: json(sql, { language: "de" }),
  }),
  member: ({ ids }) => ({ ...own(ids, "member"), person_id: uuid(ids.person), role: "owner" }),
  session: ({ ids }) => ({
    person_id: uuid(ids.person),
    id: uuid(ids.session),
    user_agent: "test",
    address: "127.0.0.1",
    expires_at: FAR,
  }),
  refresh_token: ({ ids }) => ({
    person_id: uuid(ids.person),
    session_id: uuid(ids.session),
    hash: bytes(ids.session),
    salt: bytes(ids.session),
  }),
  password_reset: ({ ids }) => ({
    person_id: uuid(ids.person),
    hash: bytes(ids.person),
    expires_at: FAR,
  }),
  invitation: ({ ids, canary }) => ({
    ...own(ids, "invitation"),
    email: `${canary}@example.com`.toLowerCase(),
    role: "viewer",
    token_hash: bytes(ids.invitation),
    invited_by: ids.person,
    expires_at: FAR,
  }),
  api_key: ({ ids, canary }) => ({
    ...own(ids, "key"),
    name: canary,
    public_id: uuid(ids.key),
    hash: bytes(ids.key),
    scopes: "{}",
    created_by: ids.person,
  }),
  operator_visit: ({ ids, canary }) => ({
    ...own(ids, "visit"),
    operator: "root",
    role: "viewer",
    reason: canary,
    public_id: uuid(ids.visit),
    hash: bytes(ids.visit),
    expires_at: FAR,
  }),
  agent: ({ ids, canary }, sql) => ({
    ...own(ids, "agent"),
    name: canary,
    draft: json(sql, demoAgent),
  }),
  agent_version: ({ ids }, sql) => ({
    ...own(ids, "version"),
    agent_id: uuid(ids.agent),
    number: 1,
    graph: json(sql, demoAgent),
  }),
  phone_number: ({ ids, number }) => ({
    ...own(ids, "number"),
    number,
    agent_id: uuid(ids.agent),
    leg: "stream",
  }),
  clip: ({ ids, canary }) => ({
    ...own(ids, "clip"),
    name: canary,
    text: canary,
    store: "memory",
    bytes: 800,
  }),
  talk_ticket: ({ ids, canary }) => ({
    tenant_id: uuid(ids.tenant),
    hash: bytes(ids.agent),
    agent_id: uuid(ids.agent),
    origin: `https://${canary}.example.com`,
    expires_at: FAR,
  }),
  call: ({ ids, number, caller, canary }, sql) => ({
    ...own(ids, "call"),
    agent_id: uuid(ids.agent),
    agent_version: 1,
    direction: "inbound",
    from_number: caller,
    to_number: number,
    carrier: "twilio",
    carrier_call_id: `CA${uuid(ids.call).replaceAll("-", "")}`,
    status: "ended",
    outcome: "answered",
    variables: json(sql, { canary }),
    started_at: PAST,
    answered_at: PAST,
    ended_at: PAST,
  }),
  conversation_event: ({ ids, canary }, sql) => ({
    tenant_id: uuid(ids.tenant),
    conversation_id: uuid(ids.call),
    seq: 1,
    type: "caller_said",
    payload: json(sql, { turn: 1, text: canary }),
    at: PAST,
  }),
  recording: ({ ids }) => ({
    ...own(ids, "recording"),
    call_id: uuid(ids.call),
    status: "complete",
    store: "memory",
    format: "pcm",
    consent: "disclose",
    segments: 0,
    started_at: PAST,
    ended_at: PAST,
  }),
  livekit_egress: ({ ids, canary }, sql) => ({
    ...own(ids, "egress"),
    livekit_id: `EG_${uuid(ids.egress)}`,
    room: canary,
    status: "active",
    stage: 2,
    files: json(sql, []),
    updated_ns: 1,
  }),
  livekit_event: ({ ids }) => ({ tenant_id: uuid(ids.tenant), id: ids.egress, at: PAST }),
  tenant_key: ({ ids }) => ({
    tenant_id: uuid(ids.tenant),
    version: 100, // beside those that the vault makes
    wrapped: bytes(ids.tenant),
    kek: "none",
  }),
  credential: ({ ids, canary }, sql) => ({
    ...own(ids, "credential"),
    provider: "openai",
    name: canary,
    sealed: bytes(ids.credential),
    masked: json(sql, { apiKey: "sk-…1234" }),
    status: "unchecked",
  }),
  audit_entry: ({ ids, canary }, sql) => ({
    ...own(ids, "audit"),
    at: PAST,
    actor_kind: "user",
    actor_id: ids.person,
    action: "agent.published",
    subject_id: ids.agent,
    details: json(sql, { canary }),
  }),
  audit_seal: ({ ids }) => ({
    tenant_id: uuid(ids.tenant),
    seq: 1,
    entry_id: uuid(ids.audit),
    hash: bytes(ids.audit),
    sealed_at: PAST,
  }),
  audit_cut: ({ ids }) => ({ tenant_id: uuid(ids.tenant), seq: 1, hash: bytes(ids.audit) }),
  erasure_receipt: ({ ids }, sql) => ({
    ...own(ids, "receipt"),
    kind: "call",
    subject_hash: bytes(ids.receipt),
    counts: json(sql, { call: 1 }),
    erased_by: ids.person,
  }),
  job: ({ ids, canary }, sql) => ({
    ...own(ids, "job"),
    kind: "none",
    key: canary,
    payload: json(sql, { canary }),
    status: "dead",
    run_at: PAST,
    finished_at: PAST,
  }),
  outbox: ({ ids, canary }, sql) => ({
    ...own(ids, "event"),
    type: "webhook.test",
    payload: json(sql, { canary }),
    at: PAST,
    dispatched_at: PAST,
  }),
  webhook_endpoint: ({ ids, canary }) => ({
    ...own(ids, "endpoint"),
    url: "https://192.0.2.1/", // an address that leads nowhere (RFC 5737), and no name to be looked up
    description: canary,
    events: "{}",
    mode: "standard",
    secret_sealed: bytes(ids.endpoint),
  }),
  delivery: ({ ids }) => ({
    ...own(ids, "delivery"),
    endpoint_id: uuid(ids.endpoint),
    event_id: uuid(ids.event),
    status: "failed",
    seq: 1,
    attempt: 1,
    finished_at: PAST,
  }),
  delivery_attempt: ({ ids, canary }, sql) => ({
    tenant_id: uuid(ids.tenant),
    delivery_id: uuid(ids.delivery),
    attempt: 1,
    at: PAST,
    duration_ms: 10,
    request_headers: json(sql, {}),
    status: 500,
    answer: canary,
  }),
  idempotency_key: ({ ids }) => ({
    tenant_id: uuid(ids.tenant),
    principal: ids.person,
    errand: "none",
    key: uuid(ids.tenant),
    request_hash: bytes(ids.tenant),
    lease: uuid(ids.key),
    lease_until: PAST,
  }),
  quota_counter: ({ ids }) => ({
    tenant_id: uuid(ids.tenant),
    name: "none",
    period: "2026-01-01",
    used: 1,
  }),
};

/** Of a password that nobody tries. */
const HASH =
  "$argon2id$v=19$m=19456,t=2,p=1$WtBdE91rGyVGlPwXZoVhIQ$8IMcxU06AzWX7ZwUCCIILYdAtNPmx3cOKdfgF0A8vHA";
const PAST = new Date("2026-01-05T09:00:00Z");
const FAR = new Date("2099-01-01T00:00:00Z");

/** Inserts one. As the owner of the test database, a superuser, whom no policy binds. */
export async function newWorld(database: Database): Promise<World> {
  const world = worldOf(uuidv7());
  await database.asOwner(DEADLINE_MS, async (sql) => {
    for (const [table, row] of Object.entries(ROWS)) {
      await sql`insert into ${sql(table)} ${sql(row(world, sql))}`;
    }
    await sql`
      update agent set published_version = 1
      where tenant_id = ${uuid(world.ids.tenant)} and id = ${uuid(world.ids.agent)}`;
  });
  return world;
}

function worldOf(seed: string): World {
  const digits = BigInt(`0x${seed.replaceAll("-", "")}`).toString().slice(-9);
  const prefixes = [
    ...["tenant", "person", "member", "session", "invitation", "key", "agent", "version"] as const,
    ...["number", "call", "event", "credential", "audit", "receipt", "job", "endpoint"] as const,
    ...["delivery", "visit", "egress", "recording", "clip"] as const,
  ];
  const ids = Object.fromEntries(prefixes.map((prefix) => [prefix, newId(prefix)]));
  return {
    ids: ids as WorldIds, // made of the very prefixes
    number: `+155${digits}`,
    caller: `+499${digits}`,
    canary: `canary-${seed}`,
  };
}

function own(ids: WorldIds, prefix: keyof WorldIds): Values {
  return { tenant_id: uuid(ids.tenant), id: uuid(ids[prefix]) };
}

/** The UUID of a prefixed id. */
export function uuid(id: string): string {
  const prefix = id.slice(0, id.indexOf("_"));
  const found = uuidOf(prefix as IdPrefix, id); // null for any other
  if (found === null) throw new Error(`Not an id: "${id}"`);
  return found;
}

/** 32 bytes that no other id has. */
function bytes(id: string): Uint8Array {
  return new TextEncoder().encode(uuid(id).replaceAll("-", ""));
}

function json(sql: Sql, value: unknown): postgres.Parameter {
  return sql.json(value as postgres.JSONValue); // what is not JSON fails to be stringified
}
