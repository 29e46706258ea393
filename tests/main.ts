/** Runs the tests, part by part, and sums them: `deno task test [--filter TEXT] [PATH]…`, `test:system`, `test:full`. */

import { globSync } from "node:fs";
import { messageOf } from "@/lib/errors.ts";
import {
  type Beside,
  type Counts,
  isSelected,
  type Part,
  readSelection,
  runPart,
  sum,
} from "@/tests/support/test_part.ts";

const DATABASE = /^tests\/(db|server)\//;
const SYSTEM = /^tests\/system\//;
/** What asks a database everything that is asked of it. */
const STATEMENTS = /^tests\/db\//;
/** Calls at the pace of speech, on one database: others ask of it what they ask. */
const SPOKEN =
  /^tests\/server\/(call_defaults|clips|deploy|detection|drain|phone|realtime|recording|relay|rooms|ways)_test/;

/** What needs nothing but the npm registry. */
const PARTS: readonly Part[] = [
  { name: "unit", owns: (file) => !DATABASE.test(file) && !SYSTEM.test(file) },
  { name: "PGlite", owns: (file) => DATABASE.test(file) },
  {
    name: "PostgreSQL",
    owns: (file) => DATABASE.test(file) && !SPOKEN.test(file),
    beside: () => postgres(),
  },
];

/** The oldest PostgreSQL that is promised to work, as Debian 12 installs it. */
const POSTGRES_15 = "/usr/lib/postgresql/15/bin";

/** What needs programs of the system. */
const SYSTEM_PARTS: readonly Part[] = [
  { name: "system", owns: (file) => SYSTEM.test(file) },
  {
    name: "PostgreSQL 15",
    owns: (file) => STATEMENTS.test(file),
    beside: () => postgres({ bin: POSTGRES_15 }),
  },
];

/** The module is loaded only here: npm has its programs for some platforms, and the other parts run on all. */
async function postgres(options: { bin?: string } = {}): Promise<Beside> {
  const { startPostgres } = await import("@/tests/support/postgres_server.ts");
  const server = await startPostgres(options);
  return {
    env: { TEST_DATABASE: "postgres", TEST_DATABASE_URL: server.url },
    stop: () => server.stop(),
  };
}

/** Runs every part, one after the other; one that cannot even start counts as a failure. */
async function runAll(parts: readonly Part[], args: readonly string[]): Promise<Counts> {
  const inCi = (Deno.env.get("CI") ?? "") !== "";
  const { flags, paths } = readSelection(args);
  const files = globSync("tests/**/*_test.ts").sort().filter((file) => isSelected(file, paths));
  const counts: Counts[] = [];
  for (const part of parts) {
    if (files.some(part.owns)) say(`\n# ${part.name}`);
    try {
      counts.push(await runPart(part, files, inCi ? ["--frozen", ...flags] : flags));
    } catch (error) {
      say(`The part "${part.name}" broke: ${messageOf(error)}`);
      counts.push({ passed: 0, failed: 1, skipped: 0 });
    }
  }
  const total = sum(counts);
  if (total.passed + total.failed === 0) say("No test matches");
  if (inCi && total.skipped > 0) say("In CI nothing may be skipped");
  const good = total.failed === 0 && total.passed > 0 && !(inCi && total.skipped > 0);
  Deno.exitCode = good ? 0 : 1;
  return total;
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** The sizes of the issues, where CI takes a part of them; each may be set alone as well. */
const FULL_SIZES = {
  FUZZ_RUNS: "100000",
  SQL_PAYLOADS: "500",
  UNICODE_TEXTS: "2000",
  BAD_INPUT_BYTES: "1073741824",
  F7_RUNS: "100000",
  F7_CALLS: "1000",
  F7_ROWS: "300",
  ROTATION_LOADS: "20000",
  DELIVERY_HISTORIES: "40",
  REDIS_OUTAGE_S: "15",
  AUDIT_RUNS: "500",
  REFRESH_RUNS: "300",
  HISTORY_RUNS: "1000",
  LIMIT_RUNS: "200",
  DIALOGUE_RUNS: "100000",
  FAULT_RUNS: "100",
  CLUSTER_RUNS: "100000",
  LOST_RUNS: "1000",
  LOST_DB_RUNS: "200",
} as const;

function run([first, ...rest]: readonly string[]): Promise<Counts> {
  if (first === "--system") return runAll(SYSTEM_PARTS, rest);
  if (first !== "--full") return runAll(PARTS, Deno.args);
  for (const [name, size] of Object.entries(FULL_SIZES)) {
    if (!Deno.env.has(name)) Deno.env.set(name, size);
  }
  return runAll([...PARTS, ...SYSTEM_PARTS], rest);
}

const { passed, failed, skipped } = await run(Deno.args);
say(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
