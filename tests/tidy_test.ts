/** The tree is tidy: every rule that the architecture stands on holds for every file, and can fail. */

import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { type RuleName, RULES, untidy } from "@/tests/support/tidy.ts";

/** The owner's card: what may stand at the top. */
const TOP = [
  ...["main.ts", "actors", "routes", "db", "lib", "tests", "docs"],
  ...["deno.json", "deno.lock", "Dockerfile", "fly.toml", "README.md", "ARCHITECTURE.md"],
];

const IGNORED = Deno.readTextFileSync(".gitignore").split("\n").map((line) =>
  line.replace("/", "")
);

const files = globSync("**/*.ts", { exclude: ["node_modules/**"] });

Deno.test("every file is tidy", () => {
  assert(files.includes("lib/clock.ts"), "the files are found");
  const found = files.flatMap((path) => untidy(path, Deno.readTextFileSync(path)));
  assert.deepEqual(found, []);
});

Deno.test("nothing stands at the top that is not on the owner's card", () => {
  const entries = [...Deno.readDirSync(".")].map((entry) => entry.name);
  const extra = entries.filter((name) =>
    !name.startsWith(".") && !IGNORED.includes(name) && !TOP.includes(name)
  );
  assert.deepEqual(extra, []);
});

/** Violations, each of one rule: in which file, and the line that breaks it. */
const VIOLATIONS: readonly [rule: RuleName, path: string, line: string][] = [
  ["imports", "lib/a.ts", 'import { b } from "@/db/b.ts";'],
  ["imports", "lib/a.ts", 'import type { B } from "@/actors/call/call.ts";'],
  ["imports", "lib/a.ts", 'export * from "@/routes/b.ts";\nexport const a = 1;'],
  ["imports", "db/a.ts", 'export { b } from "@/actors/b.ts";\nexport const a = 1;'],
  ["imports", "db/a.ts", 'const b = await import("@/actors/b.ts");'],
  ["imports", "actors/call/a.ts", 'import { b } from "@/routes/b.ts";'],
  ["imports", "actors/call/a.ts", 'import { b } from "@/main.ts";'],
  ["imports", "routes/a.ts", 'import { b } from "@/db/b.ts";'],
  ["imports", "actors/runtime/a.ts", 'import type { B } from "@/db/b.ts";'],
  ["imports", "actors/runtime/a.ts", 'import type { B } from "@/actors/call/call.ts";'],
  ["imports", "main.ts", 'import { b } from "@/tests/support/b.ts";'],
  ["imports", "lib/a.ts", 'import { b } from "@/scripts/b.ts";'],
  ["imports", "lib/audio/a.ts", 'import { b } from "../b.ts";'],
  ["imports", "lib/a.ts", 'import { b } from "./audio/b.ts";'],
  ["imports", "lib/audio/a.ts", 'import { b } from "@/lib/audio/b.ts";'],
  ["imports", "lib/a.ts", "const b = await import(name);"],
  ["imports", "actors/call/a.ts", 'import postgres from "postgres";'],
  ["imports", "lib/a.ts", 'import { PGlite } from "@electric-sql/pglite";'],
  ["imports", "actors/call/a.ts", 'import OpenAI from "openai/index.mjs";'],
  ["insides", "actors/call/a.ts", 'import { b } from "@/actors/tenant/quota.ts";'],
  ["insides", "actors/call/a.ts", 'import { type B, b } from "@/actors/tenant/tenant.ts";'],
  ["environment", "main.ts", 'const a = Deno.env.get("A");'],
  ["environment", "main.ts", 'const a = Deno["env"].toObject();'],
  ["environment", "main.ts", "const { env } = Deno;"],
  ["environment", "lib/a.ts", "const a = globalThis.process.env.A;"],
  ["environment", "lib/a.ts", 'import { env } from "node:process";'],
  ["console", "lib/a.ts", 'console.log("a");'],
  ["console", "tests/a.ts", "const { log } = console;"],
  ["time", "lib/a.ts", "setTimeout(() => {}, 5);"],
  ["time", "lib/a.ts", "globalThis.setInterval(() => {}, 5);"],
  ["time", "actors/call/a.ts", "const wait = setImmediate;"],
  ["time", "db/a.ts", "const at = Date.now();"],
  ["time", "db/a.ts", "const { now } = performance;"],
  ["time", "routes/a.ts", "const at = performance.now();"],
  ["time", "routes/a.ts", "const signal = AbortSignal.timeout(5);"],
  ["time", "tests/a_test.ts", 'import { setTimeout as sleep } from "node:timers/promises";'],
  ["today", "lib/a.ts", "const at = new Date();"],
  ["today", "lib/a.ts", "const at = Date();"],
  ["sockets", "routes/a.ts", "socket.onmessage = () => {};"],
  ["sockets", "routes/a.ts", 'socket.on("message", () => {});'],
  ["sockets", "lib/providers/stt/a.ts", 'this.#socket.addEventListener("close", () => {});'],
  ["sockets", "lib/providers/stt/a.ts", "connection.once(Events.Open, () => {});"],
  ["exports", "lib/a.ts", "export default 1;"],
  ["exports", "lib/a.ts", 'export * from "./b.ts";'],
  ["enums", "lib/a.ts", "export enum A { B }"],
  ["enums", "lib/a.ts", "export namespace A { export const b = 1; }"],
  ["name", "lib/newClock.ts", "export const a = 1;"],
  ["name", "lib/utils.ts", "export const a = 1;"],
  ["name", "actors/call/helpers.ts", "export const a = 1;"],
  ["name", "lib/types.ts", "export const a = 1;"],
  ["comments", "lib/a.ts", "const a = 1; // TODO: mend"],
  ["comments", "lib/a.ts", "const a = 1; // TODO(me): mend"],
  ["comments", "lib/a.ts", "/* FIXME */"],
];

const FIRST_LINE = "/** A file. */\n";

for (const [rule, path, line] of VIOLATIONS) {
  Deno.test(`the rule of ${rule} finds ${line} in ${path}`, () => {
    const found = untidy(path, FIRST_LINE + line);
    assert(found.length > 0, "nothing found");
    for (const fault of found) assert(fault.startsWith(`${path}:2 ${rule}: `), fault);
  });
}

Deno.test("a file whose first line does not say what it is, is found", () => {
  for (
    const source of [
      "export const a = 1;",
      "// A file\n",
      "\n/** A file. */",
      "/** */",
    ]
  ) {
    assert.deepEqual(untidy("lib/a.ts", source), [
      "lib/a.ts:1 comments: the first line says what the file is",
    ]);
  }
});

Deno.test("every rule has a violation that it finds", () => {
  assert.deepEqual(new Set(VIOLATIONS.map(([rule]) => rule)), new Set(RULES));
});

const TIDY: readonly [path: string, line: string][] = [
  ["main.ts", 'import { a } from "@/routes/a.ts";\nimport { b } from "@/db/b.ts";'],
  ["routes/a.ts", 'import { a } from "@/actors/call/call.ts";\nimport { b } from "./b.ts";'],
  ["actors/runtime/a.ts", 'import { a } from "@/lib/clock.ts";\nsetImmediate(() => {});'],
  ["actors/call/a.ts", 'import type { A } from "@/actors/tenant/tenant.ts";'],
  ["actors/call/a.ts", 'import { type A } from "@/actors/tenant/tenant.ts";'],
  ["actors/call/a.ts", 'import { newSystem } from "@/actors/runtime/system.ts";'],
  ["lib/config.ts", 'const a = Deno.env.get("A");'],
  ["lib/a.ts", '// setTimeout\nconst a = "Deno.env console.log Date.now()";'],
  ["lib/a.ts", "const at = new Date(0);"],
  ["lib/a.ts", "server.setTimeout(5);\nconst names = { console: 1 };"],
  ["lib/a.ts", 'signal.addEventListener("abort", () => {});'],
  ["lib/a.ts", "const a = 1; // TODO(#12): mend"],
  ["lib/providers/stt/mod.ts", 'export * from "./deepgram.ts";'],
  ["lib/providers/llm/openai.ts", 'import OpenAI from "openai";'],
  ["tests/a_test.ts", 'import { main } from "@/main.ts";\nimport postgres from "postgres";'],
];

for (const [path, line] of TIDY) {
  Deno.test(`${line} is tidy in ${path}`, () => {
    assert.deepEqual(untidy(path, FIRST_LINE + line), []);
  });
}
