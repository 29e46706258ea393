/** Runs a load: `deno task load NAME [--json]`. With `--json` one JSON line is all of standard output. */

export interface Load {
  /** `args` are those after the name, without `--json`. */
  run(args: readonly string[]): Promise<Record<string, unknown>>;
}

const LOADS: Readonly<Record<string, () => Promise<Load>>> = {
  calls: () => import("./calls.ts"),
  faults: () => import("./faults.ts"),
  overload: () => import("./overload.ts"),
  slow: () => import("./slow.ts"),
  sqlmap: () => import("./sqlmap.ts"),
  timing: () => import("./timing.ts"),
};

function print(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

const [name = "", ...args] = Deno.args;
const load = LOADS[name];
if (load === undefined) {
  print(
    Deno.stderr,
    `Usage: deno task load NAME [--json]   NAME: ${Object.keys(LOADS).join(", ")}`,
  );
  Deno.exit(2);
}
const figures = await (await load()).run(args.filter((argument) => argument !== "--json"));
print(Deno.stdout, JSON.stringify(figures, null, args.includes("--json") ? 0 : 2));
Deno.exit(figures.failed === 0 ? 0 : 1);
