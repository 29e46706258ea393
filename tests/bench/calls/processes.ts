/** Processes on one core each, and what the operating system says of them (Linux). */

const TICKS_PER_SECOND = 100; // USER_HZ: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html

/** As fly.toml has it, for a machine of one core: helpers of a collection would wait for the same one. */
const V8_FLAGS = "--no-parallel-scavenge";

export interface Pinned {
  readonly port: number;
  readonly url: string;
  /** User and system time of all its threads so far. */
  cpuMs(): number;
  rssMb(): number;
  stop(): Promise<void>;
}

/** This process, with all its threads and all that it starts from now on. */
export async function pinSelf(cpu: number): Promise<void> {
  await taskset(["-a", "-c", "-p", String(cpu), String(Deno.pid)]);
}

async function taskset(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("taskset", {
    args: [...args],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`taskset: ${new TextDecoder().decode(stderr)}`);
}

/** What a process holds of the machine's memory. */
export function rssMbOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024;
}

/** A module of this folder, on one core. Resolves when it has printed where it is. */
export async function pinned(
  cpu: number,
  module: string,
  args: readonly string[],
): Promise<Pinned> {
  const child = new Deno.Command("taskset", {
    args: [
      ...["-c", String(cpu), Deno.execPath(), "run", "-q", "-A"],
      ...[new URL(module, import.meta.url).pathname, ...args],
    ],
    env: { DENO_V8_FLAGS: V8_FLAGS },
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { port, url } = JSON.parse((await lines.read()).value ?? "{}");
  const read = (file: string): string => Deno.readTextFileSync(`/proc/${child.pid}/${file}`);
  return {
    port,
    url,
    cpuMs() {
      const [, rest = ""] = /^\d+ \(.*\) (.*)$/s.exec(read("stat")) ?? [];
      const fields = rest.split(" ");
      return (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS_PER_SECOND;
    },
    rssMb: () => rssMbOf(child.pid),
    async stop() {
      child.kill("SIGKILL");
      await child.status;
      await lines.cancel().catch(() => {});
    },
  };
}
