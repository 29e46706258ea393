/** A recorded sentence from its upload to the caller's ear, between spoken ones and in a room, over real sockets. */

import assert from "node:assert/strict";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";
import { wav } from "@/lib/audio/wav.ts";
import { exampleGraph } from "@/lib/workflow/demo.ts";
import { phone } from "@/tests/load/phone.ts";
import { signUp } from "@/tests/support/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();
const NUMBER = "+15550100277";
/** Not what the clip says that it says: so that it cannot have been spoken. */
const RECORDED = "Zebras sing at dawn.";

Deno.test("a caller hears a recorded sentence between spoken ones, and its words stand in the transcript", async () => {
  const database = await open();
  const kit = await serverKit({ database, env: {} });
  try {
    const { ask, token } = await signUp(kit.url);
    const clip = {
      name: "opening-hours",
      text: "We open at nine.",
      audio: wav([speak(RECORDED).audio]).toBase64(),
    };
    const stored = await ask("POST", "/api/v1/clips", clip);
    assert.equal(stored.status, 201);
    const sound = await fetch(`${kit.url}/api/v1/clips/${stored.body.id}/audio`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    assert.equal(sound.headers.get("content-type"), "audio/wav");
    assert.equal((await sound.bytes()).toBase64(), clip.audio);
    const nodes = exampleGraph.nodes.map((node) =>
      node.type === "start"
        ? { ...node, greeting: "Welcome to us. {{clip:opening-hours}} What is it?" }
        : node
    );
    const agent = await ask("POST", "/api/v1/agents", {
      name: "Desk",
      graph: { ...exampleGraph, ambient: { sound: "office", volume: 0.1 }, nodes },
    });
    assert.equal(agent.status, 201);
    const agentId: string = agent.body.id;
    assert.equal((await ask("POST", `/api/v1/agents/${agentId}/publish`)).status, 201);
    await ask("POST", "/api/v1/phone-numbers", { number: NUMBER, agentId });
    const wavFile = await Deno.makeTempFile({ suffix: ".wav" });
    const { transcript } = await phone(
      { ...kit, apiKey: token },
      {
        lines: ["Nothing, thank you."],
        agentId: null,
        from: "+15550199000",
        to: NUMBER,
        bargeInAtMs: null,
        wavFile,
      },
      () => {},
    );
    const greeting = transcript?.events.find((event) => event.type === "agent_said");
    assert.equal(greeting?.text, "Welcome to us. We open at nine. What is it?");
    const right = rightOf(await Deno.readFile(wavFile));
    await Deno.remove(wavFile);
    const heard = heardWords(encodeMulaw(right)).map(({ text }) => text).join(" ");
    assert.ok(heard.startsWith(`Welcome to us. ${RECORDED} What is it?`), heard);
    const silent = right.filter((sample) => sample === 0).length / right.length;
    assert.ok(silent < 0.2, `a room is around it: ${silent} of the line is silent`);
  } finally {
    await kit.close();
    await database.close();
  }
});

/** The agent's side of a WAV of both. */
function rightOf(file: Uint8Array): Int16Array<ArrayBuffer> {
  return new Int16Array(file.slice(44).buffer).filter((_, at) => at % 2 === 1);
}
