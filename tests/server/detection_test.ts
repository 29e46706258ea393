/** Calls that are placed with the carrier's detection of machines, over real sockets: its signed callback reaches the call. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { serverKit } from "@/tests/support/server.ts";
import type { Detected } from "@/tests/support/twilio_call.ts";

const { open } = await testDatabase();
const MESSAGE = "Please call us back. Goodbye.";

/** Places a call with an agent that has the carrier judge who answers, and waits for its end. */
async function place(detected: Detected) {
  const database = await open();
  const forms: Readonly<Record<string, string>>[] = [];
  const kit = await serverKit({
    database,
    twilio: {
      detects(form) {
        forms.push(form);
        return detected;
      },
    },
  });
  try {
    const json = { "Content-Type": "application/json" };
    const post = (path: string, method: string, body: unknown) =>
      kit.rest(path, { method, headers: json, body: JSON.stringify(body) });
    const answering = { onVoicemail: "leave_message", message: MESSAGE, detector: "carrier" };
    const made = await post("/api/v1/agents", "POST", {
      name: "Caller",
      graph: { ...demoAgent, answering },
    });
    assert.equal(made.status, 201, await made.clone().text());
    const { id: agentId } = await made.json();
    const published = await kit.rest(`/api/v1/agents/${agentId}/publish`, { method: "POST" });
    assert.equal(published.status, 201, await published.clone().text());
    const to = "+15550123456";
    const placed = await post("/api/v1/calls", "POST", {
      ...{ agentId, to, from: DEMO_NUMBER },
    });
    assert.equal(placed.status, 201, await placed.clone().text());
    const { id } = await placed.json();
    const phoned = kit.twilio.calls.at(-1);
    assert.ok(phoned);
    await phoned.ended;
    for (;;) {
      const call = await (await kit.rest(`/api/v1/calls/${id}`)).json();
      if (call.status !== "ended") continue;
      const { items } = await (await kit.rest(`/api/v1/calls/${id}/events?limit=100`)).json();
      const by = (items as { type: string; payload: { by: string } }[])
        .flatMap(({ type, payload }) => type === "answered_by" ? [payload.by] : []);
      const heard = phoned.streams.flatMap(playedWords).map(({ text }) => text).join(" ");
      return { call, by, heard, form: forms[0], logged: kit.logged };
    }
  } finally {
    await kit.close();
    await database.close();
  }
}

Deno.test("a voicemail that the carrier has found is left a message, once, however often it is told", async () => {
  const { call, by, heard, form, logged } = await place({
    ...{ by: "machine_end_beep", afterMs: 1_500, copies: 3 },
  });
  assert.equal(form?.MachineDetection, "DetectMessageEnd");
  assert.deepEqual([call.outcome, by, heard], ["voicemail", ["voicemail"], MESSAGE]);
  assert.deepEqual(logged.filter((line) => line.includes("webhook")), []);
});
