/** The lobby of the gate: what an entry works with, before there is a tenant. */

import type { RequestFacts } from "@/actors/desk/office.ts";
import type { Database } from "@/db/client.ts";
import type { Principal } from "@/lib/access.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";

/** Who comes: `by` is null for one who has not logged in. */
export interface Visitor {
  readonly by: Principal | null;
  readonly request: RequestFacts;
  /** `User-Agent`, cut to 256 characters. */
  readonly userAgent: string;
}

/** Of the whole machine. What an entry needs of the world is added here. */
export interface GateServices {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Drops what is cached of a tenant on this machine. */
  configChanged(tenantId: string): void;
}

export interface Lobby extends GateServices, Visitor {
  readonly signal: AbortSignal;
}
