/** A provider with its breaker, and what an error of it means for both. */

import { AppError } from "@/lib/errors.ts";
import type { Breaker } from "./breaker.ts";

/** Providers of one kind in the order in which they are to be asked. */
export interface Guarded<T> {
  readonly provider: T;
  readonly breaker: Breaker;
}

/** Tells the breaker how an attempt came out. An error of ours, or of the request itself, says nothing of the provider. */
export function note(breaker: Breaker, error: unknown): void {
  if (!(error instanceof AppError) || error.code !== "provider_failed") return breaker.abandoned();
  if (error.status === 429) return breaker.limited(error.retryAfterS ?? null);
  breaker.failed();
}

/** Whether another provider, or the same once more, may do better: a request that is wrong is wrong for all. */
export function mayHelp(error: unknown, isLast: boolean): boolean {
  if (!(error instanceof AppError) || error.code !== "provider_failed") return false;
  return error.retryable || !isLast;
}
