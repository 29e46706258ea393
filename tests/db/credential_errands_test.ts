/** Credentials: sealed at rest, masked when read, tried before they are kept. */

import assert from "node:assert/strict";
import { CREDENTIALS_MAX } from "@/actors/desk/credentials.ts";
import type { Database } from "@/db/client.ts";
import { credentialPlace, getCredential } from "@/db/credentials.ts";
import { getTenant } from "@/db/tenants.ts";
import { newVault } from "@/db/vault.ts";
import type { CredentialValues } from "@/lib/credentials.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import type { CredentialVerdict } from "@/lib/providers/credential_check.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const KEYS = [{
  name: "k1",
  key: new Secret(crypto.getRandomValues(new Uint8Array(32)).toBase64()),
}];
const KEY = "sk-proj-0123456789abcdef0123456789f3a9";
const OTHER_KEY = "sk-proj-fedcba98765432100123456789beef";
const SID = `AC${"0123456789abcdef".repeat(2)}`;
const TOKEN = "0123456789abcdef0123456789ab7777";

async function setUp(database: Database) {
  const tenantId = await newTenant(database);
  const vault = newVault(database, KEYS);
  const asked: CredentialValues[] = [];
  const provider: { verdict: CredentialVerdict } = { verdict: { type: "valid" } };
  let changes = 0;
  const { run } = errandRunner(database, tenantId, {
    services: {
      vault,
      acted: () => {},
      configChanged: () => void changes++,
      askProvider(_, values) {
        asked.push(values);
        return Promise.resolve(provider.verdict);
      },
    },
  });
  const bound = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  return {
    tenantId,
    run,
    asked,
    provider,
    changes: () => changes,
    version: async () => (await bound((sql) => getTenant(sql, tenantId)))?.configVersion,
    async storedOf(id: string): Promise<unknown> {
      const row = await bound((sql) => getCredential(sql, tenantId, id));
      assert.ok(row);
      return JSON.parse(await vault.open(credentialPlace(tenantId, id), row.sealed));
    },
    audited: () =>
      bound((sql) =>
        sql<{ action: string; details: Record<string, unknown> }[]>`
          select action, details from audit_entry
          where tenant_id = ${uuidOf("tenant", tenantId)} order by id limit 100`
      ),
  };
}

Deno.test("a credential is tried, kept sealed, and shown masked for ever after", async () => {
  await using database = await open();
  const { run, asked, storedOf, audited, version, changes } = await setUp(database);
  const made = await run("createCredential", { provider: "openai", values: { apiKey: KEY } });
  assert.deepEqual(asked, [{ apiKey: KEY }]);
  assert.deepEqual(
    [made.name, made.values, made.status, made.version],
    ["default", { apiKey: "sk-…f3a9" }, "valid", 1],
  );
  assert.ok(made.checkedAt);
  assert.deepEqual(await storedOf(made.id), { apiKey: KEY });
  const read = await run("credential", made.id);
  assert.deepEqual({ ...read, createdAt: "", updatedAt: "" }, {
    ...made,
    createdAt: "",
    updatedAt: "",
  });
  assert.deepEqual((await run("credentials", { limit: 10 })).items, [read]);
  assert.deepEqual([changes(), await version()], [1, 2]);
  const log = await audited();
  assert.deepEqual(log.map(({ action }) => action), ["credential.created"]);
  assert.ok(!JSON.stringify([log, read]).includes(KEY.slice(8, 30)));
});

Deno.test("the secret stands in no column of any row as text", async () => {
  await using database = await open();
  const { tenantId, run } = await setUp(database);
  await run("createCredential", { provider: "openai", values: { apiKey: KEY } });
  const rows = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      sql<{ row: string }[]>`
      select credential::text as row from credential union all
      select audit_entry::text from audit_entry limit 100`,
  );
  assert.ok(rows.length >= 2);
  const hex = new TextEncoder().encode(KEY.slice(8, 30)).toHex();
  for (const { row } of rows) assert.ok(!row.includes(KEY.slice(8, 30)) && !row.includes(hex));
});

Deno.test("what the provider refuses is not kept, and the field is named", async () => {
  await using database = await open();
  const { run, provider, version, audited } = await setUp(database);
  provider.verdict = { type: "refused", field: "authToken" };
  const values = { accountSid: SID, authToken: TOKEN };
  await assert.rejects(run("createCredential", { provider: "twilio", values }), {
    code: "invalid",
    field: "values.authToken",
  });
  assert.deepEqual((await run("credentials", { limit: 10 })).items, []);
  assert.deepEqual([await version(), (await audited()).length], [1, 0]);
});

Deno.test("what could not be asked, or was not to be, is kept unchecked", async () => {
  await using database = await open();
  const { run, provider, asked } = await setUp(database);
  provider.verdict = { type: "unreachable" };
  const values = { apiKey: KEY };
  const made = await run("createCredential", { provider: "openai", values });
  assert.deepEqual([made.status, made.checkedAt], ["unchecked", null]);
  const unasked = { provider: "deepgram", values, check: false } as const;
  assert.equal((await run("createCredential", unasked)).status, "unchecked");
  assert.equal(asked.length, 1);
});

Deno.test("a masked value that is written back keeps what is stored; any other is refused", async () => {
  await using database = await open();
  const { run, storedOf, asked } = await setUp(database);
  const made = await run("createCredential", {
    provider: "elevenlabs",
    values: { apiKey: KEY, voice: "abc" },
  });
  const replace = (values: Record<string, string>, expected: number | null = null) =>
    run("replaceCredential", { id: made.id, provider: "elevenlabs", values, expected });
  const again = await replace({ ...made.values, voice: "xyz" });
  assert.deepEqual([again.version, again.values], [2, { apiKey: "sk-…f3a9", voice: "xyz" }]);
  assert.deepEqual(await storedOf(made.id), { apiKey: KEY, voice: "xyz" });
  assert.deepEqual(asked.at(-1), { apiKey: KEY, voice: "xyz" }); // the real one was tried
  for (const apiKey of ["sk-…beef", "…f3a9", "sk-…f3a9 ", "•••• f3a9"]) {
    await assert.rejects(replace({ apiKey }), { code: "invalid", field: "values.apiKey" });
  }
  // The mask of one field is not that of another.
  await assert.rejects(replace({ apiKey: KEY, voice: "sk-…f3a9" }), { field: "values.voice" });
  await replace({ apiKey: OTHER_KEY });
  assert.deepEqual(await storedOf(made.id), { apiKey: OTHER_KEY });
});

Deno.test("of two who replace a credential at once, the second is told", async () => {
  await using database = await open();
  const { run, storedOf } = await setUp(database);
  const made = await run("createCredential", { provider: "openai", values: { apiKey: KEY } });
  const replace = (apiKey: string, expected: number | null) =>
    run("replaceCredential", { id: made.id, provider: "openai", values: { apiKey }, expected });
  assert.equal((await replace(OTHER_KEY, 1)).version, 2);
  await assert.rejects(replace(KEY, 1), { code: "edit_conflict", field: "If-Match" });
  const rush = await Promise.allSettled([replace(KEY, 2), replace(`${KEY}0`, 2)]);
  assert.equal(rush.filter(({ status }) => status === "fulfilled").length, 1);
  const lost = rush.find((one) => one.status === "rejected");
  assert.equal(lost?.reason.code, "edit_conflict");
  assert.notDeepEqual(await storedOf(made.id), { apiKey: OTHER_KEY });
});

Deno.test("a credential keeps its provider, and its name is its own", async () => {
  await using database = await open();
  const { run } = await setUp(database);
  const values = { apiKey: KEY };
  const made = await run("createCredential", { provider: "openai", values });
  const second = await run("createCredential", { provider: "openai", name: "spare", values });
  await assert.rejects(run("createCredential", { provider: "openai", values }), {
    code: "conflict",
    field: "name",
  });
  const { id } = second;
  const replace = { id, values, expected: null };
  await assert.rejects(run("replaceCredential", { ...replace, provider: "deepgram" }), {
    code: "conflict",
    field: "provider",
  });
  await assert.rejects(
    run("replaceCredential", { ...replace, provider: "openai", name: "default" }),
    { code: "conflict", field: "name" },
  );
  const page = await run("credentials", { limit: 1 });
  assert.deepEqual([page.items.map(({ id }) => id), page.next], [[second.id], second.id]);
  const rest = await run("credentials", { limit: 1, cursor: second.id });
  assert.deepEqual(rest.items.map(({ id }) => id), [made.id]);
});

Deno.test("a stored credential can be tried again; silence of its provider changes nothing", async () => {
  await using database = await open();
  const { run, provider, asked } = await setUp(database);
  const made = await run("createCredential", { provider: "openai", values: { apiKey: KEY } });
  provider.verdict = { type: "refused", field: "apiKey" };
  const refused = await run("checkCredential", made.id);
  assert.deepEqual([refused.status, refused.version], ["refused", 1]);
  assert.deepEqual(asked.at(-1), { apiKey: KEY });
  provider.verdict = { type: "unreachable" };
  await assert.rejects(run("checkCredential", made.id), {
    code: "provider_failed",
    retryable: true,
  });
  assert.equal((await run("credential", made.id)).status, "refused");
});

Deno.test("a deleted credential is gone, and each change is on record and makes caches stale", async () => {
  await using database = await open();
  const { run, audited, version } = await setUp(database);
  const values = { apiKey: KEY };
  const { id } = await run("createCredential", { provider: "openai", values });
  await run("replaceCredential", {
    id,
    provider: "openai",
    values: { apiKey: OTHER_KEY },
    expected: null,
  });
  await run("checkCredential", id);
  await run("deleteCredential", id);
  await assert.rejects(run("credential", id), { code: "not_found" });
  await assert.rejects(run("deleteCredential", id), { code: "not_found" });
  const log = await audited();
  assert.deepEqual(log.map(({ action }) => action), [
    "credential.created",
    "credential.replaced",
    "credential.checked",
    "credential.deleted",
  ]);
  assert.deepEqual(log[1]?.details["changed"], ["apiKey"]);
  assert.equal(await version(), 4);
});

Deno.test("another tenant's credential is as one that does not exist", async () => {
  await using database = await open();
  const [ours, theirs] = [await setUp(database), await setUp(database)];
  const { id } = await theirs.run("createCredential", {
    provider: "openai",
    values: { apiKey: KEY },
  });
  for (const wanted of [id, newId("credential"), "credential_1"]) {
    const replacement = { id: wanted, provider: "openai", values: {}, expected: null } as const;
    for (
      const asked of [
        () => ours.run("credential", wanted),
        () => ours.run("deleteCredential", wanted),
        () => ours.run("checkCredential", wanted),
        () => ours.run("replaceCredential", replacement),
      ]
    ) await assert.rejects(asked(), { code: "not_found", message: "No such credential" });
  }
  assert.deepEqual((await ours.run("credentials", { limit: 10 })).items, []);
});

Deno.test("without key-encryption keys credentials are not configured, and nothing is asked", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const { run } = errandRunner(database, tenantId);
  await assert.rejects(
    run("createCredential", { provider: "openai", values: { apiKey: KEY } }),
    { code: "not_configured", field: "KEY_ENCRYPTION_KEYS" },
  );
  assert.deepEqual(await run("credentials", { limit: 10 }), { items: [], next: null });
});

Deno.test("a tenant has so many credentials and no more", async () => {
  await using database = await open();
  const { run } = await setUp(database);
  const create = (name: string) =>
    run("createCredential", { provider: "openai", name, values: { apiKey: KEY }, check: false });
  for (let i = 0; i < CREDENTIALS_MAX; i++) await create(`key ${i}`);
  await assert.rejects(create("one more"), { code: "quota_exceeded" });
});
