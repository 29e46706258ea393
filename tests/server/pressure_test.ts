/** A whole server at the highest level of pressure: callers get the busy tone, and the call that lives goes on. */

import assert from "node:assert/strict";
import type { EventView } from "@/actors/desk/calls.ts";
import { DEMO_AGENT_ID, DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import { speak } from "@/lib/audio/modem.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

/** Asks until it is so; the test's own deadline ends it. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await sleep(systemClock, 50);
}

function dial(kit: ServerKit, to: string) {
  return placeInbound({
    webhookUrl: `${kit.url}/twilio/voice`,
    publicUrl: kit.url,
    authToken: kit.carrierToken,
    from: "+15550199000",
    to,
    clock: systemClock,
    twilio: kit.twilio,
  });
}

Deno.test("at level 5 a caller gets the busy tone unanswered, and the call that lives goes on", async () => {
  await using database = await open();
  // A process holds more than a megabyte: pressed for its memory two seconds after its start.
  const kit = await serverKit({ database, env: { MEMORY_MAX_MB: "1" } });
  const live = await dial(kit, DEMO_NUMBER);
  try {
    assert.ok(live.stream !== null, "it is not pressed yet");
    const pressure = async () => await (await kit.operator("/pressure")).json();
    await until(async () => (await pressure()).level === 5);

    for (const to of [DEMO_NUMBER, "+15550177777"]) { // nobody's number: whose it is, is not asked
      const refused = await dial(kit, to);
      assert.deepEqual(await refused.ended, { by: "agent", reason: "rejected: busy" });
      assert.equal(refused.status, "busy");
      assert.deepEqual(refused.log.map(({ type }) => type), ["asked", "rejected", "ended"]);
    }
    assert.equal((await pressure()).tokens.refused.inbound, 2);
    const alarms = async () => await (await kit.operator("/alarms")).json();
    await until(async () => (await alarms()).current.length > 0);
    const [{ kind, detail }] = (await alarms()).current;
    assert.deepEqual([kind, detail.level], ["pressure", 5]);
    const place = { agentId: DEMO_AGENT_ID, to: "+15550100001", from: DEMO_NUMBER };
    const placed = await kit.rest("/api/v1/calls", {
      method: "POST",
      body: JSON.stringify(place),
      headers: { "Content-Type": "application/json" },
    });
    assert.deepEqual([placed.status, (await placed.json()).code], [503, "overloaded"]);

    const opened = live.log.find(({ type }) => type === "streamOpened");
    const callId = opened?.type === "streamOpened" ? opened.url.split("/")[5] ?? "" : "";
    const events = async (): Promise<EventView[]> =>
      (await (await kit.rest(`/api/v1/calls/${callId}/events?after=0&limit=100`)).json()).items;
    const { stream } = live;
    await until(() => Promise.resolve(stream.player.endsAtMs() < systemClock.now())); // the greeting
    await live.say(speak(demoCaller[0] ?? "").audio);
    await until(async () =>
      (await events()).filter(({ type }) => type === "agent_said").length >= 2
    );
    const types = (await events()).map(({ type }) => type);
    assert.ok(types.indexOf("caller_said") < types.lastIndexOf("agent_said"), `${types}`);
    assert.equal(live.status, "in-progress");

    const hangUp = await kit.rest(`/api/v1/calls/${callId}/hang-up`, { method: "POST" });
    await hangUp.body?.cancel();
    assert.ok(hangUp.ok, `${hangUp.status}`);
    assert.equal((await live.ended).by, "agent");
  } finally {
    live.hangUp();
    await kit.close();
  }
  const told = await database.asTenant(
    "rest",
    DEMO_TENANT_ID,
    DEADLINE_MS,
    (sql) => sql`select payload from outbox where type = 'capacity.refused'`,
  );
  const [event, ...others] = told.map(({ payload }) => Object(payload));
  assert.equal(others.length, 0);
  assert.deepEqual([event.callers, event.pages, event.placed], [1, 0, 0]);
  assert.ok(event.from <= event.until);
});
