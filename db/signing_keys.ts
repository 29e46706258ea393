/** Keys that sign access tokens: of the whole house, their private halves sealed. */

import type { SigningKey, SigningKeyStore } from "@/lib/access_tokens.ts";
import { messageOf } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Database, Sql } from "./client.ts";
import { asJson } from "./json.ts";
import type { Vault } from "./vault.ts";

const KEYS_MS = 2_000;

interface Row extends Omit<SigningKey, "privateJwk"> {
  readonly privateSealed: Uint8Array;
}

/** Those that verify at `now`, newest first. */
export async function listSigningKeys(sql: Sql, now: Date): Promise<Row[]> {
  return await sql<Row[]>`
    select id, public_jwk, private_sealed, created_at, signs_until, verifies_until
    from signing_key
    where verifies_until > ${now}
    order by created_at desc, id
    limit 100`;
}

export async function insertSigningKey(sql: Sql, key: Row): Promise<void> {
  await sql`
    insert into signing_key (id, public_jwk, private_sealed, created_at, signs_until, verifies_until)
    values (${key.id}, ${asJson(sql, key.publicJwk)}, ${key.privateSealed}, ${key.createdAt},
      ${key.signsUntil}, ${key.verifiesUntil})`;
}

/** A private half that does not open here, as after its key-encryption key was taken away, is null. */
export function signingKeyStore(options: {
  readonly database: Database;
  readonly vault: Vault;
  readonly log: Log;
}): SigningKeyStore {
  const { database, vault, log } = options;

  async function open({ privateSealed, ...key }: Row): Promise<SigningKey> {
    try {
      const privateJwk = await vault.openForHouse(nameOf(key.id), new Uint8Array(privateSealed));
      return { ...key, privateJwk };
    } catch (error) {
      log.warn("signing key does not open", { keyId: key.id, reason: messageOf(error) });
      return { ...key, privateJwk: null };
    }
  }

  return {
    async list(now) {
      const rows = await database.lookup("rest", KEYS_MS, (sql) => listSigningKeys(sql, now));
      return await Promise.all(rows.map(open));
    },
    async add({ privateJwk, ...key }) {
      const privateSealed = await vault.sealForHouse(nameOf(key.id), privateJwk);
      await database.lookup(
        "rest",
        KEYS_MS,
        (sql) => insertSigningKey(sql, { ...key, privateSealed }),
      );
    },
  };
}

function nameOf(id: string): string {
  return `signing_key/${id}`;
}
