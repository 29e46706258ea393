/** The image where there is no Docker: what its Dockerfile copies, in a folder, and its own command run there. */

import { deadline, systemClock } from "@/lib/clock.ts";
import { execForm, only, readStages } from "./dockerfile.ts";

export interface Image {
  /** Runs the image's command with these settings over its own. Nothing else is in its environment. */
  start(settings: Readonly<Record<string, string>>): Container;
  remove(): Promise<void>;
}

export interface Container {
  /** The first line that it prints; all that it wrote instead, as an error, when it ends before. */
  readonly greeting: Promise<string>;
  /** Sends SIGTERM, as Docker and Fly do, and resolves to the exit code. */
  stop(): Promise<number>;
}

/** A container that neither greets nor ends is killed after this. */
const LIFE_MS = 120_000;

/** Copies what the build would. What it would download is taken from this machine's own cache. */
export async function buildImage(dockerfile: string): Promise<Image> {
  const [build = [], image = []] = readStages(dockerfile);
  const root = await Deno.makeTempDir({ prefix: "ringmaster_image_" });
  await Deno.mkdir(`${root}/data`);
  await Deno.mkdir(`${root}/app`);
  for (const { keyword, rest } of build) {
    if (keyword !== "COPY") continue;
    for (const source of rest.split(" ").slice(0, -1)) await copy(source, `${root}/app/${source}`);
  }
  const denoDir = await readDenoDir();
  const local = (text: string): string =>
    text.replaceAll(/(?<=[=,])\/(app|data)\b/g, `${root}/$1`)
      .replaceAll(/(?<=[=,])\/deno-dir\b/g, denoDir);

  return {
    start(settings) {
      const [program, ...args] = execForm(only(image, "CMD"));
      if (program !== "deno") throw new Error(`Not Deno: ${program}`);
      const pairs = only(image, "ENV").split(/\s+/).map((pair) => local(pair).split("="));
      return start(args.map(local), {
        cwd: `${root}/app`,
        env: { ...Object.fromEntries(pairs), DENO_DIR: denoDir, ...settings },
      });
    },
    remove: () => Deno.remove(root, { recursive: true }),
  };
}

function start(
  args: readonly string[],
  { cwd, env }: { cwd: string; env: Record<string, string> },
): Container {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const life = deadline(systemClock, LIFE_MS, () => new Error("The container outlived its time"));
  life.signal.addEventListener("abort", () => child.kill("SIGKILL"));
  const greeting = Promise.withResolvers<string>();
  let said = "";

  async function read(stream: ReadableStream<Uint8Array>, isGreeting: boolean): Promise<void> {
    let text = "";
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      said += piece;
      text += piece;
      const end = text.indexOf("\n");
      if (isGreeting && end !== -1) greeting.resolve(text.slice(0, end));
    }
  }
  const ended = Promise.all([read(child.stdout, true), read(child.stderr, false), child.status])
    .then(([, , { code }]) => {
      life.cancel();
      greeting.reject(new Error(`The container ended with ${code}:\n${said}`));
      return code;
    });

  return {
    greeting: greeting.promise,
    stop() {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

async function readDenoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { denoDir }: { denoDir: string } = JSON.parse(new TextDecoder().decode(stdout));
  return denoDir;
}
