/** The API of a real house over a test database, asked without a socket by a principal of a tenant. */

import { openHouse } from "@/actors/house.ts";
import type { GateMessage } from "@/actors/gate/gate.ts";
import { updateCallEnded } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { type Principal, SCOPES } from "@/lib/access.ts";
import { systemClock } from "@/lib/clock.ts";
import { readConfig } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { featuresOf } from "@/lib/features.ts";
import { newId } from "@/lib/ids.ts";
import type { Limiter, Verdict } from "@/lib/limits/limiter.ts";
import { HOUSE_LIMITS } from "@/lib/limits/plan.ts";
import { newLog } from "@/lib/log.ts";
import { inboundOnly } from "@/lib/providers/carrier/inbound_only.ts";
import { loadLiveKit } from "@/lib/providers/livekit/server_api.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { Secret } from "@/lib/secret.ts";
import { newApp } from "@/routes/app.ts";
import { fakeRef } from "@/tests/routes/fakes.ts";
import { startLiveKit } from "./livekit.ts";
import { answeredEnd, DEADLINE_MS, insertedCall, newStaffedTenant } from "./rows.ts";

export interface WholeApi {
  readonly app: ReturnType<typeof newApp>;
  /** What the principal shows. */
  readonly token: string;
  /** What is there to begin with. */
  readonly ids: readonly string[];
  /** Asks as the principal; headers given win. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** Lines of warnings and errors. */
  readonly logged: readonly string[];
  close(): Promise<void>;
}

/** What a limit refuses would hide what lies behind it. */
const FREE: Verdict = { isAllowed: true, limit: 1, remaining: 1, retryAfterS: 0, resetS: 0 };
const UNLIMITED: Limiter = {
  take: () => Promise.resolve(FREE),
  takeAll: (wants) => Promise.resolve(wants.map(() => FREE)),
};

const newLiveKit = await loadLiveKit();
const TOKEN = "the-principal";
export const PUBLIC_URL = "https://voice.example.com";

/** The principal has every scope; whether its credential is good is for other tests. Providers know no key. */
export async function wholeApi(database: Database): Promise<WholeApi> {
  const staffed = await newStaffedTenant(database);
  const call = await insertedCall(database, staffed);
  const { tenantId } = staffed;
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => updateCallEnded(sql, tenantId, call.id, answeredEnd),
  );
  const principal: Principal = {
    kind: "key",
    id: newId("key"),
    tenantId,
    role: null,
    scopes: new Set(SCOPES),
    sessionId: null,
    configVersion: 1,
  };
  const logged: string[] = [];
  const log = newLog({
    level: "warn",
    pii: false,
    date: systemClock.date,
    write: (line) => logged.push(line),
  });
  const provider = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json({ error: "No such key" }, { status: 401 }),
  );
  const url = `http://127.0.0.1:${provider.addr.port}`;
  const livekit = startLiveKit();
  const config = readConfig({
    TWILIO_API_URL: url,
    DEEPGRAM_URL: url,
    OPENAI_BASE_URL: url,
    ANTHROPIC_URL: url,
    ELEVENLABS_URL: url,
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
  });
  const house = openHouse({
    config,
    database,
    carrier: inboundOnly(),
    newCarrier: () => inboundOnly(),
    newLiveKit,
    publicUrl: PUBLIC_URL,
    keys: {
      keyEncryptionKeys: [{ name: "test", key: new Secret(btoa("k".repeat(32))) }],
      pepper: new Secret("p".repeat(32)),
    },
    notifier: { provider: "none", send: () => Promise.resolve() },
    stores: storesOf(memoryStore()),
    clock: systemClock,
    log,
  });
  const gate = fakeRef<GateMessage>((message) => {
    if (message.type !== "authenticate") return void house.gate.send(message);
    if (message.shown.token === TOKEN) return message.reply(principal);
    return message.reply.fail(new AppError("unauthenticated", "No valid bearer token"));
  });
  const app = newApp({
    gate,
    desk: house.desk,
    publicUrl: PUBLIC_URL,
    edge: config.edge,
    features: featuresOf(config, true),
    twilioAuthToken: null,
    version: "1.2.3",
    notReady: () => Promise.resolve([]),
    isDraining: () => false,
    others: { urls: () => [], send: fetch, isHere: () => false },
    refusesCaller: () => false,
    isShed: () => false,
    random: () => 0,
    feed: house.feed,
    limiter: UNLIMITED,
    addressLimiter: house.addressLimiter,
    plan: () => ({ configVersion: 1, status: "active", limits: HOUSE_LIMITS }),
    clock: systemClock,
    log,
  });
  return {
    app,
    token: TOKEN,
    ids: [tenantId, staffed.agentId, call.id, principal.id],
    logged,
    async ask(path, init = {}) {
      const headers = { Authorization: `Bearer ${TOKEN}`, ...init.headers };
      return await app.request(`${PUBLIC_URL}${path}`, { ...init, headers });
    },
    async close() {
      await house.close();
      await provider.shutdown();
      await livekit.close();
    },
  };
}
