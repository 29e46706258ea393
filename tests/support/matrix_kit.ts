/** A server with tenants whose every row is there, and a credential of every kind for each of them. */

import type { Database, Sql } from "@/db/client.ts";
import { signingKeyStore } from "@/db/signing_keys.ts";
import { newVault } from "@/db/vault.ts";
import { type Role, SCOPES } from "@/lib/access.ts";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { keyHash, newKey, readKey } from "@/lib/api_keys.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { newWebhookSecret } from "@/lib/webhooks/sign.ts";
import { startLiveKit } from "./livekit.ts";
import { LIVEKIT_NAMES } from "./matrix_rows.ts";
import { DEADLINE_MS } from "./rows.ts";
import { serverKit } from "./server.ts";
import { newWorld, ROWS, uuid, type World } from "./world.ts";

export interface Answer {
  readonly status: number;
  /** Without the date, and without what tells of the asker's own limits. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string | null;
  /** `X-Tenant-ID` */
  readonly tenantId?: string;
}

export interface Citizen extends World {
  /** Access tokens of members, by their role. */
  readonly tokens: Readonly<Record<Role, string>>;
  /** A key with every scope, and one with none. */
  readonly key: string;
  readonly emptyKey: string;
}

export interface MatrixKit extends AsyncDisposable {
  send(request: Request): Promise<Answer>;
  newCitizen(options?: { readonly status?: string }): Promise<Citizen>;
  /** As the owner of the database, whom no policy binds. */
  asOwner(work: (sql: Sql) => Promise<unknown>): Promise<unknown>;
  /** All that the database holds of a tenant, in one text. */
  snapshot(world: World): Promise<string>;
}

/** The sender's own: the same request has the same id, so that two answers can be compared byte by byte. */
const REQUEST_ID = "matrix";
/** What dials is asked more often than the house lets: its limits are for other tests. */
const PLENTY = { capacity: 1_000, perSecond: 100 };
const UNSTABLE = ["date", "ratelimit", "ratelimit-policy", "keep-alive", "connection"];

export async function matrixKit(database: Database): Promise<MatrixKit> {
  const pepper = new Secret("a pepper of the tests, 32 characters");
  const kek = { name: "test", key: new Secret(new Uint8Array(32).fill(7).toBase64()) };
  const livekit = startLiveKit();
  const kit = await serverKit({
    database,
    env: {
      KEY_ENCRYPTION_KEYS: `${kek.name}:${kek.key.reveal()}`,
      TOKEN_PEPPER: pepper.reveal(),
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      OPENAI_BASE_URL: "http://127.0.0.1:1/v1", // nobody listens there
    },
  });
  const vault = newVault(database, [kek]);
  const tokens = newAccessTokens({
    store: signingKeyStore({ database, vault, log: silentLog }),
    issuer: kit.server.publicUrl,
    clock: systemClock,
    log: silentLog,
  });

  async function member(world: World, role: Role): Promise<string> {
    const ids = role === "owner" ? world.ids : {
      ...world.ids,
      person: newId("person"),
      member: newId("member"),
      session: newId("session"),
    };
    if (role !== "owner") {
      await database.asOwner(DEADLINE_MS, async (sql) => {
        for (const table of ["person", "member", "session"]) {
          const row = { ...ROWS[table]?.({ ...world, ids }, sql) };
          await sql`insert into ${sql(table)} ${sql(table === "member" ? { ...row, role } : row)}`;
        }
      });
    }
    return (await tokens.issue({ personId: ids.person, sessionId: ids.session })).token;
  }

  async function key(world: World, scopes: readonly string[]): Promise<string> {
    const made = newKey("live");
    await database.asOwner(DEADLINE_MS, async (sql) => {
      await sql`
        insert into api_key (tenant_id, id, name, public_id, hash, scopes, created_by)
        values (${uuid(world.ids.tenant)}, ${uuid(newId("key"))}, 'test',
          ${readKey(made)?.publicId ?? null},
          ${keyHash(pepper, made)}, ${`{${
        scopes.map((scope) => `"${scope}"`).join(",")
      }}`}, 'test')`;
    });
    return made;
  }

  /** Puts what opens in place of the bytes that only fill their columns. */
  async function sealSecrets({ ids }: World): Promise<void> {
    await database.asOwner(
      DEADLINE_MS,
      (sql) => sql`delete from tenant_key where tenant_id = ${uuid(ids.tenant)}`,
    );
    const at = { tenantId: ids.tenant };
    const credential = { ...at, table: "credential", column: "sealed", row: ids.credential };
    const values = await vault.seal(credential, JSON.stringify({ apiKey: "sk-a-key-of-tests" }));
    const endpoint = {
      ...at,
      table: "webhook_endpoint",
      column: "secret_sealed",
      row: ids.endpoint,
    };
    const secret = await vault.seal(endpoint, newWebhookSecret());
    await database.asOwner(DEADLINE_MS, async (sql) => {
      const tenant = uuid(ids.tenant);
      await sql`update credential set sealed = ${values} where tenant_id = ${tenant}`;
      await sql`update webhook_endpoint set secret_sealed = ${secret} where tenant_id = ${tenant}`;
    });
  }

  /** What every world has at LiveKit, as it is named on the wire. */
  function openRooms({ ids, number }: World): void {
    const { room, identity, trunk, rule } = LIVEKIT_NAMES;
    const name = `${uuid(ids.tenant)}_${room(ids)}`;
    const metadata = JSON.stringify({ tenantId: ids.tenant });
    livekit.rooms.set(name, { sid: `RM_${uuid(ids.agent)}`, name, creationTime: "1780000000" });
    livekit.participants.set(`${name}\n${identity(ids)}`, { identity: identity(ids), kind: "SIP" });
    const sipTrunkId = trunk(ids);
    livekit.trunks.set(sipTrunkId, { sipTrunkId, metadata, numbers: [number], inbound: false });
    const sipDispatchRuleId = rule(ids);
    const target = { dispatchRuleIndividual: { roomPrefix: `${uuid(ids.tenant)}_call` } };
    livekit.rules.set(sipDispatchRuleId, { sipDispatchRuleId, metadata, rule: target });
    const egressId = `EG_${uuid(ids.egress)}`;
    livekit.egresses.set(egressId, { egressId, roomName: name, status: "EGRESS_ACTIVE" });
  }

  return {
    async send({ method, path, body, token = null, tenantId }) {
      const headers = new Headers({ "X-Request-Id": REQUEST_ID });
      if (token !== null) headers.set("Authorization", `Bearer ${token}`);
      if (tenantId !== undefined) headers.set("X-Tenant-ID", tenantId);
      if (body !== undefined) headers.set("Content-Type", "application/json");
      const answer = await fetch(`http://127.0.0.1:${kit.server.port}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const told = [...answer.headers].filter(([name]) => !UNSTABLE.includes(name));
      return {
        status: answer.status,
        headers: Object.fromEntries(told),
        body: await answer.text(),
      };
    },
    async newCitizen({ status = "active" } = {}) {
      const world = await newWorld(database);
      await sealSecrets(world);
      openRooms(world);
      const made: Partial<Record<Role, string>> = {};
      for (const role of ["owner", "admin", "builder", "agent", "viewer"] as const) {
        made[role] = await member(world, role);
      }
      const citizen = {
        ...world,
        tokens: made as Record<Role, string>, // of every role
        key: await key(world, SCOPES),
        emptyKey: await key(world, []),
      };
      await database.asOwner(
        DEADLINE_MS,
        (sql) =>
          sql`
            update tenant set status = ${status}, limits = ${sql.json({ rates: { dial: PLENTY } })}
            where id = ${uuid(world.ids.tenant)}`,
      );
      return citizen;
    },
    asOwner: (work) => database.asOwner(DEADLINE_MS, work),
    async snapshot({ ids }) {
      return await database.asOwner(DEADLINE_MS, async (sql) => {
        const parts: string[] = [];
        for (const table of Object.keys(ROWS)) {
          const key = table === "tenant" ? "id" : "tenant_id";
          const columns = await sql`
            select 1 from pg_attribute where attrelid = ${table}::regclass and attname = ${key}`;
          if (columns.length === 0) continue; // a person's: its policies are held by the database's own tests
          const rows = await sql`
            select t::text as text from ${sql(table)} t where ${sql(key)} = ${uuid(ids.tenant)}
            order by 1`;
          parts.push(table, ...rows.map(({ text }) => String(text)));
        }
        return parts.join("\n");
      });
    },
    async [Symbol.asyncDispose]() {
      await kit.close();
      await livekit.close();
    },
  };
}
