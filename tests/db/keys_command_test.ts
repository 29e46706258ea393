/** The command `keys`: what it takes, and what it says. */

import assert from "node:assert/strict";
import { readKeysCommand, runKeysCommand } from "@/db/keys_command.ts";
import { newVault } from "@/db/vault.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const newKey = (name: string) => ({
  name,
  key: new Secret(crypto.getRandomValues(new Uint8Array(32)).toBase64()),
});

Deno.test("the command rotates, or renews for some or for all, and takes nothing else", () => {
  const tenant = newId("tenant");
  assert.deepEqual(readKeysCommand(["rotate"]), { type: "rotate" });
  assert.deepEqual(readKeysCommand(["renew"]), { type: "renew", tenantIds: null });
  assert.deepEqual(readKeysCommand(["renew", tenant]), { type: "renew", tenantIds: [tenant] });
  for (const args of [[], ["rot"], ["rotate", tenant], ["renew", "all"]]) {
    assert.throws(() => readKeysCommand(args), { code: "invalid" });
  }
});

Deno.test("the command says how many keys it has wrapped, and whether the old one can go", async () => {
  await using database = await open();
  const [k1, k2] = [newKey("k1"), newKey("k2")];
  const tenantId = await newTenant(database);
  const place = { tenantId, table: "credential", column: "sealed", row: "credential_1" };
  const sealed = await newVault(database, [k1]).seal(place, "secret");
  const run = async (keys: (typeof k1)[], type: "rotate" | "renew" = "rotate") => {
    const said: string[] = [];
    const command = type === "rotate" ? { type } : { type, tenantIds: null };
    const say = (line: string) => void said.push(line);
    const isWhole = await runKeysCommand(database, command, { keys, log: silentLog, say });
    return [isWhole, said.join("; ")] as const;
  };
  const [isWhole, said] = await run([k2]);
  assert.equal(isWhole, false);
  assert.match(said, /1 need a key that is not in KEY_ENCRYPTION_KEYS/);
  assert.deepEqual(await run([k2, k1]), [
    true,
    '1 data keys and 0 secrets of the house are under "k2" now; ' +
    "All are under it: the other keys can go",
  ]);
  assert.equal(await newVault(database, [k2]).open(place, sealed), "secret");
  assert.match((await run([k2], "renew"))[1], /^1 tenants have a new data key, 0 values/);
  await assert.rejects(
    runKeysCommand(database, { type: "rotate" }, { keys: null, log: silentLog, say: () => {} }),
    { code: "not_configured", field: "KEY_ENCRYPTION_KEYS" },
  );
});
