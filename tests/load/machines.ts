/** Several machines of one installation, each a process, with one PostgreSQL and one address for all of them. */

import type { ClusterView } from "@/actors/cluster/roster.ts";
import { connect } from "@/db/client.ts";
import { DEMO_TENANT_ID, seedDemo, seedDemoKey } from "@/db/demo.ts";
import { migrate } from "@/db/migrate.ts";
import { updateLimitOverrides } from "@/db/tenant_limits.ts";
import { deadline, sleep, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { temporarySecrets } from "@/lib/local_secrets.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { type PostgresServer, startPostgres } from "@/tests/support/postgres_server.ts";
import { newSid, startTwilio } from "@/tests/support/twilio.ts";
import { watchWrites, witnessed } from "@/tests/support/write_witness.ts";
import { startFront } from "./front.ts";
import { type Ground, type GroundNeeds, prepareGround } from "./ground.ts";
import type { Target } from "./phone.ts";

/** Of the demo's company: how many calls there are, only the machines decide. */
const CALLS_MAX = 1_000;
const LIMIT_MS = 5_000;
const START = ["run", "-q", "-A", "main.ts", "start"];
/** While they start, one of these ends them; from then on that is for whoever started them. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const LOOK_MS = 2_000;
const JOIN_POLL_MS = 100;
/** A machine that has not joined by then does not. */
const JOIN_MS = 30_000;
/** A machine without calls has ended long before. */
const LEAVE_MS = 10_000;

export interface MachineOptions {
  readonly nodes: number;
  /** Of the one address; the machines and their operators' listeners have those behind it. 0: any free ones. */
  readonly port: number;
  /** Settings of every machine, in place of what is set here. */
  readonly env?: Readonly<Record<string, string>>;
  /** Who answers the demo's number; the demo agent when absent. */
  readonly agent?: Graph;
  /** What can fail under them. */
  readonly needs?: GroundNeeds;
}

export interface Machine {
  /** From 1. */
  readonly number: number;
  /** As it calls itself. */
  readonly nodeId: string;
  readonly pid: number;
  readonly url: string;
  readonly operatorUrl: string;
  /** How its process ended; null while it runs. */
  readonly ended: string | null;
}

export interface Machines {
  readonly url: string;
  /** Of all operators' listeners. */
  readonly operatorToken: string;
  /** What phones it as the carrier does; closing it closes nothing. */
  readonly target: Target;
  readonly postgres: PostgresServer;
  readonly ground: Ground;
  /** Of each number the newest process. */
  readonly machines: readonly Machine[];
  /** Throws AppError("not_found") for a number that is none. Resolves when its process has ended, but for STOP and CONT. */
  signal(number: number, signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** A new process in place of one that has ended, or another machine. Resolves when it has joined. */
  start(number: number): Promise<Machine>;
  /** Resolves when all that there were run, as active members: those that have ended are started anew. */
  whole(): Promise<void>;
  /** As an operator's listener of any machine that runs answers; null: none runs. */
  cluster(): Promise<ClusterView | null>;
  /** Calls come to their ends, for so long, or until told again; then all machines leave. What does not is killed. */
  close(callsMs?: number): Promise<void>;
}

interface Running extends Machine {
  readonly child: Deno.ChildProcess;
  readonly address: string;
  readonly gone: Promise<void>;
  ended: string | null;
}

/** Resolves when all have joined. */
export async function startMachines(options: MachineOptions): Promise<Machines> {
  const postgres = await startPostgres({ detached: true });
  const secrets = temporarySecrets();
  const authToken = secrets.carrierToken.reveal();
  const operatorToken = secrets.operatorToken.reveal();
  const twilio = startTwilio({ clock: systemClock, accountSid: newSid("AC"), authToken });
  const dataDir = await Deno.makeTempDir({ prefix: "ringmaster_cluster_" });
  const front = await startFront({ port: options.port });
  const ground = await prepareGround(options.needs ?? {}, {
    postgresUrl: postgres.url,
    twilioUrl: twilio.url,
  });
  const url = `http://localhost:${front.port}`;
  const running = new Map<number, Running>();
  const live = new Set<Deno.ChildProcess>(); // those that have not joined yet as well

  const database = await connect({
    at: { url: postgres.url },
    clock: systemClock,
    log: silentLog,
  });
  await migrate(database, { log: silentLog });
  const { agent = demoAgent } = options;
  await seedDemo(database, { agentName: agent.name, graph: agent, isTalkPublic: true });
  await seedDemoKey(database, {
    key: secrets.demoKey,
    pepper: secrets.pepper,
    at: systemClock.date(),
  });
  await database.asTenant(
    "rest",
    DEMO_TENANT_ID,
    LIMIT_MS,
    (sql) => updateLimitOverrides(sql, DEMO_TENANT_ID, { concurrentCalls: CALLS_MAX }),
  );
  await watchWrites(database);
  await database.close();
  let starts = 0;
  let closed: Promise<void> | null = null;
  let toldAgain = (): void => {};

  async function start(number: number): Promise<Machine> {
    if (running.get(number)?.ended === null) {
      throw new AppError("conflict", `Machine ${number} runs already`);
    }
    const { command, host, postgresUrl, env } = await ground.place(number);
    const [program = "", ...args] = [...command, Deno.execPath(), ...START];
    const child = new Deno.Command(program, {
      args,
      env: {
        LOG_LEVEL: "error",
        SHED_LAG_MS: "0", // they share the processors of one machine
        ...options.env,
        ...env,
        HOST: host,
        OPERATOR_HOST: host,
        PORT: String(options.port === 0 ? 0 : options.port + number),
        OPERATOR_PORT: String(options.port === 0 ? 0 : options.port + 1_000 + number),
        OPERATOR_TOKEN: operatorToken,
        PUBLIC_URL: url,
        DATABASE_URL: witnessed(postgresUrl, `machine_${number}_${++starts}`),
        DATA_DIR: dataDir,
        KEY_ENCRYPTION_KEYS: `cluster:${secrets.keyEncryptionKey.reveal()}`,
        TOKEN_PEPPER: secrets.pepper.reveal(),
        MACHINES: String(options.nodes),
        TWILIO_API_URL: ground.twilioUrl,
        TWILIO_ACCOUNT_SID: twilio.accountSid,
        TWILIO_AUTH_TOKEN: authToken,
      },
      detached: true, // a terminal's Ctrl-C does not reach it
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    live.add(child);
    const ended = child.status.finally(() => live.delete(child));
    const said = await firstLine(child);
    const operatorUrl = /operators at ([^\s,]+)/.exec(said)?.[1];
    if (operatorUrl === undefined) throw new Error(`Machine ${number} did not start`);
    const { nodeId, address } = await joined(operatorUrl);
    const machine: Running = {
      ...{ number, nodeId, child, address, operatorUrl, pid: child.pid, ended: null },
      url: `http://${address}`,
      gone: ended.then(({ signal, code }) => {
        machine.ended = signal ?? `code ${code}`;
        front.remove(address);
      }),
    };
    running.set(number, machine);
    front.add(address);
    return machine;
  }

  /** As it shows itself, once it is one of the active machines. */
  async function joined(operatorUrl: string): Promise<ClusterView["nodes"][number]> {
    const until = systemClock.now() + JOIN_MS;
    while (systemClock.now() < until) {
      const { nodes } = await clusterAt(operatorUrl).catch(() => ({ nodes: [] }));
      const self = nodes.find(({ isSelf, state }) => isSelf && state === "active");
      if (self !== undefined) return self;
      await sleep(systemClock, JOIN_POLL_MS);
    }
    throw new Error("A machine did not join in time");
  }

  async function clusterAt(operatorUrl: string): Promise<ClusterView> {
    const headers = { Authorization: `Bearer ${operatorToken}` };
    const { signal, cancel } = deadline(systemClock, LOOK_MS, () => new Error("No answer"));
    try {
      const response = await fetch(`${operatorUrl}/cluster`, { headers, signal });
      if (!response.ok) throw new Error(`/cluster answered ${response.status}`);
      return await response.json(); // as the roster made it
    } finally {
      cancel();
    }
  }

  const giveUp = (): void => void close(0).then(() => Deno.exit(1));
  for (const signal of SIGNALS) Deno.addSignalListener(signal, giveUp);
  try {
    const starts = Array.from({ length: options.nodes }, (_, nth) => start(nth + 1));
    await Promise.allSettled(starts);
    await Promise.all(starts);
  } catch (error) {
    await close(0);
    throw error;
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, giveUp);
  }
  return {
    url,
    operatorToken,
    postgres,
    ground,
    target: {
      url,
      carrierToken: authToken,
      apiKey: secrets.demoKey.reveal(),
      twilio,
      close: () => Promise.resolve(),
    },
    get machines() {
      return [...running.values()].sort((a, b) => a.number - b.number);
    },
    async signal(number, signal) {
      const machine = running.get(number);
      if (machine === undefined) throw new AppError("not_found", `There is no machine ${number}`);
      if (machine.ended !== null) throw new AppError("conflict", `Machine ${number} has ended`);
      machine.child.kill(signal);
      if (signal === "SIGKILL" || signal === "SIGTERM") await machine.gone;
    },
    start,
    async whole() {
      await Promise.all(
        [...running.values()].map(({ number, ended, operatorUrl }) =>
          ended === null ? joined(operatorUrl) : start(number)
        ),
      );
    },
    async cluster() {
      for (const { ended, operatorUrl } of running.values()) {
        if (ended !== null) continue;
        const view = await clusterAt(operatorUrl).catch(() => null);
        if (view !== null) return view;
      }
      return null;
    },
    close,
  };

  async function close(callsMs = 0): Promise<void> {
    const waited = Promise.withResolvers<unknown>();
    toldAgain();
    toldAgain = () => waited.resolve(null);
    // All leave at once: there is nobody to hand a call over to.
    const cancelWait = systemClock.timer(callsMs, () => waited.resolve(null));
    await Promise.race([Promise.all(twilio.calls.map(({ ended }) => ended)), waited.promise]);
    cancelWait();
    signalAll("SIGCONT");
    signalAll("SIGTERM"); // a second one ends them at once
    const cancel = systemClock.timer(LEAVE_MS, () => signalAll("SIGKILL"));
    await Promise.all([...live].map(({ status }) => status));
    cancel();
    await (closed ??= closeRest());
  }

  function signalAll(signal: Deno.Signal): void {
    for (const child of live) child.kill(signal);
  }

  async function closeRest(): Promise<void> {
    await front.close();
    await twilio.close();
    await ground.close();
    await postgres.stop();
    await Deno.remove(dataDir, { recursive: true });
  }
}

/** What a process prints first; the rest is let go. Empty: it has ended. */
async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await lines.read();
  void (async () => {
    while (!(await lines.read()).done);
  })();
  return value;
}
