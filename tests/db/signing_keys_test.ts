/** Signing keys in the database: shared by all machines, and readable by none without the house's key. */

import assert from "node:assert/strict";
import { signingKeyStore } from "@/db/signing_keys.ts";
import { newVault } from "@/db/vault.ts";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const HOLDER = { personId: newId("person"), sessionId: newId("session") };
const kek = (name: string) => ({
  name,
  key: new Secret(crypto.getRandomValues(new Uint8Array(32)).toBase64()),
});

Deno.test("a token of one machine verifies at another, and its key lies sealed", async () => {
  await using database = await open();
  const clock = manualClock();
  const keys = [kek("one")];
  const machine = (given: typeof keys) => {
    const store = signingKeyStore({ database, vault: newVault(database, given), log: silentLog });
    const issuer = "https://voice.example.com";
    return { store, tokens: newAccessTokens({ store, issuer, clock, log: silentLog }) };
  };
  const [one, two] = [machine(keys), machine(keys)];
  const { token } = await one.tokens.issue(HOLDER);
  assert.equal((await two.tokens.verify(token)).sessionId, HOLDER.sessionId);
  const [{ privateJwk } = { privateJwk: null }] = await two.store.list(clock.date());
  const { d } = JSON.parse(privateJwk ?? "{}");
  assert.equal(typeof d, "string");
  const stored = await database.asOwner(
    DEADLINE_MS,
    (sql) => sql`select id, public_jwk::text, encode(private_sealed, 'escape') from signing_key`,
  );
  assert(!JSON.stringify(stored).includes(d));

  const other = machine([kek("two")]); // the key-encryption key before was taken away
  await other.tokens.verify(token);
  const next = await other.tokens.issue(HOLDER);
  await clock.advance(1_000);
  await one.tokens.verify(next.token);
});
