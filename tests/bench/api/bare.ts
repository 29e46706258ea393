/** What `bench api` holds ours against: hono, and the same queries in plain transactions with the tenant set. */

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import postgres from "postgres";

/** As many connections as our pool of REST has. */
const CONNECTIONS = 6;

export interface BareOptions {
  readonly databaseUrl: string;
  /** UUIDs, without prefixes. */
  readonly tenant: string;
}

/** `GET /tenant` reads the tenant, `POST /agents` inserts an agent. Resolves with its port. */
export async function serveBare({ databaseUrl, tenant }: BareOptions): Promise<number> {
  const sql = postgres(databaseUrl, {
    max: CONNECTIONS,
    connection: { role: "ringmaster_app" },
    fetch_types: false,
    onnotice: () => {},
  });

  function bound<T>(work: (sql: postgres.TransactionSql) => Promise<T>): Promise<unknown> {
    return sql.begin(async (sql) => {
      await sql`select set_config('app.tenants', ${`{${tenant}}`}, true)`;
      return await work(sql);
    });
  }

  const app = new Hono()
    .get("/tenant", async (c) =>
      c.json(
        await bound(async (sql) => {
          const [row] = await sql`
            select 'tenant_' || id as id, name, status, settings,
              config_version::int as config_version, created_at
            from tenant where id = ${tenant}`;
          return row;
        }),
      ))
    .post("/agents", async (c) => {
      const { name } = await c.req.json();
      const id = crypto.randomUUID();
      const made = await bound(async (sql) => {
        const [row] = await sql`
          insert into agent (tenant_id, id, name, draft) values (${tenant}, ${id}, ${name}, null)
          on conflict (tenant_id, id) do nothing
          returning 'agent_' || id as id, name, published_version, revision, created_at, updated_at,
            archived_at, draft`;
        return row;
      });
      return c.json(made, 201);
    });
  const listening = Promise.withResolvers<number>();
  serve(
    { fetch: app.fetch, port: 0, hostname: "127.0.0.1", overrideGlobalObjects: false },
    ({ port }) => listening.resolve(port),
  );
  return await listening.promise;
}
