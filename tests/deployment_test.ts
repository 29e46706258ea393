/** What is deployed is one thing: the Dockerfile, fly.toml, the tasks and .env.example say the same. */

import assert from "node:assert/strict";
import { validate } from "dockerfile-utils";
import { parse } from "smol-toml";
import { z } from "zod";
import { readConfig, SETTINGS } from "@/lib/config.ts";
import { execForm, flagValues, only, readStages } from "@/tests/support/dockerfile.ts";

const DOCKERFILE = Deno.readTextFileSync("Dockerfile");
const { tasks, imports } = z.object({
  tasks: z.record(z.string(), z.object({ command: z.string() })),
  imports: z.record(z.string(), z.string()),
}).parse(JSON.parse(Deno.readTextFileSync("deno.json")));

/** What of fly.toml must agree with the rest. */
const FLY = z.object({
  env: z.record(z.string(), z.string()),
  deploy: z.object({ release_command: z.string() }),
  http_service: z.object({
    internal_port: z.number(),
    auto_stop_machines: z.string(),
    concurrency: z.object({ hard_limit: z.number() }),
  }),
  checks: z.object({ alive: z.object({ port: z.number() }) }),
}).parse(parse(Deno.readTextFileSync("fly.toml")));

function setUp() {
  const [build = [], image = []] = readStages(DOCKERFILE);
  return { build, image, command: execForm(only(image, "CMD")) };
}

/** The names and values of `.env.example`. */
function readExample(): Record<string, string> {
  const lines = Deno.readTextFileSync(".env.example").split("\n");
  return Object.fromEntries(
    lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const [, name = line, value = ""] = /^([A-Z0-9_]+)=(.*)$/.exec(line) ?? [];
      return [name, value];
    }),
  );
}

Deno.test("the linter has nothing to say of the Dockerfile, and finds a planted fault", () => {
  assert.deepEqual(validate(DOCKERFILE), []);
  assert.notDeepEqual(validate(DOCKERFILE.replace("EXPOSE", "EXPOSES")), []);
});

Deno.test("both stages stand on the official image of the Deno that runs the tests", () => {
  const { build, image } = setUp();
  const official = `denoland/deno:${Deno.version.deno}`;
  assert.deepEqual([only(build, "FROM"), only(image, "FROM")], [`${official} AS build`, official]);
});

Deno.test("the image runs as the user deno, and Deno is its first process", () => {
  const { image, command } = setUp();
  assert.equal(only(image, "USER"), "deno");
  assert.deepEqual(execForm(only(image, "ENTRYPOINT")), []);
  assert.deepEqual(command.slice(0, 2), ["deno", "run"]);
  const keywords = image.map((instruction) => instruction.keyword);
  assert.deepEqual(keywords.slice(-3), ["USER", "ENTRYPOINT", "CMD"]);
});

Deno.test("the image gives no permission but to the network, settings, its own files and its data", () => {
  const { command } = setUp();
  assert.deepEqual(command.filter((word) => /^(-[A-Z]|--(allow|unstable|unsafely))/.test(word)), [
    "--allow-net",
    `--allow-env=${SETTINGS}`,
    "--allow-read=/app,/deno-dir/npm/registry.npmjs.org/@electric-sql,/data",
    "--allow-write=/data",
  ]);
  for (const word of ["--no-prompt", "--frozen", "--cached-only", "--no-remote", "--ignore-env"]) {
    assert(command.includes(word), `${word} is missing`);
  }
});

Deno.test("the image holds what .dockerignore lets through, and no tests", () => {
  const { build } = setUp();
  const copied = build.filter(({ keyword }) => keyword === "COPY")
    .flatMap(({ rest }) => rest.split(" ").slice(0, -1));
  const allowed = Deno.readTextFileSync(".dockerignore").split("\n")
    .filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  assert.deepEqual(copied.toSorted(), allowed.toSorted());
  assert.deepEqual(
    copied.toSorted(),
    ["actors", "db", "deno.json", "deno.lock", "lib", "main.ts", "routes"],
  );
});

Deno.test("`deno task start` has the image's permissions to the network and the environment", () => {
  const { command } = setUp();
  const words = tasks.start?.command.split(" ") ?? [];
  for (const flag of ["--allow-env", "--deny-net"]) {
    assert.deepEqual(flagValues(words, flag), flagValues(command, flag));
  }
  assert(words.includes("--ignore-env"));
});

Deno.test("fly.toml forwards to the port that the image listens on", () => {
  const { image } = setUp();
  const port = only(image, "EXPOSE");
  assert.equal(String(readConfig({}).listen.port), port);
  assert.match(only(image, "ENV"), new RegExp(`\\bPORT=${port}\\b`));
  assert.deepEqual(
    [FLY.http_service.internal_port, FLY.checks.alive.port].map(String),
    [port, port],
  );
});

Deno.test("fly.toml migrates before a release, and lets the runtime refuse calls before the proxy does", () => {
  assert.equal(FLY.deploy.release_command, "deno task migrate");
  assert(FLY.http_service.concurrency.hard_limit > readConfig({}).maxCalls);
  assert.equal(FLY.http_service.auto_stop_machines, "off");
});

Deno.test("fly.toml and the image set nothing that is no setting", () => {
  const { image } = setUp();
  const inImage = only(image, "ENV").split(/\s+/).map((pair) => pair.split("=")[0] ?? "");
  const onFly = Object.keys(FLY.env).filter((name) => !name.startsWith("DENO_"));
  for (const name of [...inImage, ...onFly]) assert(SETTINGS.includes(name), `${name} is unknown`);
});

Deno.test(".env.example names every setting and its true default", () => {
  const example = readExample();
  assert.deepEqual(Object.keys(example).toSorted(), SETTINGS.toSorted());
  assert.deepEqual(readConfig(example), readConfig({}));
});

Deno.test("every package has an exact version", () => {
  for (const target of Object.values(imports)) {
    // A slash on both sides: the files of a package, each by its own path.
    const whole = target.replace(/^npm:\/(.+)\/$/, "npm:$1");
    assert.match(whole, /^(\.\/|(npm|jsr):(@[\w-]+\/)?[\w.-]+@\d+\.\d+\.\d+(-[\w.]+)?$)/);
  }
});
