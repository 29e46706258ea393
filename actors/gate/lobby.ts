/** The lobby of the gate: what an entry works with, before there is a tenant. */

import type { RequestFacts, Services } from "@/actors/desk/office.ts";
import type { Principal } from "@/lib/access.ts";

/** Who comes: `by` is null for one who has not logged in. */
export interface Visitor {
  readonly by: Principal | null;
  readonly request: RequestFacts;
  /** `User-Agent`, cut to 256 characters. */
  readonly userAgent: string;
}

/** Of the whole machine, and the same as a desk's. */
export interface Lobby extends Services, Visitor {
  readonly signal: AbortSignal;
}
