/** The house: every actor of one machine, wired to the database and to the providers. */

import { act } from "@/db/act.ts";
import { updateApiKeyUsed } from "@/db/api_keys.ts";
import type { Database } from "@/db/client.ts";
import type { Boot, NewNode } from "@/db/cluster.ts";
import { getTenantPlan } from "@/db/tenant_limits.ts";
import { signingKeyStore } from "@/db/signing_keys.ts";
import { newVault } from "@/db/vault.ts";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { newBackground } from "@/lib/background.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config, KeyEncryptionKey } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, newToken } from "@/lib/ids.ts";
import { outboundHttp } from "@/lib/outbound_http.ts";
import type { Limiter, MeteredLimiter } from "@/lib/limits/limiter.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import { type MemoryLimiter, memoryLimiter } from "@/lib/limits/memory.ts";
import { redisCount, upstash } from "@/lib/limits/redis.ts";
import { sharedLimiter } from "@/lib/limits/shared.ts";
import type { LimiterMetrics } from "@/lib/limits/tally.ts";
import type { Log } from "@/lib/log.ts";
import { newPasswords } from "@/lib/passwords.ts";
import { placeUrl } from "@/lib/place.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import type { Notifier } from "@/lib/providers/notify/notify.ts";
import { newAmbientLoops } from "@/lib/ambient_loops.ts";
import { type ClipRef, newClipLibrary } from "@/lib/clip_library.ts";
import { Secret } from "@/lib/secret.ts";
import { type Clip, withKnown } from "@/lib/speech/known.ts";
import { fixedSentences } from "@/lib/workflow/sentences.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import {
  type CheckCredential,
  credentialCheck,
  liveKitCheck,
} from "@/lib/providers/credential_check.ts";
import { type Breakers, newBreakers } from "@/lib/providers/failover/breaker.ts";
import { limitedFetch } from "@/lib/providers/http.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";
import { roomCarrier } from "@/lib/providers/carrier/room.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { twilioRelay } from "@/lib/providers/carrier/twilio_relay.ts";
import { web } from "@/lib/providers/carrier/web.ts";
import { webMedia } from "@/lib/providers/carrier/web_media.ts";
import { roomMedia } from "@/lib/rooms/messages.ts";
import { openRoom } from "@/lib/rooms/open.ts";
import { newDirectory } from "@/actors/cluster/directory.ts";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { type Neighbours, openNeighbours } from "@/actors/cluster/neighbours.ts";
import { newPlaces, type Places } from "@/actors/cluster/places.ts";
import { type Alarms, newAlarms } from "@/actors/cluster/alarms.ts";
import { newRoster, type Roster } from "@/actors/cluster/roster.ts";
import { amongMachines } from "./among_machines.ts";
import { crossings } from "./crossings.ts";
import { callKind } from "@/actors/call/call.ts";
import { ownership } from "@/actors/call/ownership.ts";
import { type CallMeter, newCallMeter } from "@/actors/call/meter.ts";
import { newRooms, type RoomsDeps } from "@/actors/call/rooms.ts";
import { callStore } from "@/actors/call/store.ts";
import { type Gauge, newGauge } from "@/actors/admission/gauge.ts";
import { newQueue, type Queue } from "@/actors/admission/queue.ts";
import { newRefusals } from "@/actors/admission/refusals.ts";
import { newTokens, type Tokens } from "@/actors/admission/tokens.ts";
import { ELSEWHERE, newSwitchboard, type Switchboard } from "@/actors/call/switchboard.ts";
import { newPieces } from "@/actors/call/pieces.ts";
import { newCallSpans } from "@/actors/call/spans.ts";
import { newUsageMeter } from "@/actors/call/usage.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import { type ConfigCache, configCache } from "@/actors/desk/config_cache.ts";
import { desk, deskKind, type DeskMessage } from "@/actors/desk/desk.ts";
import { type Account, type CarrierAccount, newEquipment } from "@/actors/desk/equipment.ts";
import type { Speech } from "@/actors/desk/speech_of.ts";
import { errands } from "@/actors/desk/errands.ts";
import { office, type Services } from "@/actors/desk/office.ts";
import { deskStore } from "@/actors/desk/store.ts";
import { ownerOfWebhook } from "@/actors/gate/carrier_door.ts";
import { entries } from "@/actors/gate/entries.ts";
import { newOwners } from "@/actors/gate/owners.ts";
import { newAuthenticator } from "@/actors/gate/authenticate.ts";
import { gate, gateKind, type GateMessage } from "@/actors/gate/gate.ts";
import { attemptDelivery } from "@/actors/deliveries/attempt.ts";
import { deliveries, deliveriesKind } from "@/actors/deliveries/deliveries.ts";
import { jobs, jobsKind } from "@/actors/jobs/jobs.ts";
import { houseCron, kinds } from "@/actors/jobs/kinds.ts";
import { type Feed, newFeed } from "@/actors/recorder/feed.ts";
import { tenantCensus } from "@/actors/tenant/census.ts";
import { newSlots, standInKind } from "@/actors/tenant/slots.ts";
import { tenant, tenantKind } from "@/actors/tenant/tenant.ts";
import { recorder, type RecorderDeps, recorderKind } from "@/actors/recorder/recorder.ts";
import { newRecordings } from "@/actors/recording/recordings.ts";
import { sealPass } from "@/actors/sealer/pass.ts";
import { sealer, sealerKind } from "@/actors/sealer/sealer.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { newSystem, type System } from "@/actors/runtime/system.ts";

/** Before the process ends, live calls are waited for so long: under Fly's most, `kill_timeout = "300s"`. */
const DRAIN_MS = 280_000;
/** Calls go to other machines, where there are any: each at the end of a turn, or then in the middle of it. */
const ENDING = { calls: "handOver", deadlineMs: 60_000 } as const;
/** Calls that are told to end have this long to hang up and to store how they came out. */
const STOP_MS = 5_000;
const FLUSH_MS = 10_000;
const LOOKUP_MS = 1_000;
/** A carrier takes its time over a call that is to be placed. */
const PLACE_MS = 20_000;
/** Who wants to be called back hangs up first. */
const CALL_BACK_MS = 10_000;
/** Whose acts those are that follow from full lines. */
const ADMISSION = {
  actorKind: "system",
  actorId: "admission",
  requestId: null,
  address: null,
} as const;
/** The rest of the start waits for it, and goes on without it. */
const JOIN_MS = 5_000;
/** Whoever saves a credential waits for its provider. OpenAI's list of models is the longest answer. */
const CHECK_LIMITS = { headMs: 4_000, idleMs: 2_000, totalMs: 6_000, maxBytes: 1024 * 1024 };

export interface House {
  readonly system: System;
  readonly gate: Ref<GateMessage>;
  /** The desk of a tenant on this machine. */
  desk(tenantId: string): Ref<DeskMessage>;
  readonly switchboard: Switchboard;
  /** What the carrier signs a call's media socket with; null: the house's account, by which it goes. */
  authTokenOf(callId: string): Promise<Secret | null>;
  readonly limiter: Limiter;
  /** Of strangers, by address, on this machine alone. */
  readonly addressLimiter: MemoryLimiter;
  readonly plans: ConfigCache<TenantPlan>;
  limiterMetrics(): LimiterMetrics;
  readonly breakers: Breakers;
  readonly meter: CallMeter;
  /** Where the sockets of other machines are taken; null: there can be none. */
  readonly links: Neighbours["links"];
  /** What waits between machines, as Prometheus text. */
  linksText(): string;
  /** The machines there are, and who owns what. */
  readonly roster: Roster;
  readonly alarms: Alarms;
  readonly places: Places;
  /** Where other machines that take new work are reached: `http://HOST:PORT`. */
  otherUrls(): readonly string[];
  /** How hard pressed this machine is, and what it has left. */
  readonly gauge: Gauge;
  readonly tokens: Tokens;
  readonly queue: Queue;
  /** Can this caller have no line, and is that to be said before anything is asked? It is counted. */
  refuses(ring: { readonly carrierCallId: string; readonly to: string }): boolean;
  /** The machine that holds a call; null: nobody does. */
  holderOf(callId: string): Promise<Boot | null>;
  /** Resolves when this machine is one of them, or the database has not answered: it goes on trying. */
  joined(): Promise<void>;
  /** Tells who watches calls what is committed of them. */
  readonly feed: Feed;
  /** Takes no new calls, and waits for those that live. */
  drain(): Promise<void>;
  /** Ends live calls, writes what is to be written, and stops every actor. */
  close(): Promise<void>;
}

/** What keys, tokens and secrets are kept with: shared by all machines. */
export interface HouseKeys {
  /** The first one seals, all of them open. */
  readonly keyEncryptionKeys: readonly KeyEncryptionKey[] | null;
  readonly pepper: Secret | null;
}

export interface HouseOptions {
  readonly config: Config;
  readonly database: Database;
  readonly carrier: Carrier;
  /** Of a tenant's own account. */
  newCarrier(account: CarrierAccount): Carrier;
  newLiveKit(account: LiveKitAccount): LiveKit;
  /** What carriers and users reach us at, without a trailing slash. */
  readonly publicUrl: string;
  /** This machine among others; absent: it joins none. */
  readonly machine?: Pick<NewNode, "nodeId" | "address" | "version">;
  /** Null: logins, keys, credentials and webhooks are not configured. */
  readonly keys: HouseKeys | null;
  readonly notifier: Notifier;
  readonly stores: Stores;
  /** In place of what the settings name, for tenants without accounts of their own. */
  readonly speech?: Partial<Speech>;
  readonly clock: Clock;
  readonly log: Log;
}

export function openHouse(options: HouseOptions): House {
  const { config, database, carrier, publicUrl, stores, clock, log } = options;
  const system = newSystem({ clock, log });
  system.watchLag();
  const ticker = newTicker(clock);
  const pieces = newPieces();
  const feed = newFeed();
  const directory = newDirectory(database);
  const holdings = newHoldings();
  const { machine } = options;
  const isOneOfMany = machine !== undefined && config.database.type !== "embedded";
  const neighbours = openNeighbours({
    table: crossings(() => ({ switchboard, movables: neighbours.movables })),
    isOneOfMany,
    region: config.region,
    ...{ system, directory, holdings, clock, log },
  });
  const places = newPlaces(directory.nodes);
  const fencesOfCalls: RecorderDeps["fences"] = {
    fenceOf: (id) => holdings.fenceOf({ kind: callKind.name, id }),
    isPending: holdings.isPending,
    fenced: (id) => void system.stop(callKind.name, id, ELSEWHERE),
  };
  const events = system.spawn(
    recorderKind,
    "recorder",
    () => recorder({ database, log, committed: feed.committed, fences: fencesOfCalls }),
  );
  const seals = system.spawn(
    sealerKind,
    "sealer",
    () => sealer({ pass: () => sealPass({ database, clock, log }), log }),
  );
  const limiter = limiterOf(config, clock, log);
  const addressLimiter = memoryLimiter(clock);
  const plans = configCache<TenantPlan>({ clock, load: (tenantId) => planOf(database, tenantId) });
  const vault = newVault(database, options.keys?.keyEncryptionKeys ?? null);
  const passwords = newPasswords();
  const background = newBackground({ clock, log });
  const store = signingKeyStore({ database, vault, log });

  const services: Services = {
    database,
    clock,
    log,
    publicUrl,
    vault,
    pepper: options.keys?.pepper ?? null,
    limiter,
    liveCalls: (tenantId) => slots.liveCalls(tenantId),
    passwords,
    tokens: newAccessTokens({ store, issuer: publicUrl, clock, log }),
    notifier: options.notifier,
    stores,
    background,
    auth: { signup: config.auth.signup, missing: missingKeys(options) },
    askProvider: askProviderOf(options),
    livekit: (tenantId, version) => equipment.livekit(tenantId, version),
    houseLiveKit: () => equipment.houseLiveKit(),
    async placeCall(tenantId, { callId, agentId, from, to }, signal) {
      const call = { callId, agentId, from, to, configVersion: null, placedBy: null };
      await system.at(deskKind, tenantId).ask<{ callId: string }>(
        (reply) => ({ type: "placeCall", ...call, reply }),
        { timeoutMs: PLACE_MS, signal },
      );
    },
    rooms: newRooms({
      ...roomsProcessOf(config, clock),
      livekit: (tenantId, version) => equipment.livekit(tenantId, version),
      desk: (tenantId) => system.at(deskKind, tenantId),
      attach: (path) => switchboard.attach(path),
      connected: (callId, socket) => switchboard.connected(callId, socket),
      isHere: ({ tenantId, callId }) => switchboard.find(tenantId, callId) !== null,
      clock,
      log,
    }),
    outboundAllow: config.outboundAllow,
    accounts: config.providers,
    outbound: outboundHttp({ allow: config.outboundAllow, clock }),
    configChanged: (tenantId) => void door.send({ type: "configChanged", tenantId }),
    acted: () => void seals.send({ type: "wake" }),
    personChanged: (personId) => void door.send({ type: "personChanged", personId }),
    wakeJobs: () => void worker.send({ type: "wake" }),
    wakeDeliveries: () => void sender.send({ type: "wake" }),
    attemptDelivery: (delivery, signal) =>
      attemptDelivery({ services, random: Math.random }, delivery, signal),
  };

  const { newCarrier, newLiveKit, speech = {} } = options;
  const breakers = newBreakers(clock);
  const meter = newCallMeter();
  const equipment = newEquipment({
    ...{ database, vault, config, clock, carrier, newCarrier, newLiveKit, speech, breakers },
  });
  const isAlone = (): boolean => config.machines === 1 && neighbours.peers.nodes.length < 2;
  const newTenant = (tenantId: string) =>
    tenant({
      live: () => switchboard.callsOf(tenantId),
      census: tenantCensus(database, tenantId, { clock, isAlone }),
    });
  neighbours.movables.register(tenantKind, newTenant);
  system.register(standInKind, newTenant);
  const slots = newSlots({
    tenant: (tenantId) => neighbours.router.ref(tenantKind, tenantId),
    isHere: (tenantId) => neighbours.movables.here(tenantKind, tenantId) !== null,
    standIn: (tenantId) => system.at(standInKind, tenantId),
    livingStandIn: (tenantId) => system.find(standInKind, tenantId),
    unreachable: (tenantId, error) => log.warn("a tenant is counted here", { tenantId, error }),
  });

  const library = newClipLibrary({ stores, log, clock });
  const loops = newAmbientLoops({ library, clock });
  /** Fetched while the line is being connected. */
  const playable = (tenantId: string, clips: readonly ClipRef[]): Clip[] =>
    clips.map((clip) => {
      void library.audio(tenantId, clip);
      return { text: clip.text, audio: () => library.audio(tenantId, clip) };
    });
  const recordings = newRecordings({
    ...{ system, database, stores, clock, log },
    fenceOf: fencesOfCalls.fenceOf,
  });
  const gauge = newGauge({
    bearableMs: config.shedLagMs,
    memoryMaxBytes: config.memoryMaxBytes,
    lag: system.lag,
    memoryBytes: () => Deno.memoryUsage().rss,
    changed: () => void worker.send({ type: "wake" }),
    ...{ clock, log },
  });
  const tokens = newTokens({
    capacity: config.maxCalls,
    keptPercent: config.inboundPercent,
    now: () => clock.now(),
    isShed: gauge.isShed,
  });
  const refusals = newRefusals({
    clock,
    log,
    tell: (tenantId, told) =>
      act({
        ...{ database, clock, tenantId, pool: "jobs", deadlineMs: LOOKUP_MS },
        committed: services,
        actor: ADMISSION,
      }, ({ emit }) => emit("capacity.refused", told)),
  });
  const queue = newQueue({
    clock,
    heldBy: tokens.heldBy,
    isClosed: () => gauge.isShed("inbound"),
  });
  const switchboard = newSwitchboard({
    system,
    tokens,
    queue,
    clock,
    log,
    store(settings) {
      const { fenceOf } = fencesOfCalls;
      const store = callStore(settings, { database, recorder: events, fenceOf });
      const span = newCallSpans(settings);
      return {
        ...store,
        record(seq, event, at) {
          meter.observe(event);
          span(event, at);
          store.record(seq, event, at);
        },
      };
    },
    started: ({ tenantId, callId }) => slots.started(tenantId, callId),
    ended({ tenantId, callId }, isElsewhere) {
      if (isElsewhere) recordings.callLost(callId);
      else recordings.callEnded(callId);
      void among.callEnded(callId);
      slots.ended(tenantId, callId);
    },
    deps(
      { callId, tenantId, channel, graph, clips = [] },
      { account, defaults: _, tts, ...outfit },
    ) {
      const { nodeId = "local" } = options.machine ?? {};
      const usage = newUsageMeter();
      const spoken = clips.filter(({ name }) => name !== graph.ambient?.clip);
      const path = pathOf({ tenantId, callId, account });
      const resumePath = `${path}/resume`;
      const answerUrl = `${publicUrl}${resumePath}`;
      const asHouse = account === "tenant" ? "" : `?tenantId=${tenantId}`;
      const urls = {
        answerUrl,
        statusUrl: `${publicUrl}${path}/status`,
        answeredByUrl: `${publicUrl}${path}/answered-by${asHouse}`,
      };
      const deps = {
        ...outfit,
        stt: usage.recogniser(outfit.stt),
        llm: usage.model(outfit.llm, meter.used),
        used: usage.read,
        // One model that speaks as well says each of its utterances in one.
        tts: outfit.heard === undefined
          ? withKnown(usage.voice(tts), {
            fixed: fixedSentences(graph),
            clips: playable(tenantId, spoken),
          })
          : usage.voice(tts),
        ...(graph.ambient === null || graph.relay !== null ? {} : {
          ambience: loops.loop(graph.ambient, { tenantId, all: clips }),
        }),
        nodeId,
        ticker,
        pieces,
        recordings,
        newToken,
        urls,
        resumePath,
        handOver: among.handOver(callId),
        ...(membership === null ? {} : {
          isOurs: () => holdings.mayAct({ kind: callKind.name, id: callId }, clock.now()),
        }),
        isPressed: () => gauge.isShed("extras"),
        log,
      };
      if (channel === "web") return { ...deps, carrier: web(), newProtocol: webMedia };
      if (channel !== "room") {
        return { ...deps, newProtocol: graph.relay === null ? twilioMedia : twilioRelay };
      }
      const project = async () => (await equipment.livekit(tenantId, null)).api;
      return { ...deps, carrier: roomCarrier(project), newProtocol: roomMedia };
    },
  });

  const authenticator = newAuthenticator({
    database,
    clock,
    pepper: services.pepper,
    tokens: services.tokens,
    keyUsed: (use) => void door.send({ type: "keyUsed", use }),
  });

  const owners = newOwners({ database, clock, isFull: () => tokens.isFull() });
  const door = system.spawn(gateKind, "gate", () =>
    gate({
      numberOwner: owners.ofNumber,
      webhookOwner: (webhook) => ownerOfWebhook(webhook, { routeOf: owners.routeOf, equipment }),
      authenticator,
      writeKeyUse: ({ tenantId, keyId, at }) =>
        database.asTenant(
          "jobs",
          tenantId,
          LOOKUP_MS,
          (sql) => updateApiKeyUsed(sql, tenantId, keyId, at),
        ),
      entries,
      lobby: (visitor, signal) => ({ ...services, ...visitor, signal }),
      log,
    }));

  const worker = system.spawn(
    jobsKind,
    "jobs",
    () =>
      jobs({ services, kinds, houseCron, random: Math.random, isShed: () => gauge.isShed("jobs") }),
  );

  const sender = system.spawn(
    deliveriesKind,
    "deliveries",
    () => deliveries({ services, random: Math.random }),
  );

  const calls = ownership(holdings);
  const { membership, drain, ...among } = amongMachines({
    ...{ config, machine, isOneOfMany, system, database, directory, holdings, neighbours, places },
    ...{ switchboard, calls, events, feed, equipment, clock, log },
    fenceOf: fencesOfCalls.fenceOf,
    resumeUrl: (call) => `${publicUrl}${pathOf(call)}/resume`,
    rooms: services.rooms,
  });
  system.register(deskKind, (tenantId) =>
    desk({
      ...deskStore(database, tenantId, {
        clock,
        carrier: carrier.provider,
        ...calls,
      }),
      async reported(callId, carrierCallId, report, seen) {
        /** The carrier's signed word that it is over suffices, as it does to go on with it. */
        const own = (): Promise<boolean> =>
          database.lookup("calls", LOOKUP_MS, async (sql) => {
            const taken = seen === null
              ? null
              : await calls.take(sql, callId, { seen, isDoubtful: false });
            return (taken !== null && taken !== "notNow") || await calls.own(sql, callId);
          });
        await callStore({ tenantId, callId }, {
          ...{ database, recorder: events, fenceOf: fencesOfCalls.fenceOf, own },
        }).report(carrierCallId, report, clock.date());
        const isHeld = fencesOfCalls.fenceOf(callId) !== null;
        if (isHeld && switchboard.find(tenantId, callId) === null) void among.callEnded(callId);
      },
      tenantId,
      errands,
      office: (visit) => office(services, visit),
      log,
      newCallId: () => newId("call"),
      outfit: (account, version, wishes) => equipment.outfit(tenantId, account, version, wishes),
      admit: async ({ callId, configVersion }, signal) => {
        const plan = await plans.read(tenantId, configVersion);
        await slots.admit({ tenantId, callId, plan }, signal);
        return plan;
      },
      release: (callId) => slots.ended(tenantId, callId),
      takeLine: (work, carrierCallId) => switchboard.takeLine(work, tenantId, carrierCallId),
      wait: (caller) => switchboard.wait({ tenantId, ...caller }),
      leaveQueue: switchboard.leaveQueue,
      async wantCallback({ carrierCallId, agentId, from, to }) {
        const wantedAt = clock.date();
        const payload = {
          callId: newId("call"),
          agentId,
          from,
          to,
          wantedAt: wantedAt.toISOString(),
        };
        const runAt = new Date(wantedAt.getTime() + CALL_BACK_MS);
        await act({
          ...{ database, clock, tenantId, pool: "calls", deadlineMs: LOOKUP_MS },
          committed: services,
          actor: ADMISSION,
        }, ({ enqueue }) => enqueue({ kind: "callback", key: carrierCallId, payload, runAt }));
      },
      refused: (who) => refusals.count(tenantId, who),
      wallMs: () => clock.date().getTime(),
      startCall: switchboard.start,
      findCall: (callId) => switchboard.find(tenantId, callId),
      findAnnounced: (carrierCallId) => switchboard.announced(tenantId, carrierCallId),
      isAlone,
      async findElsewhere(callId) {
        const found = await neighbours.router.elsewhere({ kind: callKind.name, id: callId });
        return found && neighbours.router.ref(callKind, callId, tenantId);
      },
    }));

  const roster = newRoster({ directory, holdings, region: config.region, neighbours });
  const alarms = newAlarms({ clock, log, pressure: gauge.view, cluster: roster.view });

  return {
    system,
    gate: door,
    desk: (tenantId) => system.at(deskKind, tenantId),
    switchboard,
    async authTokenOf(callId) {
      const call = switchboard.whose(callId);
      if (call === null || call.account === "house") return null;
      const token = await equipment.authToken(call.tenantId, null);
      return token ?? new Secret(newToken()); // taken away since: nobody signs with this one
    },
    limiter,
    addressLimiter,
    plans,
    limiterMetrics() {
      const metrics = limiter.metrics();
      return { ...metrics, buckets: [...metrics.buckets, ...addressLimiter.metrics().buckets] };
    },
    feed,
    breakers,
    meter,
    links: neighbours.links,
    gauge,
    tokens,
    queue,
    refuses({ carrierCallId, to }) {
      if (!isAlone() || switchboard.isAnnounced(carrierCallId)) return false; // it may live already
      const owner = owners.lately(to);
      if (owner === null) {
        const isShed = gauge.isShed("inbound");
        if (isShed) tokens.refuse("inbound");
        return isShed;
      }
      if (owner.whenFull !== "busy" && !gauge.isShed("inbound")) return false;
      const grant = tokens.take("inbound", owner.tenantId, {
        leaving: queue.before(owner.tenantId, null),
        isAgain: false,
      });
      grant?.release(); // it is taken when it is known who answers
      if (grant === null) refusals.count(owner.tenantId, "callers");
      return grant === null;
    },
    places,
    otherUrls: () => places.others(holdings.boot).map(({ address }) => placeUrl(address)),
    holderOf: async (id) => (await directory.owner({ kind: callKind.name, id }))?.owner ?? null,
    roster,
    alarms,
    linksText: neighbours.metricsText,
    async joined() {
      await membership?.ask((reply) => ({ type: "whenJoined", reply }), { timeoutMs: JOIN_MS })
        .catch((error) => log.error("this machine has not joined yet", { error }));
    },
    async drain() {
      drain.start(ENDING);
      await drain.emptied(DRAIN_MS);
      await recordings.stored(STOP_MS);
    },
    async close() {
      drain.stop();
      alarms.stop();
      gauge.stop();
      await refusals.close();
      feed.close();
      switchboard.hangUpAll();
      await switchboard.emptied(STOP_MS);
      await recordings.stored(STOP_MS);
      await events.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: FLUSH_MS }).catch(
        (error) => log.error("events not flushed", { error }),
      );
      await background.close();
      const within = { timeoutMs: STOP_MS };
      await Promise.all([
        worker.ask<void>((reply) => ({ type: "drain", reply }), within),
        sender.ask<void>((reply) => ({ type: "drain", reply }), within),
      ]).catch((error) => log.error("work not sent back: its leases will end", { error }));
      await system.shutdown();
      neighbours.router.stop();
      await switchboard.settled();
      passwords.close();
      const { boot } = holdings;
      if (boot !== null) { // all that it owned is free at once
        await directory.leave(boot).catch((error) =>
          log.error("others must bury this machine", { error })
        );
      }
    },
  };
}

async function planOf(database: Database, tenantId: string): Promise<TenantPlan> {
  const plan = await database.asTenant(
    "calls",
    tenantId,
    LOOKUP_MS,
    (sql) => getTenantPlan(sql, tenantId),
  );
  if (plan === null) throw new AppError("not_found", "No such tenant");
  return plan;
}

/** Shared by all machines when there is a Redis, else this machine's part of every limit. */
function limiterOf({ redis, machines }: Config, clock: Clock, log: Log): MeteredLimiter {
  if (redis === null) return memoryLimiter(clock, machines);
  return sharedLimiter({ count: redisCount(upstash(redis), clock), machines, clock, log });
}

function roomsProcessOf(
  { rooms: { url, token } }: Config,
  clock: Clock,
): Pick<RoomsDeps, "openRoom" | "missing"> {
  if (url === null) return { openRoom: null, missing: "ROOMS_URL" };
  if (token === null) return { openRoom: null, missing: "ROOMS_TOKEN" };
  const process = { url, token };
  return { openRoom: (join, signal) => openRoom(process, join, { clock, signal }), missing: "" };
}

function missingKeys({ keys }: HouseOptions): Services["auth"]["missing"] {
  if ((keys?.keyEncryptionKeys ?? null) === null) return "KEY_ENCRYPTION_KEYS";
  return (keys?.pepper ?? null) === null ? "TOKEN_PEPPER" : null;
}

/** At the addresses that the operator has set: they are nobody else's to choose. */
function askProviderOf({ config, clock, newLiveKit }: HouseOptions): CheckCredential {
  const { twilio, providers } = config;
  const { deepgram, openai, anthropic, elevenlabs } = providers;
  return credentialCheck({
    urls: {
      twilio: twilio.apiUrl,
      deepgram: deepgram.url,
      openai: openai.url,
      anthropic: anthropic.url,
      elevenlabs: elevenlabs.url,
    },
    checkLiveKit: liveKitCheck(newLiveKit),
    fetch: limitedFetch({ provider: "credentials", clock, ...CHECK_LIMITS }),
  });
}

/** Where the account that a call goes by asks and tells about it. */
function pathOf(
  { tenantId, callId, account }: {
    readonly tenantId: string;
    readonly callId: string;
    readonly account: Account;
  },
): string {
  return `/twilio${account === "tenant" ? `/${tenantId}` : ""}/calls/${callId}`;
}
