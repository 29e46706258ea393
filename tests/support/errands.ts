/** Runs errands on a real database, as a principal of a tenant: the desk and its mailbox are left out. */

import { type Errands, errands } from "@/actors/desk/errands.ts";
import type { Errand } from "@/actors/desk/errand.ts";
import { type Office, office, type Services } from "@/actors/desk/office.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { DeskMessage } from "@/actors/desk/desk.ts";
import type { Database } from "@/db/client.ts";
import { newVault } from "@/db/vault.ts";
import { type Principal, SCOPES } from "@/lib/access.ts";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { testServices } from "./services.ts";

export interface ErrandRunner {
  readonly by: Principal;
  run<N extends keyof Errands>(
    name: N,
    input: Parameters<Errands[N]["run"]>[1],
  ): ReturnType<Errands[N]["run"]>;
}

export interface ErrandRunnerOptions {
  readonly clock?: Clock;
  /** In place of those that every errand has here. */
  readonly services?: Partial<Services>;
  /** What the tenant's desk is sent. */
  readonly desk?: Ref<DeskMessage>;
}

export function errandRunner(
  database: Database,
  tenantId: string,
  options: ErrandRunnerOptions = {},
): ErrandRunner {
  const { clock = systemClock, desk } = options;
  const by: Principal = {
    kind: "key",
    id: newId("key"),
    tenantId,
    role: null,
    scopes: new Set(SCOPES),
    sessionId: null,
    configVersion: 1,
  };
  const vault = newVault(database, null);
  const services = testServices({ database, clock, vault, ...options.services });
  const request = { requestId: "r1", address: null, idempotencyKey: null };
  const visit = { tenantId, by, request, desk } as Parameters<typeof office>[1];
  const { signal } = new AbortController();
  const entered: Office = office(services, { ...visit, signal });
  return {
    by,
    run(name, input) {
      const errand = errands[name] as Errand<never, unknown>;
      // The types of input and answer are those of the errand's name.
      return errand.run(entered, input as never) as ReturnType<Errands[typeof name]["run"]>;
    },
  };
}
