/** Runs a benchmark: `deno task bench NAME [--json]`. With `--json` one JSON line is all of standard output. */

export interface Benchmark {
  /** `args` are those after the name, without `--json`. The result is one flat or nested JSON object. */
  run(args: readonly string[]): Promise<Record<string, unknown>>;
}

const FOLDER = new URL("./", import.meta.url);

async function names(): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(FOLDER));
  return entries.filter(({ isFile, name }) => isFile && name.endsWith(".ts") && name !== "main.ts")
    .map(({ name }) => name.slice(0, -".ts".length)).sort();
}

function print(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** `key  value` lines; nested objects become `key.inner`. */
function table(result: Record<string, unknown>): string {
  const rows = rowsOf(result, "");
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

function rowsOf(result: object, prefix: string): [string, string][] {
  return Object.entries(result).flatMap(([name, value]: [string, unknown]) => {
    if (typeof value === "object" && value !== null) return rowsOf(value, `${prefix}${name}.`);
    const text = typeof value === "number" ? value.toLocaleString("en") : String(value);
    return [[`${prefix}${name}`, text] satisfies [string, string]];
  });
}

const [name, ...rest] = Deno.args;
const known = await names();
if (name === undefined || !known.includes(name)) {
  print(Deno.stderr, `Usage: deno task bench NAME [--json]   NAME: ${known.join(", ")}`);
  Deno.exit(2);
}
const benchmark: Benchmark = await import(new URL(`${name}.ts`, FOLDER).href);
const result = await benchmark.run(rest.filter((argument) => argument !== "--json"));
print(Deno.stdout, rest.includes("--json") ? JSON.stringify(result) : table(result));
