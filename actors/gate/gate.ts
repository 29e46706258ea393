/** The gate: turns what an outsider shows (a number, later a key or a token) into a tenant and an id. */

import type { Reply } from "@/actors/runtime/actor.ts";

/** A tenant's phone number, and the agent that answers it; null while none is assigned. */
export interface NumberOwner {
  readonly tenantId: string;
  readonly agentId: string | null;
}

export type GateMessage =
  /** Whose number is this (E.164)? Null: nobody's here. */
  { type: "numberOwner"; number: string; reply: Reply<NumberOwner | null> };
