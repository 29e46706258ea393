/** The office of a tenant over a test database, for errands that are run without their desk. */

import { type Office, office, type Services } from "@/actors/desk/office.ts";
import type { DeskMessage } from "@/actors/desk/desk.ts";
import type { Database } from "@/db/client.ts";
import { newVault } from "@/db/vault.ts";
import { type Principal, SCOPES } from "@/lib/access.ts";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { type Log, silentLog } from "@/lib/log.ts";
import { newId } from "@/lib/ids.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { Secret } from "@/lib/secret.ts";
import { fakeRef } from "@/tests/routes/fakes.ts";

export interface OfficeOptions {
  readonly tenantId: string;
  readonly by?: Partial<Principal>;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Services to put in the place of these. */
  readonly services?: Partial<Services>;
}

export function tenantOffice(database: Database, options: OfficeOptions): Office {
  const { tenantId, clock = systemClock, log = silentLog } = options;
  const services: Partial<Services> = {
    database,
    clock,
    log,
    publicUrl: "https://voice.example.com",
    vault: newVault(database, [{ name: "test", key: new Secret(KEY) }]),
    pepper: new Secret("a pepper of the tests, 32 characters"),
    limiter: memoryLimiter(clock),
    stores: storesOf(memoryStore()),
    configChanged() {},
    acted() {},
    ...options.services,
  };
  const by: Principal = {
    kind: "key",
    id: newId("key"),
    tenantId,
    role: null,
    scopes: new Set(SCOPES),
    sessionId: null,
    configVersion: 1,
    ...options.by,
  };
  return office(services as Services, { // what a test needs beside these, it gives
    tenantId,
    by,
    request: { requestId: newId("request"), address: "192.0.2.1", idempotencyKey: null },
    signal: new AbortController().signal,
    desk: fakeRef<DeskMessage>(() => {}),
  });
}

const KEY = new Uint8Array(32).fill(7).toBase64();
