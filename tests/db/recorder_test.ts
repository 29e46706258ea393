/** The recorder on a real database: what it has answered for is there. */

import assert from "node:assert/strict";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { listEvents } from "@/db/events.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

Deno.test("what was appended before a flush is stored, but for an event that cannot be", async () => {
  await using database = await open();
  const { system } = actorKit();
  const ref = system.spawn(recorderKind, "recorder", () => recorder({ database, log: silentLog }));
  const tenants = [await newTenant(database), await newTenant(database)];
  const conversationId = newId("call");
  for (let seq = 1; seq <= 50; seq++) {
    const payload = { text: seq === 20 ? "U+0000 is no text: \0" : `word ${seq}` };
    const events = [...tenants, newId("tenant")].map((tenantId) => ({
      ...{ tenantId, conversationId, seq, type: "said", payload, at: new Date(0) },
    }));
    ref.send({ type: "append", events });
  }
  await ref.ask<void>((reply) => ({ type: "flush", reply }), { timeoutMs: DEADLINE_MS });
  for (const tenantId of tenants) {
    const page = { after: 0, limit: 100 };
    const events = await database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => listEvents(sql, tenantId, conversationId, page),
    );
    const expected = Array.from({ length: 50 }, (_, i) => i + 1).filter((seq) => seq !== 20);
    assert.deepEqual(events.map(({ seq }) => seq), expected);
  }
  await system.shutdown();
});
