/** How the database would run the queries of a db function. */

import type { Sql } from "@/db/client.ts";

/**
 * The plans of the select statements that `work` makes, in order; each gives it no rows. Tables of a
 * test are so small that reading them whole is cheaper, so that is forbidden first.
 */
export async function plansOf(sql: Sql, work: (sql: Sql) => Promise<unknown>): Promise<string[]> {
  await sql`set local enable_seqscan = off`;
  await sql`set local enable_bitmapscan = off`;
  const plans: string[] = [];

  async function explain(query: ReturnType<Sql>): Promise<never[]> {
    const lines = await sql`explain ${query}`;
    plans.push(lines.map((line) => Object.values(line).join("")).join("\n"));
    return [];
  }
  const explaining = new Proxy(sql, {
    apply(target, self, args) {
      const query = Reflect.apply(target, self, args);
      const [strings] = args;
      const isSelect = Array.isArray(strings) && /^\s*select/.test(strings[0]);
      return isSelect ? explain(query) : query;
    },
  });
  await work(explaining);
  return plans;
}
