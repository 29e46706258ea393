/** The audit log cannot be changed unseen: not by whoever owns the database. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { readAuditCommand, runAuditCommand } from "@/actors/sealer/audit_command.ts";
import type { Database, Sql } from "@/db/client.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { auditEntry, sealAll, writeAudit } from "@/tests/support/audit_entries.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const RUNS = Number(Deno.env.get("AUDIT_RUNS") ?? 60);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 3);
const NOW = new Date("2026-06-01T00:00:00Z");
const TABLES = ["audit_entry", "audit_seal"] as const;

/** A tenant with a chain of five. */
async function newChain(database: Database): Promise<string> {
  const tenantId = await newTenant(database);
  const entries = Array.from({ length: 5 }, (_, i) => auditEntry({ details: { i, sum: 1.5 } }));
  await writeAudit(database, tenantId, entries);
  await sealAll(database);
  return tenantId;
}

async function verify(
  database: Database,
  tenantId: string | null,
  headsFile: string | null = null,
) {
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const ok = await runAuditCommand(database, { tenantId, headsFile }, { date: NOW, say });
  return { ok, lines };
}

/** As who owns the database, and minds no key of another table. */
function tamper(database: Database, work: (sql: Sql, tenant: string) => Promise<unknown>) {
  return async (tenantId: string): Promise<void> => {
    await database.asOwner(DEADLINE_MS, async (sql) => {
      await sql`set local session_replication_role = replica`;
      await work(sql, uuidOf("tenant", tenantId) ?? "");
    });
  };
}

interface Column {
  readonly table: typeof TABLES[number];
  readonly name: string;
  readonly type: string;
}

async function columnsOf(database: Database): Promise<Column[]> {
  return await database.asOwner(DEADLINE_MS, (sql) =>
    sql<Column[]>`
    select c.relname as table, a.attname as name, format_type(a.atttypid, null) as type
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relname in ${sql(TABLES)} and a.attnum > 0 and not a.attisdropped
    order by 1, a.attnum`);
}

/** The value as text, with one byte of it changed to another value of its type. */
function changed(type: string, before: string | null, random: number): string {
  if (before === null) return "x";
  const replace = (alphabet: string, from = 0): string => {
    const places = [...before].map((_, i) => i).filter((i) =>
      i >= from && alphabet.includes(before[i] ?? "")
    );
    const at = places[random % places.length] ?? 0;
    const old = alphabet.indexOf(before[at] ?? "");
    const by = alphabet[(old + 1 + random % (alphabet.length - 1)) % alphabet.length];
    return before.slice(0, at) + by + before.slice(at + 1);
  };
  switch (type) {
    case "uuid":
      return replace("0123456789abcdef");
    case "bytea":
      return replace("0123456789abcdef", 2); // `\x` stands first
    case "bigint":
    case "xid8":
      return `${Number(before) + 2 ** (8 + random % 40)}`; // a neighbour's number is taken
    case "timestamp with time zone":
      return before.replace(
        /(\.\d*)?\+/,
        (fraction) =>
          fraction === "+" ? ".000001+" : `${fraction.slice(0, -1).padEnd(7, "0").slice(0, 6)}1+`,
      );
    case "jsonb":
      return replace("0123456789");
    case "text":
      return replace("abcdefghijklmnopqrstuvwxyz0123456789._");
    default:
      throw new Error(`Nobody thought of ${type}`);
  }
}

Deno.test("one changed byte is found, in any column of any entry and of any seal", async () => {
  await using database = await open();
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`alter table audit_entry drop constraint audit_entry_actor_kind_check`;
  });
  const columns = await columnsOf(database);
  assert.equal(columns.length, 11 + 5);
  const place = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(10_000));
  let run = 0;
  const check = fc.asyncProperty(place, async ([seq, random]) => {
    const column = columns[run++ % columns.length]; // each has its turn
    assert.ok(column);
    const { table, name, type } = column;
    const tenantId = await newChain(database);
    const isWhole = await verify(database, tenantId);
    assert.deepEqual(isWhole, { ok: true, lines: ["5 entries of 1 tenants verified"] });
    let values = "";
    await tamper(database, async (sql, tenant) => {
      const [row] = await sql<{ value: string | null; entryId: string }[]>`
        select t.${sql(name)}::text as value, s.entry_id
        from audit_seal s join ${sql(table)} t on t.tenant_id = s.tenant_id
          and ${table === "audit_entry" ? sql`t.id = s.entry_id` : sql`t.seq = s.seq`}
        where s.tenant_id = ${tenant} and s.seq = ${seq}`;
      assert.ok(row);
      const after = changed(type, row.value, random);
      values = `${row.value} -> ${after}`;
      const done = await sql`
        update ${sql(table)} set ${sql(name)} = cast(${after}::text as ${sql.unsafe(type)})
        where tenant_id = ${tenant}
          and ${table === "audit_entry" ? sql`id` : sql`entry_id`} = ${row.entryId}`;
      assert.equal(done.count, 1);
    })(tenantId);
    const { ok, lines } = await verify(database, tenantId);
    assert.equal(ok, false, `${table}.${name} of ${seq}: ${values}`);
    assert.match(lines[0] ?? "", new RegExp(`^BROKEN ${tenantId} (seq|audit_)`));
  });
  await fc.assert(check, { numRuns: RUNS, seed: SEED, endOnFailure: true });
});

const DAMAGE: readonly [string, RegExp, (sql: Sql, tenant: string) => Promise<unknown>][] = [
  [
    "an entry that is deleted",
    / seq 3 audit_\S+: its entry is missing$/,
    (sql, tenant) =>
      sql`delete from audit_entry e using audit_seal s where s.tenant_id = ${tenant}
        and s.seq = 3 and e.tenant_id = s.tenant_id and e.id = s.entry_id`,
  ],
  [
    "an entry that is deleted with its seal",
    / seq 3 audit_\S+: is missing: the next one is 4$/,
    async (sql, tenant) => {
      await sql`delete from audit_entry e using audit_seal s where s.tenant_id = ${tenant}
        and s.seq = 3 and e.tenant_id = s.tenant_id and e.id = s.entry_id`;
      await sql`delete from audit_seal where tenant_id = ${tenant} and seq = 3`;
    },
  ],
  [
    "a last seal that is deleted",
    / audit_\S+: has no seal$/,
    (sql, tenant) => sql`delete from audit_seal where tenant_id = ${tenant} and seq = 5`,
  ],
  [
    "a pair whose numbers are swapped",
    / seq 2 audit_\S+: entry or seal was changed/,
    async (sql, tenant) => {
      await sql`update audit_seal set seq = seq + 1000 where tenant_id = ${tenant} and seq in (2, 3)`;
      await sql`update audit_seal set seq = 1005 - seq where tenant_id = ${tenant} and seq > 1000`;
    },
  ],
  [
    "a pair whose entries are swapped",
    / seq 2 audit_\S+: entry or seal was changed/,
    async (sql, tenant) => {
      const pair = await sql`
        delete from audit_seal where tenant_id = ${tenant} and seq in (2, 3) returning *`;
      const [one, two] = pair.toSorted((a, b) => Number(a.seq) - Number(b.seq));
      for (const [seal, entryId] of [[one, two?.entryId], [two, one?.entryId]] as const) {
        await sql`insert into audit_seal (tenant_id, seq, entry_id, hash, sealed_at)
          values (${tenant}, ${seal?.seq}, ${entryId}, ${seal?.hash}, ${seal?.sealedAt})`;
      }
    },
  ],
  [
    "an entry that is planted without a seal",
    / audit_\S+: has no seal$/,
    (sql, tenant) => plant(sql, tenant),
  ],
  [
    "an entry that is planted into the chain",
    / seq 3 audit_\S+: entry or seal was changed/,
    async (sql, tenant) => {
      await sql`update audit_seal set seq = seq + 100 where tenant_id = ${tenant} and seq >= 3`;
      await sql`update audit_seal set seq = seq - 99 where tenant_id = ${tenant} and seq > 100`;
      const id = await plant(sql, tenant);
      await sql`insert into audit_seal (tenant_id, seq, entry_id, hash, sealed_at)
        select tenant_id, 3, ${id}, hash, sealed_at from audit_seal
        where tenant_id = ${tenant} and seq = 2`;
    },
  ],
  [
    "a beginning that is deleted",
    / seq 1 audit_\S+: is missing: the next one is 3$/,
    (sql, tenant) => beheaded(sql, tenant),
  ],
  [
    "a beginning that is deleted as if retention had done it",
    / seq 3: entries before it were removed, and no entry says so$/,
    async (sql, tenant) => {
      await sql`insert into audit_cut (tenant_id, seq, hash)
        select tenant_id, seq, hash from audit_seal where tenant_id = ${tenant} and seq = 2`;
      await beheaded(sql, tenant);
    },
  ],
];

async function plant(sql: Sql, tenant: string): Promise<string> {
  const id = uuidOf("audit", newId("audit")) ?? "";
  await sql`
    insert into audit_entry (tenant_id, id, at, actor_kind, actor_id, action, subject_id, details)
    values (${tenant}, ${id}, '2026-01-05T09:00:00Z', 'user', 'person_2', 'x', 'y', '{}')`;
  return id;
}

async function beheaded(sql: Sql, tenant: string): Promise<void> {
  await sql`delete from audit_entry e using audit_seal s where s.tenant_id = ${tenant}
    and s.seq <= 2 and e.tenant_id = s.tenant_id and e.id = s.entry_id`;
  await sql`delete from audit_seal where tenant_id = ${tenant} and seq <= 2`;
}

for (const [name, message, work] of DAMAGE) {
  Deno.test(`${name} is found`, async () => {
    await using database = await open();
    const tenantId = await newChain(database);
    await tamper(database, work)(tenantId);
    const { ok, lines } = await verify(database, tenantId);
    assert.equal(ok, false);
    assert.match(lines[0] ?? "", message);
    assert.equal(lines.length, 1);
  });
}

Deno.test("an end that is cut off, entries and seals, is found by the heads of an earlier run", async () => {
  await using database = await open();
  const tenantId = await newChain(database);
  const heads = await Deno.makeTempFile();
  await Deno.remove(heads);
  assert.equal((await verify(database, tenantId, heads)).ok, true);
  const kept = await Deno.readTextFile(heads);
  await tamper(database, async (sql, tenant) => {
    await sql`delete from audit_entry e using audit_seal s where s.tenant_id = ${tenant}
      and s.seq = 5 and e.tenant_id = s.tenant_id and e.id = s.entry_id`;
    await sql`delete from audit_seal where tenant_id = ${tenant} and seq = 5`;
  })(tenantId);
  assert.equal((await verify(database, tenantId)).ok, true, "the chain itself cannot show it");
  const cut = await verify(database, tenantId, heads);
  assert.match(cut.lines.join(), /seq 5: entries up to 5 were there and are missing$/);
  await writeAudit(database, tenantId, [auditEntry()]);
  await sealAll(database);
  const grown = await verify(database, tenantId, heads);
  assert.match(grown.lines.join(), /seq 5 audit_\S+: is not what it was when its head was kept$/);
  assert.equal(await Deno.readTextFile(heads), kept, "a broken chain is not kept as good");
  await Deno.remove(heads);
});

Deno.test("the chains of all tenants are walked, and every broken one is named", async () => {
  await using database = await open();
  const [good, bad, worse] = [
    await newChain(database),
    await newChain(database),
    await newChain(database),
  ];
  const drop = tamper(
    database,
    (sql, tenant) => sql`delete from audit_seal where tenant_id = ${tenant} and seq = 4`,
  );
  await drop(bad);
  await drop(worse);
  const { ok, lines } = await verify(database, null);
  assert.equal(ok, false);
  const named = lines.map((line) => line.split(" ")[1]);
  assert.ok(named.includes(bad) && named.includes(worse) && !named.includes(good));
});

Deno.test("a chain of some pages is verified whole", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) =>
      sql`
    insert into audit_entry (tenant_id, id, at, actor_kind, actor_id, action, subject_id, details)
    select ${uuidOf("tenant", tenantId)}, gen_random_uuid(), '2026-01-05T09:00:00Z', 'system',
      'test', 'x', 'y', '{}' from generate_series(1, 2500)`,
  );
  await sealAll(database);
  assert.deepEqual(await verify(database, tenantId), {
    ok: true,
    lines: ["2500 entries of 1 tenants verified"],
  });
});

Deno.test("the command takes its two options and nothing else", () => {
  const tenantId = newId("tenant");
  assert.deepEqual(readAuditCommand(["verify", "--tenant", tenantId, "--heads", "heads.json"]), {
    tenantId,
    headsFile: "heads.json",
  });
  for (const args of [[], ["verify", "--all", "1"], ["verify", "--heads"], ["verify", "x", "y"]]) {
    assert.throws(() => readAuditCommand(args), /audit verify/);
  }
  assert.throws(() => readAuditCommand(["verify", "--tenant", "tenant_1"]), /Not an id/);
});
