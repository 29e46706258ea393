/** What a tenant's calls are held with: its own accounts of providers where it has some, else the house's. */

import type { Database } from "@/db/client.ts";
import { credentialPlace, listCredentialsNamed } from "@/db/credentials.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Vault } from "@/db/vault.ts";
import { isServed } from "@/lib/access.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Config, SipGate } from "@/lib/config.ts";
import { CREDENTIAL_IN_USE, type CredentialValues } from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { missingOf } from "@/lib/features.ts";
import type { LiveKit, LiveKitAccount } from "@/lib/providers/livekit/livekit.ts";
import { isProjectUrl } from "@/lib/providers/livekit/address.ts";
import type { Brought } from "@/lib/provider_choice.ts";
import type { VoiceDefaults } from "@/lib/workflow/graph.ts";
import type { Breakers } from "@/lib/providers/failover/breaker.ts";
import { newSpeechMemory } from "@/lib/providers/tts/remembered.ts";
import { Secret } from "@/lib/secret.ts";
import { configCache, type Versioned } from "./config_cache.ts";
import {
  type AgentWishes,
  NO_WISHES,
  partsOf,
  pipelineOf,
  type Speech,
  wholeOf,
} from "./speech_of.ts";
import type { TenantSettings } from "./tenant.ts";

/** A caller waits for it. */
const LOAD_MS = 1_000;

/** Whose account of the carrier a call goes by. */
export type Account = "house" | "tenant";

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
  /** The same of the same wishes, but for one model that does it all: each call has its own session. */
  speech(wishes: AgentWishes): Speech | AppError;
  readonly own: { readonly carrier: Carrier; readonly authToken: Secret } | null;
  /** Null: it has brought none. */
  readonly livekit: LiveKitProject | null;
  readonly defaults: VoiceDefaults;
}

export function newEquipment(options: EquipmentOptions): Equipment {
  const { database, vault, config, clock, carrier } = options;
  const cache = configCache({ clock, load });
  const { breakers } = options;
  const wrapping = { clock, breakers, memory: newSpeechMemory() };
  const configured = partsOf(config, {}, { wanted: null, allowed: null }, wrapping);
  const house = configured instanceof AppError
    ? configured
    : { ...pipelineOf(configured, clock), ...options.speech };

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
    const ofTenant = { ...wrapping, whose };
    return {
      configVersion,
      speech(wishes) {
        if (!isServed(status)) {
          return new AppError("tenant_suspended", "The company's access is off");
        }
        const { providers, model: own, speech: one } = wishes;
        if (one) return wholeOf(one, config, brought, model, ofTenant, wishes);
        if (isPlain && providers === null && own === null) return house;
        const key = JSON.stringify([providers, own]);
        const before = made.get(key);
        if (before !== undefined) return before;
        const parts = partsOf(config, brought, model, ofTenant, wishes);
        const speech = parts instanceof AppError ? parts : pipelineOf(parts, clock);
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
