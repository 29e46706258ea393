/** The runner of the tests: what it counts, and that nothing which went wrong passes for success. */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { readSelection, readSummary } from "@/tests/support/test_part.ts";

const ROOT = new URL("..", import.meta.url).pathname;

interface Run {
  readonly code: number;
  readonly lines: readonly string[];
}

/** Runs the runner in a folder of its own that holds these test files. */
async function run(
  files: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, body] of Object.entries(files)) {
      await Deno.mkdir(dirname(`${folder}/tests/${name}`), { recursive: true });
      await Deno.writeTextFile(`${folder}/tests/${name}`, body);
    }
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `--config=${ROOT}deno.json`, `${ROOT}tests/main.ts`, ...args],
      cwd: folder,
      env: { CI: "", ...env },
      stderr: "null",
    }).output();
    return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const GOOD = `Deno.test("good", () => {});`;
const BAD = `Deno.test("bad", () => { throw new Error("bad"); });`;
const IGNORED = `Deno.test({ name: "ignored", ignore: true, fn() {} });`;

const RUNS: readonly {
  what: string;
  files: Record<string, string>;
  args?: string[];
  env?: Record<string, string>;
  code: number;
  last: string;
}[] = [
  {
    what: "counts what passed, failed and was skipped, over all files",
    files: { "a_test.ts": GOOD + BAD, "lib/b_test.ts": GOOD + IGNORED },
    code: 1,
    last: "2 passed, 1 failed, 1 skipped",
  },
  {
    what: "succeeds when every test passes, and lets one be skipped",
    files: { "a_test.ts": GOOD + IGNORED },
    code: 0,
    last: "1 passed, 0 failed, 1 skipped",
  },
  {
    what: "fails in CI when one is skipped",
    files: { "a_test.ts": GOOD + IGNORED },
    env: { CI: "true" },
    code: 1,
    last: "1 passed, 0 failed, 1 skipped",
  },
  {
    what: "passes its arguments on",
    files: { "a_test.ts": GOOD + BAD },
    args: ["--filter", "good"],
    code: 0,
    last: "1 passed, 0 failed, 0 skipped",
  },
  {
    what: "runs only the files and folders it is given",
    files: { "a_test.ts": BAD, "lib/b_test.ts": GOOD },
    args: ["./tests/lib/"],
    code: 0,
    last: "1 passed, 0 failed, 0 skipped",
  },
  {
    what: "fails when a filter matches nothing in any part",
    files: { "a_test.ts": GOOD },
    args: ["--filter=nothing is named so"],
    code: 1,
    last: "0 passed, 0 failed, 0 skipped",
  },
  {
    what: "fails when a path matches nothing",
    files: { "a_test.ts": GOOD },
    args: ["tests/absent_test.ts"],
    code: 1,
    last: "0 passed, 0 failed, 0 skipped",
  },
  {
    what: "counts a part that dies before its end as failed",
    files: {
      "a_test.ts": GOOD,
      "b_test.ts": `Deno.test("k", () => Deno.kill(Deno.pid, "SIGKILL"));`,
    },
    code: 1,
    last: "0 passed, 1 failed, 0 skipped",
  },
  {
    what: "counts what is thrown outside of any test as failed",
    files: { "a_test.ts": GOOD, "b_test.ts": `throw new Error("at import");` },
    code: 1,
    last: "1 passed, 1 failed, 0 skipped",
  },
  {
    what: "leaves the tests of the system to their own command",
    files: { "a_test.ts": BAD, "system/b_test.ts": GOOD },
    args: ["--system"],
    code: 0,
    last: "1 passed, 0 failed, 0 skipped",
  },
];

for (const { what, files, args, env, code, last } of RUNS) {
  Deno.test(`the runner ${what}`, async () => {
    const ran = await run(files, args, env);
    assert.deepEqual(
      { code: ran.code, last: ran.lines.at(-1) },
      { code, last },
      ran.lines.join("\n"),
    );
  });
}

Deno.test("a summary is read whatever its colours and parts", () => {
  const line =
    "\x1b[0m\x1b[31mFAILED\x1b[0m | 2 passed (2 steps) | 1 failed (1 step) | 3 ignored | 6 filtered out (7ms)";
  assert.deepEqual(readSummary(`one ... ok\n\n${line}\n`), { passed: 2, failed: 1, skipped: 3 });
});

Deno.test("an output that stops short has no summary", () => {
  assert.equal(readSummary("running 3 tests from ./a_test.ts\none ... ok\n"), null);
});

Deno.test("flags and paths of a command line are told apart", () => {
  assert.deepEqual(readSelection(["--filter", "tests/x", "./tests/lib/", "--seed=4"]), {
    flags: ["--filter", "tests/x", "--seed=4"],
    paths: ["tests/lib"],
  });
});
