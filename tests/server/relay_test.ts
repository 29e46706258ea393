/** Calls that the carrier hears and speaks for, over real sockets: chosen by the number, and by a signed URL. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { phone, type PhoneOptions } from "@/tests/load/phone.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();

const CALLER: PhoneOptions = {
  lines: ["I have a toothache."],
  agentId: null,
  from: "+15550199000",
  to: DEMO_NUMBER,
  bargeInAtMs: null,
  wavFile: null,
};

async function setUp() {
  const database = await open();
  const kit = await serverKit({ database });
  return {
    kit,
    async [Symbol.asyncDispose]() {
      await kit.close();
      await database.close();
    },
  };
}

/** Has the demo's number held so. */
async function choose(kit: ServerKit, leg: "stream" | "relay" | null): Promise<void> {
  const { items } = await (await kit.rest("/api/v1/phone-numbers")).json();
  const changed = await kit.rest(`/api/v1/phone-numbers/${items[0].id}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ leg }),
  });
  assert.equal(changed.status, 200, await changed.clone().text());
  assert.equal((await changed.json()).leg, leg);
}

Deno.test("a number on a relay: the caller's own words are answered in the carrier's voice, as stored", async () => {
  await using it = await setUp();
  const { kit } = it;
  await choose(kit, "relay");
  const { transcript, transcriptMatches, callId, ending } = await phone(kit, CALLER, () => {});
  assert.ok(transcriptMatches, ending);
  const phoned = kit.twilio.calls.at(-1);
  assert.ok(phoned?.relay);
  assert.deepEqual(phoned.relay.refused, []);
  assert.equal(phoned.streams.length, 0, "no audio passes here");
  const said = transcript?.events.flatMap((event) =>
    event.type === "caller_said" ? [event.text] : []
  );
  assert.deepEqual(said, CALLER.lines, "to the comma: nobody has recognised it from audio");
  assert.match(phoned.relay.heard().join(" "), /What is your name/);
  const call = await (await kit.rest(`/api/v1/calls/${callId}`)).json();
  assert.deepEqual([call.status, call.reason], ["ended", "caller_hung_up"]);
});

Deno.test("who interrupts over a relay cuts the transcript where they cut the voice", async () => {
  await using it = await setUp();
  const { transcript, transcriptMatches, ending } = await phone(
    it.kit,
    { ...CALLER, leg: "relay", bargeInAtMs: 1_000 },
    () => {},
  );
  assert.ok(transcriptMatches, ending);
  const first = transcript?.events.find((event) => event.type === "agent_said");
  assert.ok(first?.bargedIn);
});

Deno.test("a number on a stream, and one that leaves it to its agent, are heard by ourselves", async () => {
  await using it = await setUp();
  for (const leg of ["stream", null] as const) {
    await choose(it.kit, leg);
    const { transcriptMatches, ending } = await phone(it.kit, CALLER, () => {});
    assert.ok(transcriptMatches, ending);
    assert.equal(it.kit.twilio.calls.at(-1)?.relay, null);
  }
});
