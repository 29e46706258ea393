/** What a tenant's calls are held with: its own accounts of providers where it has some, else the house's. */

import type { Database } from "@/db/client.ts";
import { credentialPlace, listCredentialsNamed } from "@/db/credentials.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Vault } from "@/db/vault.ts";
import type { CallDeps } from "@/actors/call/call.ts";
import { isServed } from "@/lib/access.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config, SipGate } from "@/lib/config.ts";
import { CREDENTIAL_IN_USE, type CredentialValues } from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { missingOf } from "@/lib/features.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";
import { isProjectUrl } from "@/lib/providers/livekit/address.ts";
import {
  accountOf,
  type Brought,
  type LlmConfig,
  llmConfig,
  type LlmProvider,
  type ProviderAccounts,
  type SttConfig,
  sttConfig,
  type TtsConfig,
  ttsConfig,
  withBrought,
} from "@/lib/provider_choice.ts";
import type { Graph, VoiceDefaults } from "@/lib/workflow/graph.ts";
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
   * `ConfigCache.read`; null wishes: no agent has any. An AppError says why it may hold none:
   * `tenant_suspended`, or `not_configured`.
   */
  outfit(
    tenantId: string,
    account: Account | null,
    version: number | null,
    wishes?: AgentWishes | null,
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
  /** The same of the same wishes. */
  speech(wishes: AgentWishes): Speech | AppError;
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

/** What an agent itself says of whom it is held with. */
export type AgentWishes = Pick<Graph, "providers" | "model">;

const NO_WISHES: AgentWishes = { providers: null, model: null };

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
    const whose = `${tenantId}@${configVersion}`; // a new key begins anew
    const made = new Map<string, Speech | AppError>();
    return {
      configVersion,
      speech(wishes) {
        if (!isServed(status)) {
          return new AppError("tenant_suspended", "The company's access is off");
        }
        const { providers, model: own } = wishes;
        if (isPlain && providers === null && own === null) return house;
        const key = JSON.stringify([providers, own]);
        const speech = made.get(key) ??
          speechOf(config, brought, model, { ...wrapping, whose }, wishes);
        made.set(key, speech);
        return speech;
      },
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
    async outfit(tenantId, account, version, wishes) {
      const held = await cache.read(tenantId, version);
      const { own, defaults } = held;
      const speech = held.speech(wishes ?? NO_WISHES);
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
  wishes: AgentWishes = NO_WISHES,
): Speech | AppError {
  const houseKeys = new Set(Object.values(config.providers).map(({ apiKey }) => apiKey));
  const { fallbacks } = config;
  const accounts = withBrought(config.providers, brought);
  type Asked = { readonly provider: string; readonly apiKey?: Secret | null };
  const isHouse = ({ apiKey }: Asked): boolean => apiKey === undefined || houseKeys.has(apiKey);

  /** The same with the tenant's key, where it has brought one. */
  const keyed = <C extends SttConfig | LlmConfig | TtsConfig>(other: C): C => {
    const account = accountOf(other.provider);
    return account === null ? other : { ...other, apiKey: accounts[account].apiKey };
  };
  /** Who stands in for `first`: with the tenant's own account where there is one, else as the house allows. */
  function inOrder<C extends SttConfig | LlmConfig | TtsConfig>(
    first: C,
    others: readonly C[],
  ): C[] {
    const mayBeHouse = fallbacks.coverTenants || isHouse(first);
    return [first, ...others.map(keyed).filter((other) => mayBeHouse || !isHouse(other))];
  }
  /** Who shares a breaker: whoever asks the same provider with the same account. */
  function guard<C extends Asked, T>(
    configs: readonly C[],
    make: (config: C, clock: Clock) => T,
  ): Guarded<T>[] {
    return configs.map((it) => {
      const name = `${it.provider} ${isHouse(it) ? "house" : whose}`;
      return { provider: make(it, clock), breaker: breakers.of(name) };
    });
  }
  const { stt: ears, llm = null, tts: mouth } = wishes.providers ?? {};
  try {
    const stt = ears ? sttConfig(ears, accounts) : sttOf(config, brought, accounts);
    const choice = { ...model, llm, own: wishes.model };
    const tts = mouth ? ttsConfig(mouth, accounts) : ttsOf(config, brought, accounts);
    const recognisers = guard(inOrder(stt, fallbacks.stt), newStt);
    const others = fallbacks.llm.filter((it) =>
      it.provider === "simulated" || (choice.allowed?.includes(it.model) ?? true)
    );
    const first = llmOf(config, brought, accounts, choice);
    const models = guard(inOrder(first, others), newLlm);
    const voices = guard(inOrder(tts, fallbacks.tts), newTts);
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

function sttOf({ stt }: Config, { deepgram }: Brought, accounts: ProviderAccounts): SttConfig {
  if (deepgram === undefined) return stt;
  if (stt.provider === "simulated") return sttConfig("deepgram", accounts);
  return { ...stt, apiKey: accounts.deepgram.apiKey };
}

/** Throws AppError("not_configured") for a provider whose models the tenant may not use. */
function llmOf(
  { llm: house }: Config,
  brought: Brought,
  accounts: ProviderAccounts,
  choice: ModelChoice & { readonly llm: LlmProvider | null; readonly own: string | null },
): LlmConfig {
  const { llm, own, wanted, allowed } = choice;
  if (llm !== null) {
    // The tenant's choice is of another provider's models.
    const named = llmConfig(llm, accounts);
    if (named.provider === "simulated") return named;
    const model = own ?? named.model;
    if (allowed === null || allowed.includes(model)) return { ...named, model };
    throw new AppError("not_configured", `The company may not use the model "${model}"`, {
      field: "model",
    });
  }
  const account = accountOf(house.provider);
  const name = account !== null && brought[account] !== undefined
    ? house.provider
    : brought.openai !== undefined
    ? "openai"
    : brought.anthropic !== undefined
    ? "anthropic"
    : null;
  const chosen = name === null ? house : llmConfig(name, accounts);
  if (chosen.provider === "simulated") return chosen;
  return { ...chosen, model: modelOf(chosen.model, { wanted: own ?? wanted, allowed }) };
}

/** The tenant's, else the house's; where operators allow neither, the first that they do. */
function modelOf(house: string, { wanted, allowed }: ModelChoice): string {
  if (allowed === null) return wanted ?? house;
  if (wanted !== null && allowed.includes(wanted)) return wanted;
  return allowed.includes(house) ? house : allowed[0] ?? house;
}

/**
 * An account speaks too, where it is the house's kind of voice, or where the house has no other and it is
 * Deepgram's: a voice is chosen, not fallen upon.
 */
function ttsOf({ tts }: Config, brought: Brought, accounts: ProviderAccounts): TtsConfig {
  if (brought.elevenlabs !== undefined) return ttsConfig("elevenlabs", accounts);
  const account = accountOf(tts.provider);
  if (account !== null && brought[account] !== undefined) return ttsConfig(tts.provider, accounts);
  const isFree = tts.provider === "simulated" && brought.deepgram !== undefined;
  return isFree ? ttsConfig("aura", accounts) : tts;
}
