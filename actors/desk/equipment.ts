/** What a tenant's calls are held with: its own accounts of providers where it has some, else the house's. */

import type { Database } from "@/db/client.ts";
import { credentialPlace, listCredentialsNamed } from "@/db/credentials.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Vault } from "@/db/vault.ts";
import type { CallDeps } from "@/actors/call/call.ts";
import { isServed } from "@/lib/access.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config, SipGate } from "@/lib/config.ts";
import {
  CREDENTIAL_IN_USE,
  type CredentialProvider,
  type CredentialValues,
} from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { missingOf } from "@/lib/features.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";
import { isProjectUrl } from "@/lib/providers/livekit/address.ts";
import type { VoiceDefaults } from "@/lib/workflow/graph.ts";
import type { Breakers } from "@/lib/providers/failover/breaker.ts";
import type { Guarded } from "@/lib/providers/failover/guarded.ts";
import { failoverModel } from "@/lib/providers/failover/model.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { failoverVoice } from "@/lib/providers/failover/voice.ts";
import { newLlm } from "@/lib/providers/llm/mod.ts";
import { newStt } from "@/lib/providers/stt/mod.ts";
import { newTts } from "@/lib/providers/tts/mod.ts";
import { Secret } from "@/lib/secret.ts";
import { speakable } from "@/lib/speech/speakable.ts";
import { configCache, type Versioned } from "./config_cache.ts";
import type { TenantSettings } from "./tenant.ts";

/** A caller waits for it. */
const LOAD_MS = 1_000;

/** Whose account of the carrier a call goes by. */
export type Account = "house" | "tenant";

/** What a call hears, thinks and speaks with. */
export type Speech = Pick<CallDeps, "stt" | "llm" | "tts">;

/** What one call is held with. */
export interface Outfit extends Speech {
  readonly carrier: Carrier;
  readonly account: Account;
  /** For what the agent leaves open. */
  readonly defaults: VoiceDefaults;
}

export interface CarrierAccount {
  readonly accountSid: string;
  /** What its requests to us are signed with, too. */
  readonly authToken: Secret;
}

/** A project of LiveKit's, and how a carrier reaches it by telephone; null: it does not. */
export interface LiveKitProject {
  readonly api: LiveKit;
  readonly account: Account;
  readonly sip: SipGate | null;
}

export interface Equipment {
  /**
   * For a call of the tenant by an account; a null account is its own where it has one. `version` as in
   * `ConfigCache.read`. An AppError says why it may hold none: `tenant_suspended`, or `not_configured`.
   */
  outfit(
    tenantId: string,
    account: Account | null,
    version: number | null,
  ): Promise<Outfit | AppError>;
  /** Its LiveKit project, else the house's. Throws AppError("not_configured") that names what is missing. */
  livekit(tenantId: string, version: number | null): Promise<LiveKitProject>;
  /** The house's own, whose webhooks may be of any tenant. Throws as `livekit`. */
  houseLiveKit(): LiveKitProject;
  /** What the tenant's own carrier account signs with; null when it has none. */
  authToken(tenantId: string, version: number | null): Promise<Secret | null>;
}

export interface EquipmentOptions {
  readonly database: Database;
  readonly vault: Vault;
  readonly config: Config;
  readonly clock: Clock;
  readonly breakers: Breakers;
  /** The house's own. */
  readonly carrier: Carrier;
  /** In place of what the settings name, for tenants without accounts of their own. */
  readonly speech?: Partial<Speech>;
  newCarrier(account: CarrierAccount): Carrier;
  newLiveKit(account: LiveKitAccount): LiveKit;
}

interface Held extends Versioned {
  readonly speech: Speech | AppError;
  readonly own: { readonly carrier: Carrier; readonly authToken: Secret } | null;
  /** Null: it has brought none. */
  readonly livekit: LiveKitProject | null;
  readonly defaults: VoiceDefaults;
}

/** Of a language model: what the tenant wants, and what operators let it use; null: it does not say, and any. */
interface ModelChoice {
  readonly wanted: string | null;
  readonly allowed: readonly string[] | null;
}

type Brought = Partial<Record<CredentialProvider, CredentialValues>>;

export function newEquipment(options: EquipmentOptions): Equipment {
  const { database, vault, config, clock, carrier } = options;
  const cache = configCache({ clock, load });
  const { breakers } = options;
  const wrapping = { clock, breakers };
  const configured = speechOf(config, {}, { wanted: null, allowed: null }, wrapping);
  const house = configured instanceof AppError ? configured : { ...configured, ...options.speech };

  async function load(tenantId: string): Promise<Held> {
    // The version first: what is changed meanwhile is then read twice, and never missed.
    const { tenant, rows } = await database.asTenant("calls", tenantId, LOAD_MS, async (sql) => ({
      tenant: await getTenant(sql, tenantId),
      rows: await listCredentialsNamed(sql, tenantId, CREDENTIAL_IN_USE),
    }));
    if (tenant === null) throw new AppError("not_found", "No such tenant");
    const brought: Brought = {};
    for (const { id, provider, sealed } of rows) {
      brought[provider] = JSON.parse(await vault.open(credentialPlace(tenantId, id), sealed));
    }
    const { configVersion, status } = tenant;
    const { defaults, language }: TenantSettings = tenant.settings;
    const model = { wanted: defaults?.model ?? null, allowed: tenant.models };
    const isPlain = rows.length === 0 && model.wanted === null && model.allowed === null;
    const speech = isServed(status)
      ? isPlain ? house : speechOf(config, brought, model, {
        ...wrapping,
        whose: `${tenantId}@${configVersion}`, // a new key begins anew
      })
      : new AppError("tenant_suspended", "The company's access is off");
    return {
      configVersion,
      speech,
      own: ownCarrier(brought.twilio),
      livekit: ownLiveKit(brought.livekit),
      defaults: {
        language: defaults?.language ?? language ?? null,
        voice: defaults?.voice ?? null,
      },
    };
  }

  function ownCarrier(values: CredentialValues | undefined): Held["own"] {
    if (values === undefined) return null;
    const { accountSid = "", authToken: token = "" } = values;
    const authToken = new Secret(token);
    return { carrier: options.newCarrier({ accountSid, authToken }), authToken };
  }

  function ownLiveKit(values: CredentialValues | undefined): LiveKitProject | null {
    if (values === undefined) return null;
    const { url = "", apiKey = "", apiSecret = "" } = values;
    if (!isProjectUrl(url, config.outboundAllow)) return null; // the operator allows it no more
    const { sipHost: host, sipUsername: username, sipPassword: password } = values;
    const login = username === undefined || password === undefined
      ? null
      : { username, password: new Secret(password) };
    return {
      api: options.newLiveKit({ url, apiKey, apiSecret: new Secret(apiSecret) }),
      account: "tenant",
      sip: host === undefined ? null : { host, login },
    };
  }

  const houseProject = houseLiveKit(options);
  function ofHouse(): LiveKitProject {
    if (houseProject !== null) return houseProject;
    const field = missingOf(config.livekit) ?? "";
    throw new AppError("not_configured", `LiveKit is not configured: ${field} is missing`, {
      field,
    });
  }

  return {
    async livekit(tenantId, version) {
      return (await cache.read(tenantId, version)).livekit ?? ofHouse();
    },
    houseLiveKit: ofHouse,
    async outfit(tenantId, account, version) {
      const { speech, own, defaults } = await cache.read(tenantId, version);
      if (speech instanceof AppError) return speech;
      if (account === "house" || (account === null && own === null)) {
        return { ...speech, carrier, account: "house", defaults };
      }
      if (own === null) {
        return new AppError("not_configured", "The account of this call was taken away", {
          field: "twilio",
        });
      }
      return { ...speech, carrier: own.carrier, account: "tenant", defaults };
    },
    async authToken(tenantId, version) {
      return (await cache.read(tenantId, version)).own?.authToken ?? null;
    },
  };
}

function houseLiveKit({ config, newLiveKit }: EquipmentOptions): LiveKitProject | null {
  const { url, apiKey, apiSecret, sip } = config.livekit;
  if (url === null || apiKey === null || apiSecret === null) return null;
  return { api: newLiveKit({ url, apiKey, apiSecret }), account: "house", sip };
}

interface Wrapping {
  readonly clock: Clock;
  readonly breakers: Breakers;
  /** Whose accounts were brought, and which. */
  readonly whose?: string;
}

/** Each from the tenant's account where it has one; or what is missing, which callers are told. */
function speechOf(
  config: Config,
  brought: Brought,
  model: ModelChoice,
  { clock, breakers, whose = "house" }: Wrapping,
): Speech | AppError {
  const houseKeys = new Set(Object.values(config.providers).map(({ apiKey }) => apiKey));
  /** Who shares a breaker: whoever asks the same provider with the same account. */
  function guard<C extends { readonly provider: string; readonly apiKey?: Secret | null }, T>(
    configs: readonly C[],
    make: (config: C, clock: Clock) => T,
  ): Guarded<T>[] {
    return configs.map((it) => {
      const isHouse = it.apiKey === undefined || houseKeys.has(it.apiKey);
      const name = `${it.provider} ${isHouse ? "house" : whose}`;
      return { provider: make(it, clock), breaker: breakers.of(name) };
    });
  }
  const { fallbacks } = config;
  try {
    const recognisers = guard([sttOf(config, brought), ...fallbacks.stt], newStt);
    const models = guard([llmOf(config, brought, model), ...fallbacks.llm], newLlm);
    const voices = guard([ttsOf(config, brought), ...fallbacks.tts], newTts);
    return {
      stt: failoverRecogniser({ clock, recognisers }),
      llm: failoverModel({ clock, models }),
      tts: speakable(failoverVoice({ clock, voices })),
    };
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return error;
    throw error;
  }
}

function sttOf({ stt, providers }: Config, { deepgram }: Brought): Config["stt"] {
  if (deepgram === undefined) return stt;
  const { url, model } = providers.deepgram;
  return { provider: "deepgram", url, model, apiKey: apiKeyOf(deepgram) };
}

function llmOf(
  { llm, providers }: Config,
  { openai }: Brought,
  choice: ModelChoice,
): Config["llm"] {
  const chosen = openai === undefined
    ? llm
    : { provider: "openai" as const, ...providers.openai, apiKey: apiKeyOf(openai) };
  if (chosen.provider === "simulated") return chosen;
  return { ...chosen, model: modelOf(chosen.model, choice) };
}

/** The tenant's, else the house's; where operators allow neither, the first that they do. */
function modelOf(house: string, { wanted, allowed }: ModelChoice): string {
  if (allowed === null) return wanted ?? house;
  if (wanted !== null && allowed.includes(wanted)) return wanted;
  return allowed.includes(house) ? house : allowed[0] ?? house;
}

/** A Deepgram account speaks too, where the house has no other voice: a voice is chosen, not fallen upon. */
function ttsOf({ tts, providers }: Config, { elevenlabs, deepgram }: Brought): Config["tts"] {
  if (elevenlabs !== undefined) {
    const voice = elevenlabs["voice"] ?? providers.elevenlabs.voice;
    return {
      provider: "elevenlabs",
      ...providers.elevenlabs,
      voice,
      apiKey: apiKeyOf(elevenlabs),
    };
  }
  if (deepgram === undefined || tts.provider === "elevenlabs") return tts;
  const { url, voice: model } = providers.deepgram;
  return { provider: "aura", url, model, apiKey: apiKeyOf(deepgram) };
}

function apiKeyOf({ apiKey = "" }: CredentialValues): Secret {
  return new Secret(apiKey);
}
