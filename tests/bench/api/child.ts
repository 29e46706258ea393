/** The servers that `bench api` measures, in a process of their own: ours, a bare one, ours without protection. */

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { errands } from "@/actors/desk/errands.ts";
import type { Office } from "@/actors/desk/office.ts";
import { connect, type Database } from "@/db/client.ts";
import { DEMO_TENANT_ID, seedDemo, seedDemoKey } from "@/db/demo.ts";
import { migrate } from "@/db/migrate.ts";
import { newKey } from "@/lib/api_keys.ts";
import { systemClock } from "@/lib/clock.ts";
import { readConfig } from "@/lib/config.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { startServer } from "@/main.ts";
import { serveBare } from "./bare.ts";

const SETUP_MS = 60_000;
/** So high that it is counted and never reached. */
const RATE = { capacity: 1_000_000, perSecond: 100_000 };

/** What the parent is told, as one JSON line. */
export interface Ports {
  readonly ours: number;
  readonly bare: number;
  readonly unprotected: number;
  readonly key: string;
}

async function prepare(database: Database, pepper: Secret): Promise<string> {
  await migrate(database, { log: silentLog });
  await seedDemo(database, { agentName: demoAgent.name, graph: demoAgent });
  const key = newKey("live");
  await seedDemoKey(database, { key: new Secret(key), pepper, at: systemClock.date() });
  const rates = { read: RATE, write: RATE };
  await database.asOwner(
    SETUP_MS,
    (sql) => sql`update tenant set limits = ${sql.json({ rates })}`,
  );
  return key;
}

/** The same errands over hono, without asking who it is, what they may, how often, or keeping who did it. */
async function serveUnprotected(database: Database): Promise<number> {
  const tenantId = DEMO_TENANT_ID;
  const bound: Office["read"] = (work) => database.asTenant("rest", tenantId, 10_000, work);
  const office = {
    tenantId,
    read: bound,
    act: (work: Parameters<Office["act"]>[0]) =>
      bound((sql, withCommit) =>
        work({
          sql,
          withCommit,
          audit: async () => {},
          emit: async () => {},
          enqueue: async () => {},
          changeConfig: () => Promise.resolve(1),
        })
      ),
    clock: systemClock,
  } as unknown as Office; // all that these two errands use of it
  const app = new Hono()
    .get("/tenant", async (c) => c.json(await errands.tenant.run(office, undefined)))
    .post(
      "/agents",
      async (c) => c.json(await errands.createAgent.run(office, await c.req.json()), 201),
    );
  const listening = Promise.withResolvers<number>();
  serve(
    { fetch: app.fetch, port: 0, hostname: "127.0.0.1", overrideGlobalObjects: false },
    ({ port }) => listening.resolve(port),
  );
  return await listening.promise;
}

const [databaseUrl = ""] = Deno.args;
const pepper = newId("request");
const database = await connect({ at: { url: databaseUrl }, clock: systemClock, log: silentLog });
const key = await prepare(database, new Secret(pepper));
const server = await startServer(
  readConfig({
    PORT: "0",
    OPERATOR_PORT: "0",
    DATABASE_URL: databaseUrl,
    TOKEN_PEPPER: pepper,
    KEY_ENCRYPTION_KEYS: `bench:${crypto.getRandomValues(new Uint8Array(32)).toBase64()}`,
  }),
  { log: silentLog },
);
const ports: Ports = {
  ours: server.port,
  bare: await serveBare({ databaseUrl, tenant: uuidOf("tenant", DEMO_TENANT_ID) ?? "" }),
  unprotected: await serveUnprotected(database),
  key,
};
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(ports)}\n`));
