/** How old an event is when it is committed, with the events of many calls: `recorder [--calls 100]`. */

import { parseArgs } from "node:util";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { connect } from "@/db/client.ts";
import { migrate } from "@/db/migrate.ts";
import { insertTenant } from "@/db/tenants.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";

const SECONDS = 5;
/** Events of one call in a second: more than a lively conversation has. */
const EVENTS_PER_SECOND = 3;
const PAYLOAD = { turn: 1, text: "I would like an appointment on Thursday, please." };
const LOOK_EVERY_MS = 1;

/** Ages in milliseconds from the append until the commit has been handled, on the embedded database. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { calls: { type: "string", default: "100" } },
  });
  const calls = Number(values.calls);
  const clock = systemClock;
  const database = await connect({ at: { embedded: { dir: null } }, clock, log: silentLog });
  await migrate(database, { log: silentLog });
  const tenantId = newId("tenant");
  const tenant = { id: tenantId, name: "Bench" };
  await database.asTenant("jobs", tenantId, 10_000, (sql) => insertTenant(sql, tenant));
  const system = newSystem({ clock, log: silentLog });
  const ref = system.spawn(recorderKind, "recorder", () => recorder({ database, log: silentLog }));

  const appendedAt: number[] = [];
  const ages: number[] = [];
  function look(): void {
    const { done } = system.inspect("recorder", "recorder")?.view as { done: number };
    const now = clock.now();
    for (let nth = ages.length; nth < done; nth++) ages.push(now - (appendedAt[nth] ?? now));
    cancel = clock.timer(LOOK_EVERY_MS, look);
  }
  let cancel = clock.timer(LOOK_EVERY_MS, look);

  const conversations = Array.from({ length: calls }, () => newId("call"));
  const everyMs = 1000 / EVENTS_PER_SECOND / calls;
  const startedAt = clock.now();
  for (let seq = 1; seq <= SECONDS * EVENTS_PER_SECOND; seq++) {
    for (const conversationId of conversations) {
      const dueAt = startedAt + appendedAt.length * everyMs;
      if (dueAt > clock.now()) await sleep(clock, dueAt - clock.now());
      appendedAt.push(clock.now());
      const event = { tenantId, conversationId, seq, type: "caller_said", payload: PAYLOAD };
      ref.send({ type: "append", events: [{ ...event, at: clock.date() }] });
    }
  }
  await ref.ask<void>((reply) => ({ type: "flush", reply }));
  await sleep(clock, 2 * LOOK_EVERY_MS);
  cancel();
  await system.shutdown();
  await database.close();
  ages.sort((a, b) => a - b);
  const at = (part: number): number =>
    Math.round((ages[Math.floor(part * (ages.length - 1))] ?? 0) * 10) / 10;
  return { calls, events: ages.length, ageP50Ms: at(0.5), ageP99Ms: at(0.99), ageMaxMs: at(1) };
}
