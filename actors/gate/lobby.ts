/** The lobby of the gate: what an entry works with, before there is a tenant. */

import type { RequestFacts, Services } from "@/actors/desk/office.ts";
import type { Principal, SignedIn } from "@/lib/access.ts";

/** Who comes: `by` and `person` are null for one who has not logged in. */
export interface Visitor {
  readonly by: Principal | null;
  /** Where a person is asked for and no tenant: they may be a member of none, or of a suspended one. */
  readonly person: SignedIn | null;
  /** The operator's name, on the operators' listener; null on the public one. */
  readonly operator: string | null;
  readonly request: RequestFacts;
  /** `User-Agent`, cut to 256 characters. */
  readonly userAgent: string;
}

/** Of the whole machine, and the same as a desk's. */
export interface Lobby extends Services, Visitor {
  readonly signal: AbortSignal;
}
