/** One part of the tests: some files in one `deno test` process, counted from what that process says it ran. */

import { deadline, systemClock } from "@/lib/clock.ts";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Part {
  readonly name: string;
  /** Whether a test file, by its path from the top folder, belongs to this part. */
  readonly owns: (file: string) => boolean;
  /** What must run beside it, as a database server. Started only when there is something to run. */
  readonly beside?: () => Promise<Beside>;
}

export interface Beside {
  /** What tells the tests of it. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** What a command line asks for: flags go to every `deno test`, paths choose files. */
export interface Selection {
  readonly flags: readonly string[];
  readonly paths: readonly string[];
}

/** Reads a command line. A flag with a value is written `--flag=value`, and `--filter` also `--filter value`. */
export function readSelection(args: readonly string[]): Selection {
  const flags: string[] = [];
  const paths: string[] = [];
  for (const [i, arg] of args.entries()) {
    if (arg.startsWith("-") || args[i - 1] === "--filter") flags.push(arg);
    else paths.push(arg.replace(/^(\.\/)+|\/+$/g, ""));
  }
  return { flags, paths };
}

export const isSelected = (file: string, paths: readonly string[]): boolean =>
  paths.length === 0 || paths.some((path) => file === path || file.startsWith(`${path}/`));

const NONE: Counts = { passed: 0, failed: 0, skipped: 0 };

/** Runs those of the files that the part owns. A part that breaks, or ends before its end, counts as a failure. */
export async function runPart(
  part: Part,
  files: readonly string[],
  flags: readonly string[],
): Promise<Counts> {
  const own = files.filter(part.owns);
  if (own.length === 0) return NONE;
  const beside = await part.beside?.();
  try {
    return await runTests([...flags, ...own], beside?.env ?? {});
  } finally {
    await beside?.stop();
  }
}

/** `deno test` with these arguments, its output passed on as it comes. Types are `deno check`'s work. */
async function runTests(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Counts> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--no-prompt", "--parallel", ...args],
    env: { ...env, ...(Deno.stdout.isTerminal() ? { FORCE_COLOR: "1" } : {}) },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const life = deadline(systemClock, PART_MAX_MS, () => new Error("The part took too long"));
  life.signal.addEventListener("abort", () => child.kill("SIGKILL"));
  let tail = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    await writeAll(bytes);
    tail = (tail + decoder.decode(bytes, { stream: true })).slice(-SUMMARY_MAX);
  }
  const { success } = await child.status;
  life.cancel();
  const counts = readSummary(tail);
  if (counts === null) return { ...NONE, failed: 1 };
  return success || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

/** A part that hangs is ended after this, and counts as a failure. */
const PART_MAX_MS = 12 * 60_000;
/** The summary stands at the very end; this much of the output is kept to find it. */
const SUMMARY_MAX = 4096;

const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed(?: \(.*?\))? \| (\d+) failed(?: \(.*?\))?(.*)$/gm;

/** The last summary line of `deno test`, or null when it never got so far. */
export function readSummary(output: string): Counts | null {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  const last = [...plain.matchAll(SUMMARY)].at(-1);
  if (last === undefined) return null;
  const [, passed, failed, rest = ""] = last;
  const ignored = /\| (\d+) ignored/.exec(rest)?.[1] ?? 0;
  return { passed: Number(passed), failed: Number(failed), skipped: Number(ignored) };
}

export function sum(counts: readonly Counts[]): Counts {
  return counts.reduce((total, one) => ({
    passed: total.passed + one.passed,
    failed: total.failed + one.failed,
    skipped: total.skipped + one.skipped,
  }), NONE);
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await Deno.stdout.write(bytes.subarray(written));
}
