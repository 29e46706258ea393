/** The README's commands as a stranger pastes them: in a copy of the tree, with nothing in the environment. */

import assert from "node:assert/strict";
import { deadline, systemClock } from "@/lib/clock.ts";

/** All that the server and the simulated caller are made of. */
const TREE = ["main.ts", "actors", "db", "lib", "routes", "tests", "deno.json", "deno.lock"];
/** A server that does not start, or a block that does not end, is killed after this. */
const LIFE_MS = 120_000;

/** The one block of shell lines under a heading. */
function block(readme: string, heading: string): string {
  const section = readme.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  const [found, second] = [...section.matchAll(/^```sh\n(.*?)^```$/gms)];
  assert.ok(found?.[1] !== undefined && second === undefined, `"${heading}" has one block`);
  return found[1];
}

/** `deno task start` on free ports in a copy of the tree; `run` runs shell lines beside it. */
async function setUp() {
  const cwd = await Deno.makeTempDir({ prefix: "ringmaster_readme_" });
  await new Deno.Command("cp", { args: ["-r", ...TREE, cwd] }).output();
  const env = { PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? "", NO_COLOR: "1" };
  const options = { cwd, clearEnv: true, stdout: "piped", stderr: "piped" } as const;
  const life = deadline(systemClock, LIFE_MS, () => new Error("It took too long"));
  const { signal } = life;
  const server = new Deno.Command("deno", {
    ...options,
    args: ["task", "-q", "start"],
    env: { ...env, PORT: "0", OPERATOR_PORT: "0", LOG_LEVEL: "warn" },
    stderr: "inherit",
    signal,
  }).spawn();
  const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await lines.read(); // the one line that it prints
  const at = / at (http:\/\/[^\s,]+)/.exec(value)?.[1] ?? assert.fail(value);
  return {
    at,
    async run(script: string): Promise<{ code: number; said: string; why: string }> {
      const args = ["-eu", "-c", script];
      const ended = await new Deno.Command("bash", { ...options, args, env, signal }).output();
      const text = new TextDecoder();
      return { code: ended.code, said: text.decode(ended.stdout), why: text.decode(ended.stderr) };
    },
    async close() {
      server.kill("SIGTERM");
      await server.status;
      life.cancel();
      await lines.cancel();
      await Deno.remove(cwd, { recursive: true });
    },
  };
}

Deno.test("a stranger makes a company, a key and an agent with curl, and reads a call's transcript", async () => {
  const lines = block(await Deno.readTextFile("README.md"), "A company of your own, with curl");
  const { at, run, close } = await setUp();
  try {
    const { code, said, why } = await run(lines.replaceAll("http://localhost:8000", at));
    assert.equal(code, 0, said + why);
    assert.deepEqual(
      said.trimEnd().split("\n").slice(-3).map((line) => line.replace(/^\[\d+:\d\d\] /, "")),
      [
        "Agent: Bike shop, Sam speaking. What can I do for you?",
        "Caller: A new tyre",
        "Agent: I have noted it. Goodbye!",
      ],
      said,
    );
  } finally {
    await close();
  }
});
