/** `deno task cluster`: several machines on this one, with one address, that can be killed and phoned while one looks on. */

import { parseArgs } from "node:util";
import { DEMO_AGENT_ID, DEMO_NUMBER } from "@/db/demo.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { talkPath } from "@/lib/talk.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { printer } from "./call_printer.ts";
import { type Machines, startMachines } from "./machines.ts";
import { FROM } from "./dial.ts";
import { phone } from "./phone.ts";

const NODES_MAX = 9;
/** When all machines leave, nobody can have their calls: they are waited for. */
const CALLS_MS = 300_000;
/** Without Redis each machine grants its part of a key's limit. */
const LOOK_EVERY_MS = 1_000;
const COMMANDS = `  call       phone the demo agent, and print what is said
  nodes      what the machines know of each other
  kill N     end machine N at once, as a crash does
  stop N     have it hand its calls over and leave, as a deploy does
  freeze N   SIGSTOP; thaw N: SIGCONT
  start N    a new machine in its place
  quit`;

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      nodes: { type: "string", default: "3" },
      port: { type: "string", default: "8000" },
    },
  });
  const nodes = whole("--nodes", values.nodes, 1, NODES_MAX);
  const port = whole("--port", values.port, 0, 60_000);
  const machines = await startMachines({ nodes, port });
  say(`${nodes} machines behind ${machines.url}, one PostgreSQL at ${machines.postgres.url}`);
  say(
    `Operators' token ${machines.operatorToken}; talk to the demo at ${machines.url}${
      talkPath(DEMO_AGENT_ID)
    }`,
  );
  for (const { number, pid, url, operatorUrl } of machines.machines) {
    say(`  machine ${number}  pid ${pid}  ${url}  operators ${operatorUrl}`);
  }
  say(`\n${COMMANDS}\n`);
  let isClosing = false;
  const close = async (): Promise<void> => {
    if (!isClosing) say("Calls come to their ends; again: all ends at once");
    isClosing = true;
    await machines.close(CALLS_MS);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => void close().then(() => Deno.exit(0)));
  }
  try {
    for await (const line of linesOf(Deno.stdin.readable)) {
      if (line === "quit") break;
      // A call goes on while others are typed.
      void obey(machines, line).catch((error) => say(messageOf(error)));
    }
  } finally {
    await close();
  }
}

async function obey(machines: Machines, line: string): Promise<void> {
  const [command = "", nth = ""] = line.split(/\s+/);
  switch (command) {
    case "":
      return;
    case "call":
      return await call(machines);
    case "nodes":
      return await show(machines);
    case "kill":
    case "stop":
    case "freeze":
    case "thaw": {
      const number = whole("N", nth, 1, NODES_MAX);
      await machines.signal(number, SIGNALS[command]);
      return say(`machine ${number}: ${command} done`);
    }
    case "start": {
      const { number, pid, url } = await machines.start(whole("N", nth, 1, NODES_MAX));
      return say(`machine ${number}: pid ${pid}, ${url}`);
    }
    default:
      say(COMMANDS);
  }
}

const SIGNALS = { kill: "SIGKILL", stop: "SIGTERM", freeze: "SIGSTOP", thaw: "SIGCONT" } as const;

async function call({ target }: Machines): Promise<void> {
  const print = printer(false);
  const options = { from: FROM, to: DEMO_NUMBER, lines: demoCaller, agentId: null };
  print.begin(options);
  const rest = { bargeInAtMs: null, wavFile: null };
  print.end(await phone(target, { ...options, ...rest }, print.event, LOOK_EVERY_MS));
}

async function show({ cluster, machines }: Machines): Promise<void> {
  const view = await cluster();
  for (const { number, pid, ended, url } of machines) {
    const port = url.slice(url.lastIndexOf(":"));
    const node = view?.nodes.find(({ address }) => address.endsWith(port));
    const seen = node === undefined
      ? "not a member"
      : `${node.state}, boot ${node.incarnation}, beat ${node.beat}, ${node.load} calls, ${
        JSON.stringify(node.actors)
      }`;
    say(
      `  machine ${number}  pid ${pid}  ${ended === null ? "runs" : `ended by ${ended}`}  ${seen}`,
    );
  }
  const orphans = Object.entries(view?.orphans ?? {});
  if (orphans.length > 0) say(`  nobody has: ${JSON.stringify(Object.fromEntries(orphans))}`);
}

function whole(field: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new AppError("invalid", `${field} takes a whole number from ${min} to ${max}`, { field });
}

async function* linesOf(input: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncIterable<string> {
  let rest = "";
  for await (const piece of input.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.map((line) => line.trim());
  }
}

main().then(() => Deno.exit(0), (error) => {
  Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
  Deno.exit(2);
});
