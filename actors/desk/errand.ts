/** An errand: what a desk does for who asks, beside its mailbox, named and under a scope. */

import type { OPERATE, Scope } from "@/lib/access.ts";
import type { Office } from "./office.ts";

/** `run` throws AppError for what its asker may act on. Its answer is JSON: it may be stored and given again. */
export interface Errand<I, O> {
  /** Whoever asks must have this scope: `forbidden` else. */
  readonly needs: Scope | typeof OPERATE;
  run(office: Office, input: I): Promise<O>;
}

/** Spelt out for inference: `errand("tenant:read", (office, input: Page) => …)`. */
export function errand<I, O>(
  needs: Scope | typeof OPERATE,
  run: (office: Office, input: I) => Promise<O>,
): Errand<I, O> {
  return { needs, run };
}
