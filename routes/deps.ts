/** What the routes are given: refs to send to, and the few facts an answer needs. */

import type { DeskMessage } from "@/actors/desk/desk.ts";
import type { GateMessage } from "@/actors/gate/gate.ts";
import type { Feed } from "@/actors/recorder/feed.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Clock } from "@/lib/clock.ts";
import type { EdgeConfig } from "@/lib/config.ts";
import type { Feature } from "@/lib/features.ts";
import type { Limiter } from "@/lib/limits/limiter.ts";
import type { MemoryLimiter } from "@/lib/limits/memory.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import type { Log } from "@/lib/log.ts";
import type { Others } from "./draining.ts";

/** An ask of a route waits so long; then its outcome is unknown. */
export const ASK_MS = 1_500;

export interface AppDeps {
  readonly gate: Ref<GateMessage>;
  /** The desk of a tenant on this machine. */
  desk(tenantId: string): Ref<DeskMessage>;
  /** What the carrier sees of us, without a trailing slash: `https://voice.example.com`. */
  readonly publicUrl: string;
  readonly edge: EdgeConfig;
  /** What is configured, and what is missing. */
  readonly features: readonly Feature[];
  /** Null when unset: the carrier's webhooks then answer that the line is not configured. */
  readonly twilioAuthToken: string | null;
  /** Tells who watches calls what this machine has committed of them. */
  readonly feed: Feed;
  readonly version: string;
  /** Why this machine should get no new work; empty when it should. */
  notReady(): Promise<readonly string[]>;
  /** Whether it takes no new work. */
  isDraining(): boolean;
  /** Who takes it then. */
  readonly others: Others;
  /** Is this kind of work put off, because the machine is hard pressed? */
  isShed(work: "lists" | "writes"): boolean;
  /** Can this caller not be taken now, and is that known before anything is asked? */
  refusesCaller(ring: { readonly carrierCallId: string; readonly to: string }): boolean;
  /** Uniform in [0, 1). */
  random(): number;
  readonly limiter: Limiter;
  /** Counts on this machine alone what one address may ask before it is known who asks. */
  readonly addressLimiter: MemoryLimiter;
  /** What a tenant may use, at least as new as this version of its configuration. */
  plan(tenantId: string, configVersion: number): TenantPlan | Promise<TenantPlan>;
  readonly clock: Clock;
  readonly log: Log;
}
