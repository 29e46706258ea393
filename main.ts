/** Ringmaster: reads the settings, wires everything, serves, and drains when it is told to stop. */

import { type HouseKeys, openHouse } from "@/actors/house.ts";
import { readAuditCommand, runAuditCommand } from "@/actors/sealer/audit_command.ts";
import type { CarrierAccount } from "@/actors/desk/equipment.ts";
import type { Speech } from "@/actors/desk/speech_of.ts";
import { prometheusText } from "@/actors/runtime/prometheus.ts";
import { containUnhandled } from "@/actors/runtime/unhandled.ts";
import { connect, type Database } from "@/db/client.ts";
import { DEMO_AGENT_ID, seedDemo, seedDemoKey } from "@/db/demo.ts";
import { readKeysCommand, runKeysCommand } from "@/db/keys_command.ts";
import { migrate } from "@/db/migrate.ts";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { type Config, environment, machineOf, readConfig } from "@/lib/config.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { featuresOf } from "@/lib/features.ts";
import { newToken } from "@/lib/ids.ts";
import { limiterText } from "@/lib/limits/metrics_text.ts";
import { type LocalSecrets, takeLocalSecrets, temporarySecrets } from "@/lib/local_secrets.ts";
import { type Log, newLog } from "@/lib/log.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import { loadTwilio } from "@/lib/providers/carrier/twilio.ts";
import { breakersText } from "@/lib/providers/failover/metrics_text.ts";
import { limitedFetch } from "@/lib/providers/http.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";
import { loadLiveKit } from "@/lib/providers/livekit/server_api.ts";
import { newStores, type Stores } from "@/lib/providers/storage/mod.ts";
import { newNotifier } from "@/lib/providers/notify/mod.ts";
import type { Notifier } from "@/lib/providers/notify/notify.ts";
import { talkPath } from "@/lib/talk.ts";
import { newTunnels } from "@/lib/tunnel.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { watchOver } from "@/lib/watchdog.ts";
import { newApp } from "@/routes/app.ts";
import { mayOpenSocket } from "@/routes/limits.ts";
import { media } from "@/routes/media.ts";
import { newOperatorApp } from "@/routes/operator.ts";
import { listen, PUBLIC_LIMITS } from "@/routes/server.ts";
import { linkSocket } from "@/routes/link_socket.ts";
import { listenSocket } from "@/routes/listen_socket.ts";
import { talkSocket } from "@/routes/talk_socket.ts";
import { newWay } from "@/routes/way.ts";
import project from "./deno.json" with { type: "json" };

/** Twilio's API answers within a second or two; a page of it is a few kilobytes. */
const TWILIO_LIMITS = { headMs: 10_000, idleMs: 5_000, totalMs: 15_000, maxBytes: 1024 * 1024 };
/** Phoning somebody into a room waits for their telephone; lists of a project's rooms may be long. */
const LIVEKIT_LIMITS = { headMs: 8_000, idleMs: 5_000, totalMs: 12_000, maxBytes: 8 * 1024 * 1024 };
/** Another machine answers a carrier as it would itself: longer than its own asks take (`routes/deps.ts`). */
const PASS_ON_LIMITS = { headMs: 3_000, idleMs: 1_000, totalMs: 3_500, maxBytes: 64 * 1024 };
const READY_MS = 1_000;

export interface Server {
  readonly port: number;
  readonly operatorPort: number;
  readonly publicUrl: string;
  readonly operatorToken: string;
  /** An API key of the demo tenant; null where there is no demo. */
  readonly demoKey: string | null;
  /** Takes no new calls, waits for those that live, then stops. */
  drain(): Promise<void>;
  /** Stops at once: live calls end. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly clock?: Clock;
  readonly log: Log;
  /** Keeps the embedded database in memory, and its secrets nowhere. */
  readonly isTemporary?: boolean;
  /** Told once when too many errors have reached nobody: the process should drain and end. */
  readonly untrusted?: () => void;
  /** In place of the configured one. */
  readonly notifier?: Notifier;
  /** In place of the configured ones. */
  readonly stores?: Stores;
  /** In place of those that the settings name. */
  readonly speech?: Partial<Speech>;
  /** A migrated database to use in place of the configured one; it is not closed. */
  readonly database?: Database;
}

/** Migrates, wires and serves. Throws AppError for what is wrong with the settings or the database. */
export async function startServer(config: Config, options: ServerOptions): Promise<Server> {
  const { log, clock = systemClock, isTemporary = false } = options;
  const database = options.database ?? await prepareDatabase(config, { clock, log, isTemporary });
  const secrets = await secretsOf(config, isTemporary);
  const keys = keysOf(config, secrets);
  if (secrets !== null && keys.pepper !== null) {
    const isTalkPublic = [config.stt, config.llm, config.tts]
      .every(({ provider }) => provider === "simulated"); // else strangers would spend money
    await seedDemo(database, { agentName: demoAgent.name, graph: demoAgent, isTalkPublic });
    await seedDemoKey(database, { key: secrets.demoKey, pepper: keys.pepper, at: clock.date() });
  }
  const localToken = isTemporary ? null : secrets?.carrierToken; // a simulated carrier finds it there
  const carrierToken = (config.twilio.authToken ?? localToken)?.reveal() ?? null;
  const operatorToken = (config.operator.token ?? secrets?.operatorToken)?.reveal() ?? newToken();
  const newTwilio = await twilioAt(config, clock);
  const { accountSid, authToken } = config.twilio;
  const carrier = accountSid !== null && authToken !== null
    ? newTwilio({ accountSid, authToken })
    : inboundOnly();
  const containment = containUnhandled({ clock, log, tooMany: () => options.untrusted?.() });

  let app: ReturnType<typeof newApp> | null = null;
  let upgrade: ReturnType<typeof media> | null = null;
  const listener = await listen({
    fetch: (request, bindings) =>
      app?.fetch(request, bindings) ?? new Response(null, { status: 503 }),
  }, {
    hostname: config.listen.host,
    port: config.listen.port,
    clock,
    log,
    // Behind a proxy every connection comes from it: its own bounds hold for addresses.
    limits: config.edge.clientHeader === null
      ? {}
      : { connectionsPerAddressMax: PUBLIC_LIMITS.connectionsMax },
    upgrade: (request) =>
      upgrade?.(request) ?? Promise.resolve({ type: "refuse", status: 503, body: "" }),
  });
  const publicUrl = config.publicUrl ?? `http://localhost:${listener.port}`;
  const machine = machineOf(config, listener.port);
  const house = openHouse({
    config,
    database,
    carrier,
    newCarrier: newTwilio,
    newLiveKit: await liveKitAt(clock),
    publicUrl,
    machine: { ...machine, version: project.version },
    keys,
    speech: options.speech ?? {},
    stores: options.stores ?? newStores(config.storage, { clock, isTemporary }),
    notifier: options.notifier ?? newNotifier(config.mail, { clock, isTemporary }),
    clock,
    log,
  });
  const { system, switchboard } = house;
  const isHere = (callId: string): boolean => switchboard.whose(callId) !== null;
  await house.joined();

  async function notReady(): Promise<string[]> {
    const reasons = system.phase === "running" ? [] : ["draining"];
    const answered = database.lookup("rest", READY_MS, (sql) => sql`select 1`);
    return await answered.then(() => reasons, () => [...reasons, "database"]);
  }

  app = newApp({
    gate: house.gate,
    desk: house.desk,
    feed: house.feed,
    publicUrl,
    edge: config.edge,
    features: featuresOf(config, keys.keyEncryptionKeys !== null && keys.pepper !== null),
    twilioAuthToken: carrierToken,
    version: project.version,
    notReady,
    isDraining: () => system.phase !== "running",
    others: {
      urls: house.otherUrls,
      send: limitedFetch({ provider: "another machine", clock, ...PASS_ON_LIMITS }),
      isHere,
    },
    isShed: house.gauge.isShed,
    refusesCaller: house.refuses,
    random: Math.random,
    limiter: house.limiter,
    addressLimiter: house.addressLimiter,
    plan: house.plans.read,
    clock,
    log,
  });
  // It is made once, and holds the thread for a fifth of a second: before anybody calls.
  if (!isTemporary) await (await app.request(`${publicUrl}/openapi.json`)).body?.cancel();
  const { attach, connected, admit, tapped } = switchboard;
  const way = newWay({
    nodeId: machine.nodeId,
    edge: config.edge,
    pepper: keys.pepper,
    isHere,
    addressOf: house.places.addressOf,
    holderOf: house.holderOf,
    mayOpen: (address) => mayOpenSocket(house.addressLimiter, address),
    tunnels: newTunnels(clock),
    log,
  });
  const byCarrier = media({
    publicUrl,
    authTokenOf: async (callId) => (await house.authTokenOf(callId))?.reveal() ?? carrierToken,
    attach,
    connected,
    log,
  });
  const byPage = talkSocket({
    publicUrl,
    edge: config.edge,
    gate: house.gate,
    desk: house.desk,
    tenantOf: (callId) => switchboard.whose(callId)?.tenantId ?? null,
    attach,
    connected,
    mayOpen: way.mayOpen,
    log,
  });
  const byListener = listenSocket({ admit, tapped, mayOpen: way.mayOpen, log });
  const byMachine = linkSocket({ links: house.links, log });
  upgrade = async (request) =>
    await (byMachine(request) ?? way.elsewhere(request)) ??
      await (byPage(request) ?? byListener(request) ?? byCarrier(request));
  const operator = await listen(
    newOperatorApp({
      token: operatorToken,
      inspection: system,
      roster: house.roster,
      gate: house.gate,
      desk: house.desk,
      pressure: () => ({
        ...house.gauge.view(),
        tokens: house.tokens.view(),
        waiting: house.queue.length,
      }),
      alarms: house.alarms.view,
      metrics: () =>
        prometheusText(system.metrics()) + limiterText(house.limiterMetrics()) +
        breakersText(house.breakers.view()) + house.meter.text() + way.text() + house.linksText() +
        house.gauge.text() + house.alarms.text(),
      log,
    }),
    { hostname: config.operator.host, port: config.operator.port, clock, log },
  );

  let stopping: Promise<void> | null = null;
  function stop(): Promise<void> {
    stopping ??= (async () => {
      await house.close();
      await Promise.all([listener.close(), operator.close()]);
      containment.release();
      if (options.database === undefined) await database.close();
    })();
    return stopping;
  }

  return {
    port: listener.port,
    operatorPort: operator.port,
    publicUrl,
    operatorToken,
    demoKey: secrets?.demoKey.reveal() ?? null,
    async drain() {
      await house.drain();
      await stop();
    },
    stop,
  };
}

async function openDatabase(
  config: Config,
  { clock, log, isTemporary }: { clock: Clock; log: Log; isTemporary: boolean },
): Promise<Database> {
  if (config.database.type === "postgres") {
    return await connect({ at: { url: config.database.url.reveal() }, clock, log });
  }
  const dir = isTemporary ? null : config.database.dataDir;
  return await connect({ at: { embedded: { dir } }, clock, log });
}

async function prepareDatabase(
  config: Config,
  options: { clock: Clock; log: Log; isTemporary: boolean },
): Promise<Database> {
  const database = await openDatabase(config, options);
  await migrate(database, { log: options.log });
  return database;
}

/** Null for one of many machines: what they share is set, not made. */
async function secretsOf(config: Config, isTemporary: boolean): Promise<LocalSecrets | null> {
  if (isTemporary) return temporarySecrets();
  if (config.database.type === "postgres") return null;
  return await takeLocalSecrets(config.database.dataDir);
}

/** The house's keys: as set, then those of this machine. */
function keysOf({ auth }: Config, secrets: LocalSecrets | null): HouseKeys {
  const local = secrets && { name: "local", key: secrets.keyEncryptionKey };
  const set = auth.keyEncryptionKeys ?? [];
  // Of an installation that is given keys later, the one it made still opens what it has wrapped.
  const all = local === null || set.some(({ name }) => name === local.name) ? set : [...set, local];
  return {
    keyEncryptionKeys: all.length === 0 ? null : all,
    pepper: auth.pepper ?? secrets?.pepper ?? null,
  };
}

/** Makes the carrier of an account of Twilio's, the house's or a tenant's. */
async function twilioAt(
  { twilio: { apiUrl } }: Config,
  clock: Clock,
): Promise<(account: CarrierAccount) => Carrier> {
  const newTwilio = await loadTwilio();
  const fetch = limitedFetch({ provider: "twilio", clock, ...TWILIO_LIMITS });
  return ({ accountSid, authToken }) =>
    newTwilio({ accountSid, authToken: authToken.reveal(), apiUrl, fetch });
}

/** Makes the client of a LiveKit project, the house's or a tenant's. */
async function liveKitAt(clock: Clock): Promise<(account: LiveKitAccount) => LiveKit> {
  const newLiveKit = await loadLiveKit();
  const fetch = limitedFetch({ provider: "livekit", clock, ...LIVEKIT_LIMITS });
  return (account) => newLiveKit({ ...account, fetch });
}

async function main(args: readonly string[]): Promise<void> {
  const config = readConfig(environment());
  const log = newLog({ ...config.log, date: () => systemClock.date() });
  switch (args[0]) {
    case "migrate": {
      const database = await openDatabase(config, { clock: systemClock, log, isTemporary: false });
      const ran = await migrate(database, { log });
      await database.close();
      return say(ran.length === 0 ? "Up to date" : `Ran ${ran.join(", ")}`);
    }
    case "audit": {
      const command = readAuditCommand(args.slice(1));
      const database = await openDatabase(config, { clock: systemClock, log, isTemporary: false });
      const isWhole = await runAuditCommand(database, command, { date: systemClock.date(), say });
      await database.close();
      return Deno.exit(isWhole ? 0 : 1);
    }
    case "keys": {
      const command = readKeysCommand(args.slice(1));
      const keys = keysOf(config, await secretsOf(config, false)).keyEncryptionKeys;
      const database = await openDatabase(config, { clock: systemClock, log, isTemporary: false });
      const isWhole = await runKeysCommand(database, command, { keys, log, say });
      await database.close();
      return Deno.exit(isWhole ? 0 : 1);
    }
    case "start":
      return await serve(config, log);
    default:
      throw new AppError(
        "invalid",
        `No such command "${args[0] ?? ""}": start, migrate, audit or keys`,
      );
  }
}

async function serve(config: Config, log: Log): Promise<void> {
  const server = await startServer(config, { log, untrusted: () => end(1) });
  watchOver({ clock: systemClock, stuckMs: config.stuckMs });
  let isEnding = false;
  /** Drains, then ends the process; asked again, it stops at once. */
  function end(code: number): void {
    const ended = isEnding ? server.stop() : server.drain();
    isEnding = true;
    void ended.then(() => Deno.exit(code));
  }
  const made = config.operator.token === null ? `, operator token ${server.operatorToken}` : "";
  const operator = `http://${config.operator.host}:${server.operatorPort}`;
  const { database } = config;
  const demo = database.type === "embedded"
    ? `, talk to the demo at ${server.publicUrl}${talkPath(DEMO_AGENT_ID)}` +
      `, its key in ${database.dataDir}/secrets.json ("demoKey")`
    : "";
  say(
    `Ringmaster ${project.version} at ${server.publicUrl}, operators at ${operator}${made}${demo}`,
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => end(0));
  }
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  main(Deno.args).catch((error) => {
    Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
    Deno.exit(1);
  });
}
