/** Hooks of an agent in a whole call: pulled at their moment, so often and no more, and on record. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import { speak } from "@/lib/audio/modem.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { checkGraph, parseGraph } from "@/lib/workflow/graph.ts";
import type { Hook } from "@/lib/workflow/hooks.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import { callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { playedWords } from "@/tests/support/heard.ts";

const START = demoAgent.nodes.find(({ type }) => type === "start")?.id ?? "";

async function setUp(hooks: readonly Partial<Hook>[], options: CallKitOptions = {}) {
  const graph = parseGraph({ ...demoAgent, hooks });
  const call = callKit({ graph, ...options });
  const stream = await call.connect();
  return {
    ...call,
    stream,
    clock: call.kit.clock,
    heard: () => playedWords(stream).map(({ text }) => text).join(" "),
    commands: () =>
      call.events.flatMap((event) =>
        event.type === "controlled" ? [`${event.by} ${event.action}`] : []
      ),
  };
}

Deno.test("a hook says its sentence so long after the call was answered, with what is known of the caller", async () => {
  const text = "We have talked for half a minute{{name}}.";
  const call = await setUp([
    {
      name: "half",
      on: { type: "elapsed", afterMs: 30_000 },
      do: { type: "say", text, interrupts: false },
    },
  ]);
  await call.clock.advance(29_000);
  assert.deepEqual(call.commands(), []);
  await call.clock.advance(8_000);
  assert.deepEqual(call.commands(), ["hook:half say"]);
  assert.ok(call.heard().includes("We have talked for half a minute."), call.heard());
  await call.close();
});

Deno.test("a key transfers the caller, whatever is being said", async () => {
  const call = await setUp([
    {
      name: "person",
      on: { type: "pressed", digit: "0" },
      do: { type: "transfer", to: "+15550100200", sentence: "I will put you through." },
    },
  ]);
  await call.clock.advance(800);
  call.stream.press("9");
  await call.clock.advance(100);
  assert.deepEqual(call.commands(), []);
  call.stream.press("0");
  await call.clock.advance(12_000);
  assert.deepEqual(call.commands(), ["hook:person transfer"]);
  assert.ok(call.heard().endsWith("I will put you through."), call.heard());
  assert.deepEqual(call.ends.map(({ reason }) => reason), ["transferred"]);
  await call.close();
});

Deno.test("the second idle prompt in a row hangs up, where a hook says so, and the first does not", async () => {
  const call = await setUp([
    { name: "gone", on: { type: "silent", prompts: 2 }, do: { type: "hangUp" } },
  ]);
  await call.clock.advance(60_000);
  assert.deepEqual(call.commands(), ["hook:gone hangUp"]);
  assert.deepEqual(call.ends.map(({ reason }) => reason), ["agent_hung_up"]);
  await call.close();
});

Deno.test("a failure of the model is answered by a hook as often as it may be, and no more", async () => {
  let asked = 0;
  const llm: LanguageModel = {
    provider: "test",
    async *respond() {
      if (asked++ % 3 === 0) {
        throw new AppError("provider_failed", "The model is away", { retryable: true });
      }
      yield { type: "text", text: "Yes." };
      yield { type: "finished", reason: "stop" };
    },
  };
  const call = await setUp(
    [{
      name: "sorry",
      on: { type: "failed" },
      do: { type: "addContext", text: "It failed." },
      times: 2,
    }],
    { deps: { llm } },
  );
  for (let turn = 0; turn < 8; turn++) {
    void call.stream.say(speak("Hello there.").audio);
    await call.clock.advance(15_000);
  }
  const failures = call.events.filter(({ type }) => type === "failed").length;
  assert.ok(failures > 2, `${failures} failures`);
  assert.deepEqual(call.commands(), ["hook:sorry addContext", "hook:sorry addContext"]);
  await call.close();
});

Deno.test("a hook that was pulled before a crash is not pulled again by the call that is rebuilt", async () => {
  let crashes = 0;
  const call = await setUp(
    [{
      name: "once",
      on: { type: "pressed", digit: "5" },
      do: { type: "addContext", text: "Five." },
    }],
  );
  await call.clock.advance(500);
  call.stream.press("5");
  await call.clock.advance(500);
  call.call.send({
    type: "hooksDue",
    get moment(): never {
      crashes++;
      throw new TypeError("planted");
    },
  });
  await call.clock.advance(2_000);
  assert.equal(crashes, 1);
  await call.reconnect();
  await call.clock.advance(500);
  call.streams.at(-1)?.press("5");
  await call.clock.advance(500);
  assert.deepEqual(call.commands(), ["hook:once addContext"]);
  await call.close();
});

Deno.test("a hook of a node that is not there, and a name that is taken, are named", () => {
  const hook = (name: string, node: string): unknown => ({
    name,
    on: { type: "moved", node },
    do: { type: "hangUp" },
  });
  const { faults } = checkGraph({ ...demoAgent, hooks: [hook("a", START), hook("a", "nowhere")] });
  assert.deepEqual(faults.map(({ path, message }) => `${path}: ${message}`), [
    "hooks[1].name: This name is taken",
    "hooks[1].on.node: There is no such node",
  ]);
});
