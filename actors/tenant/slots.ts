/** The slots of tenants: asked of whichever machine counts for a tenant, and counted here while that one cannot be asked. */

import type { Kind, Ref, Reply } from "@/actors/runtime/actor.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import { tenantKind, type TenantMessage } from "./tenant.ts";

/** One who counts answers at once, or after it has counted. */
const HERE_MS = 1_200;
/** Another machine's has so long. */
const FAR_MS = 500;

/**
 * Stands in on one machine for a tenant's actor that it cannot reach: it knows the calls of this machine, and
 * of the others what the last census said. It may let in a call too many on each machine, and never stops them all.
 */
export const standInKind: Kind<TenantMessage> = { ...tenantKind, name: "tenant_stand_in" };

/** What an answer says; anything else says that there was none. */
const VERDICTS: ReadonlySet<ErrorCode> = new Set([
  "tenant_suspended",
  "busy",
  "quota_exceeded",
]);

export interface Slots {
  /** Takes a slot. Fails with tenant_suspended, busy or quota_exceeded. */
  admit(
    call: { readonly tenantId: string; readonly callId: string; readonly plan: TenantPlan },
    signal: AbortSignal,
  ): Promise<void>;
  started(tenantId: string, callId: string): void;
  ended(tenantId: string, callId: string): void;
  liveCalls(tenantId: string): Promise<number>;
}

export interface SlotsDeps {
  /** Wherever it is. */
  tenant(tenantId: string): Ref<TenantMessage>;
  isHere(tenantId: string): boolean;
  standIn(tenantId: string): Ref<TenantMessage>;
  /** Null: it does not live. */
  livingStandIn(tenantId: string): Ref<TenantMessage> | null;
  /** Told whenever a machine that counts could not be asked. */
  unreachable(tenantId: string, error: AppError): void;
}

export function newSlots(deps: SlotsDeps): Slots {
  async function ask<T>(
    tenantId: string,
    question: (reply: Reply<T>) => TenantMessage,
    signal?: AbortSignal,
  ): Promise<T> {
    const options = signal === undefined ? {} : { signal };
    const timeoutMs = deps.isHere(tenantId) ? HERE_MS : FAR_MS;
    try {
      return await deps.tenant(tenantId).ask<T>(question, { ...options, timeoutMs });
    } catch (error) {
      if (signal?.aborted === true || !isUnanswered(error)) throw error;
      deps.unreachable(tenantId, error);
      return await deps.standIn(tenantId).ask<T>(question, { ...options, timeoutMs: HERE_MS });
    }
  }

  function tell(tenantId: string, message: TenantMessage): void {
    deps.tenant(tenantId).send(message);
    deps.livingStandIn(tenantId)?.send(message);
  }

  return {
    async admit({ tenantId, callId, plan }, signal) {
      await ask<null>(tenantId, (reply) => ({ type: "admit", callId, plan, reply }), signal);
    },
    started: (tenantId, callId) => tell(tenantId, { type: "started", callId }),
    ended: (tenantId, callId) => tell(tenantId, { type: "ended", callId }),
    liveCalls: (tenantId) => ask<number>(tenantId, (reply) => ({ type: "liveCalls", reply })),
  };
}

function isUnanswered(error: unknown): error is AppError {
  return error instanceof AppError && !VERDICTS.has(error.code);
}
