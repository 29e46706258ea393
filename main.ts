/** Ringmaster: reads the settings, wires everything, serves, and drains when it is told to stop. */

import { call, type CallDeps, callKind, type CallMessage } from "@/actors/call/call.ts";
import type { CallSettings } from "@/actors/call/call.ts";
import { callStore } from "@/actors/call/store.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import { desk, deskKind, type Line } from "@/actors/desk/desk.ts";
import { deskStore } from "@/actors/desk/store.ts";
import { gate, gateKind } from "@/actors/gate/gate.ts";
import { recorder, recorderKind, type RecorderMessage } from "@/actors/recorder/recorder.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { prometheusText } from "@/actors/runtime/prometheus.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { containUnhandled } from "@/actors/runtime/unhandled.ts";
import { connect, type Database } from "@/db/client.ts";
import { DEMO_TENANT_ID, seedDemo } from "@/db/demo.ts";
import { numberOwner } from "@/db/lookups.ts";
import { migrate } from "@/db/migrate.ts";
import { type Clock, sleep, systemClock } from "@/lib/clock.ts";
import { type Config, environment, readConfig } from "@/lib/config.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { newId, newToken } from "@/lib/ids.ts";
import { type LocalSecrets, takeLocalSecrets, temporarySecrets } from "@/lib/local_secrets.ts";
import { type Log, newLog } from "@/lib/log.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import { twilio } from "@/lib/providers/carrier/twilio.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { newLlm } from "@/lib/providers/llm/mod.ts";
import { newStt } from "@/lib/providers/stt/mod.ts";
import { newTts } from "@/lib/providers/tts/mod.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { newApp } from "@/routes/app.ts";
import { type AttachAnswer, media } from "@/routes/media.ts";
import { newOperatorApp } from "@/routes/operator.ts";
import { listen } from "@/routes/server.ts";
import project from "./deno.json" with { type: "json" };

/** A drain waits for live calls this long: under Fly's most, `kill_timeout = "300s"`. */
const DRAIN_MS = 280_000;
/** Calls that are told to end have this long to hang up and to store how they came out. */
const STOP_MS = 5_000;
const POLL_MS = 50;
const FLUSH_MS = 10_000;
const LOOKUP_MS = 1_000;
const READY_MS = 1_000;

export interface Server {
  readonly port: number;
  readonly operatorPort: number;
  readonly publicUrl: string;
  readonly operatorToken: string;
  /** What the carrier must sign with. */
  readonly carrierToken: string;
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
  /** A migrated database to use in place of the configured one; it is not closed. */
  readonly database?: Database;
}

/** Migrates, wires and serves. Throws AppError for what is wrong with the settings or the database. */
export async function startServer(config: Config, options: ServerOptions): Promise<Server> {
  const { log, clock = systemClock, isTemporary = false } = options;
  const database = options.database ?? await prepareDatabase(config, { clock, log, isTemporary });
  const secrets = await secretsOf(config, isTemporary);
  const carrierToken = config.twilio.authToken ?? secrets.carrierToken;
  const operatorToken = (config.operator.token ?? secrets.operatorToken).reveal();
  const carrier = await carrierOf(config);

  const system = newSystem({ clock, log });
  system.watchLag();
  const containment = containUnhandled({ clock, log, tooMany: () => void drain() });
  const ticker = newTicker(clock);
  const events = system.spawn(recorderKind, "recorder", () => recorder({ database, log }));
  const providers = providersOf(config, clock);

  let app: ReturnType<typeof newApp> | null = null;
  let upgrade: ReturnType<typeof media> | null = null;
  const listener = await listen({
    fetch: (request) => app?.fetch(request) ?? new Response(null, { status: 503 }),
  }, {
    hostname: config.listen.host,
    port: config.listen.port,
    clock,
    log,
    upgrade: (request) =>
      upgrade?.(request) ?? Promise.resolve({ type: "refuse", status: 503, body: "" }),
  });
  const publicUrl = config.publicUrl ?? `http://localhost:${listener.port}`;

  /** Whose the live calls are: a desk finds none but its own. */
  const tenants = new Map<string, string>();
  let lines = 0;
  function takeLine(): Line | null {
    if (lines >= config.maxCalls || system.phase !== "running") return null;
    lines++;
    let isTaken = true;
    return {
      release() {
        if (isTaken) lines--;
        isTaken = false;
      },
    };
  }

  function startCall(settings: CallSettings, line: Line): Ref<CallMessage> | null {
    if (system.phase !== "running" || providers instanceof AppError) return null;
    const store = callStore(settings, { database, recorder: events });
    const resumeUrl = `${publicUrl}/twilio/calls/${settings.callId}`;
    const deps: CallDeps = {
      ...providers,
      ...store,
      nodeId: config.nodeId,
      carrier,
      newProtocol: twilioMedia,
      ticker,
      newToken,
      urls: { answerUrl: `${resumeUrl}/resume`, statusUrl: `${resumeUrl}/status` },
      log,
    };
    tenants.set(settings.callId, settings.tenantId);
    return system.spawn(callKind, settings.callId, () => call(settings, deps), {
      stopped(reason) {
        line.release();
        tenants.delete(settings.callId);
        if (reason.type === "done") return;
        const { callId } = settings;
        log.error("call broke off", { callId, reason });
        store.breakOff(reason.type === "crashed" ? "crashed" : "stopped", clock.date()).catch(
          (error) => log.error("end of a call not stored", { callId, error }),
        );
      },
    });
  }

  const door = system.spawn(gateKind, "gate", () =>
    gate({
      numberOwner: (number) =>
        database.lookup("calls", LOOKUP_MS, (sql) => numberOwner(sql, number)),
    }));
  system.register(deskKind, (tenantId) =>
    desk({
      ...deskStore(database, tenantId, { clock, carrier: carrier.provider }),
      tenantId,
      newCallId: () => newId("call"),
      missing: () => providers instanceof AppError ? providers : null,
      takeLine,
      startCall,
      findCall: (callId) => tenants.get(callId) === tenantId ? system.find(callKind, callId) : null,
      log,
    }));

  async function notReady(): Promise<string[]> {
    const reasons = system.phase === "running" ? [] : ["draining"];
    const database_ = database.lookup("rest", READY_MS, (sql) => sql`select 1`);
    return await database_.then(() => reasons, () => [...reasons, "database"]);
  }

  app = newApp({
    gate: door,
    desk: (tenantId) => system.at(deskKind, tenantId),
    publicUrl,
    twilioAuthToken: carrierToken.reveal(),
    api: { token: operatorToken, tenantId: DEMO_TENANT_ID },
    version: project.version,
    notReady,
    clock,
    log,
  });
  upgrade = media({
    publicUrl,
    twilioAuthToken: carrierToken.reveal(),
    attach: async ({ callId, epoch, token }) => {
      const found = system.find(callKind, callId);
      if (found === null) return "missing";
      return await found.ask<AttachAnswer>((reply) => ({ type: "attach", epoch, token, reply }));
    },
    connected(callId, socket) {
      const found = system.find(callKind, callId);
      if (found === null) return socket.close(1008, "Call has ended");
      found.send({ type: "connected", socket });
    },
    log,
  });
  const operator = await listen(
    newOperatorApp({
      token: operatorToken,
      inspection: system,
      metrics: () => prometheusText(system.metrics()),
      log,
    }),
    { hostname: config.operator.host, port: config.operator.port, clock, log },
  );

  let stopping: Promise<void> | null = null;
  function stop(): Promise<void> {
    stopping ??= (async () => {
      for (const { id } of system.list(callKind.name)) {
        system.find(callKind, id)?.send({ type: "hangUp" });
      }
      await callsEnded(STOP_MS);
      await flush(events, log);
      await system.shutdown();
      await Promise.all([listener.close(), operator.close()]);
      containment.release();
      if (options.database === undefined) await database.close();
    })();
    return stopping;
  }

  async function drain(): Promise<void> {
    log.info("draining", { calls: system.count(callKind.name) });
    system.drain({ serves: ["desk", "gate", "recorder", "call"] });
    await callsEnded(DRAIN_MS);
    await stop();
  }

  async function callsEnded(withinMs: number): Promise<void> {
    const until = clock.now() + withinMs;
    while (system.count(callKind.name) > 0 && clock.now() < until) await sleep(clock, POLL_MS);
  }

  return {
    port: listener.port,
    operatorPort: operator.port,
    publicUrl,
    operatorToken,
    carrierToken: carrierToken.reveal(),
    drain,
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

/** Up to date, and with the demo to call when it is the embedded one and empty. */
async function prepareDatabase(
  config: Config,
  options: { clock: Clock; log: Log; isTemporary: boolean },
): Promise<Database> {
  const database = await openDatabase(config, options);
  await migrate(database, { log: options.log });
  if (database.isEmbedded) {
    await seedDemo(database, { agentName: demoAgent.name, graph: demoAgent });
  }
  return database;
}

async function secretsOf(config: Config, isTemporary: boolean): Promise<LocalSecrets> {
  if (isTemporary || config.database.type === "postgres") return temporarySecrets();
  return await takeLocalSecrets(config.database.dataDir);
}

async function carrierOf({ twilio: { accountSid, authToken, apiUrl } }: Config): Promise<Carrier> {
  if (accountSid === null || authToken === null) return inboundOnly();
  return await twilio({ accountSid, authToken: authToken.reveal(), apiUrl });
}

/** The providers of every call; or what is missing, which callers are told while the rest works. */
function providersOf(
  config: Config,
  clock: Clock,
): Pick<CallDeps, "stt" | "llm" | "tts"> | AppError {
  try {
    return {
      stt: newStt(config.stt, clock),
      llm: newLlm(config.llm, clock),
      tts: newTts(config.tts, clock),
    };
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return error;
    throw error;
  }
}

async function flush(events: Ref<RecorderMessage>, log: Log): Promise<void> {
  try {
    await events.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: FLUSH_MS });
  } catch (error) {
    log.error("events not flushed", { error });
  }
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
    case "start":
      return await serve(config, log);
    default:
      throw new AppError("invalid", `No such command "${args[0] ?? ""}": start or migrate`);
  }
}

async function serve(config: Config, log: Log): Promise<void> {
  const server = await startServer(config, { log });
  const made = config.operator.token === null ? `, operator token ${server.operatorToken}` : "";
  const operator = `http://${config.operator.host}:${server.operatorPort}`;
  say(`Ringmaster ${project.version} at ${server.publicUrl}, operators at ${operator}${made}`);
  let signals = 0;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => {
      signals++;
      const ended = signals === 1 ? server.drain() : server.stop();
      void ended.then(() => Deno.exit(0));
    });
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
