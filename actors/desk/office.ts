/** The office of a desk: what an errand works with. Everything in it is bound to the desk's tenant. */

import type { Rooms } from "@/actors/call/rooms.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import { type Act, act, type Committed } from "@/db/act.ts";
import type { Database, Work } from "@/db/client.ts";
import type { LeasedDelivery } from "@/db/deliveries.ts";
import type { Vault } from "@/db/vault.ts";
import type { Principal } from "@/lib/access.ts";
import type { AccessTokens } from "@/lib/access_tokens.ts";
import type { Background } from "@/lib/background.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Limiter } from "@/lib/limits/limiter.ts";
import type { Log } from "@/lib/log.ts";
import type { Passwords } from "@/lib/passwords.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import type { Notifier } from "@/lib/providers/notify/notify.ts";
import type { Outbound } from "@/lib/outbound.ts";
import type { CheckCredential } from "@/lib/providers/credential_check.ts";
import type { ProviderAccounts } from "@/lib/provider_choice.ts";
import type { Secret } from "@/lib/secret.ts";
import type { DeskMessage } from "./desk.ts";
import type { LiveKitProject } from "./equipment.ts";

export type { Act, AuditNote } from "@/db/act.ts";

const REST_MS = 10_000;

/** What a request says of itself beside its input. */
export interface RequestFacts {
  readonly requestId: string;
  /** The client's address; null when it is not known. */
  readonly address: string | null;
  /** `Idempotency-Key` of a POST; null when none was sent. What is asked under it is done once. */
  readonly idempotencyKey: string | null;
}

/** Of the whole machine, and the same for every desk. What a feature needs of the world is added here. */
export interface Services extends Committed {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** What carriers and users reach us at, without a trailing slash. */
  readonly publicUrl: string;
  readonly vault: Vault;
  /** Null: keys and tokens are not configured. */
  readonly pepper: Secret | null;
  readonly limiter: Limiter;
  /** The calls of a tenant that live or are on their way. */
  liveCalls(tenantId: string): Promise<number>;
  readonly passwords: Passwords;
  readonly tokens: AccessTokens;
  readonly notifier: Notifier;
  /** Where the sound of recordings is. */
  readonly stores: Stores;
  readonly background: Background;
  readonly auth: {
    readonly signup: "open" | "invited";
    /** The setting without which nobody can log in; null: none is missing. */
    readonly missing: "KEY_ENCRYPTION_KEYS" | "TOKEN_PEPPER" | null;
  };
  /** Asks a provider whether it knows a credential. */
  readonly askProvider: CheckCredential;
  /** The LiveKit project of a tenant, at least as new as this version of its configuration; as `Equipment.livekit`. */
  livekit(tenantId: string, configVersion: number | null): Promise<LiveKitProject>;
  /** Has a tenant's desk place a call of this id, unless there is one: as `placeCall` of it, by the house. */
  placeCall(
    tenantId: string,
    call: {
      readonly callId: string;
      readonly agentId: string;
      readonly from: string;
      readonly to: string;
    },
    signal: AbortSignal,
  ): Promise<void>;
  /** The way of agents into LiveKit's rooms. */
  readonly rooms: Rooms;
  /** As `Equipment.houseLiveKit`. */
  houseLiveKit(): LiveKitProject;
  /** The `host:port` that tenants' URLs may reach although they are private. */
  readonly outboundAllow: readonly string[];
  /** The house's own accounts of providers. */
  readonly accounts: ProviderAccounts;
  /** The way to addresses that tenants chose. */
  readonly outbound: Outbound;
  /** Sends a webhook that the caller has leased, now, and records how it came out. */
  attemptDelivery(delivery: LeasedDelivery, signal: AbortSignal): Promise<unknown>;
  /** Tells this machine's gate that what it has cached of a person is stale: after the commit that ends a session or disables them. */
  personChanged(personId: string): void;
}

export interface Office extends Services {
  readonly tenantId: string;
  readonly by: Principal;
  readonly request: RequestFacts;
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
  /** The desk itself: for commands that it forwards, as placing a call. */
  readonly desk: Pick<Ref<DeskMessage>, "ask">;
  /** One transaction of the tenant. Nothing but SQL may be awaited in it. */
  read<T>(work: Work<T>): Promise<T>;
  act<T>(work: (act: Act) => Promise<T>): Promise<T>;
}

export interface Visit {
  readonly tenantId: string;
  readonly by: Principal;
  readonly request: RequestFacts;
  readonly signal: AbortSignal;
  readonly desk: Ref<DeskMessage>;
}

export function office(services: Services, visit: Visit): Office {
  const { database, clock } = services;
  const { tenantId, by, request } = visit;
  const { requestId, address } = request;
  const actor = { actorKind: by.kind, actorId: by.id, requestId, address };
  const bounds = { tenantId, pool: "rest", deadlineMs: REST_MS } as const;

  return {
    ...services,
    ...visit,
    read: (work) => database.asTenant("rest", tenantId, REST_MS, work),
    act: (work) => act({ ...bounds, database, clock, committed: services, actor }, work),
  };
}
