/** Calls whose carrier hears and speaks for the agent, whole, at virtual time. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { AppError } from "@/lib/errors.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { WORD_MS } from "@/tests/support/twilio_relay.ts";

const agent: Graph = {
  ...parseGraph(demoAgent),
  relay: { ttsProvider: "ElevenLabs", transcriptionProvider: "Deepgram", speechModel: null },
};

async function setUp(options: CallKitOptions = {}) {
  const it = callKit({ graph: agent, ...options });
  const relay = await it.openRelay(await it.answer());
  return { ...it, relay, clock: it.kit.clock };
}

function said(events: readonly CallEvent[]) {
  return events.filter((event) => event.type === "agent_said");
}

/** Speaks when the agent has asked, until all has been said. */
async function hold({ relay, clock, events }: Awaited<ReturnType<typeof setUp>>) {
  for (const line of demoCaller) {
    const before = said(events).length;
    for (let seconds = 0; seconds < 60 && said(events).length === before; seconds++) {
      await clock.advance(1_000);
    }
    await clock.advance(2_000);
    relay.say(line);
    await clock.advance(line.split(" ").length * WORD_MS);
  }
  await clock.advance(40_000);
}

for (const tells of [true, false]) {
  const how = tells ? "tells what it plays" : "tells nothing of its speech";
  Deno.test(`a caller books an appointment over a relay that ${how}`, async () => {
    const it = await setUp({ tells });
    await hold(it);
    const { events, ends, relay, close } = it;
    assert.equal(ends[0]?.reason, "agent_hung_up");
    assert.equal(ends[0]?.variables.patient, "Maria Lopez");
    const transcript = said(events).map(({ text }) => text).join(" ");
    assert.equal(relay.heard().join(" "), transcript);
    assert(said(events).every(({ bargedIn, unheard }) => !bargedIn && unheard === ""));
    const turns = events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
    assert.deepEqual(turns, [...demoCaller]);
    assert.deepEqual(relay.refused, []);
    assert(!events.some(({ type }) => type === "failed"));
    await close();
  });
}

Deno.test("who speaks over the agent is answered, and the transcript ends where it was heard", async () => {
  for (const words of [1, 3, 7]) {
    const { relay, clock, events, close } = await setUp();
    await clock.advance(words * WORD_MS + 10);
    relay.say("I have a toothache");
    await clock.advance(8_000);
    const [greeting, next] = said(events);
    assert.equal(greeting?.text, relay.heard().slice(0, words).join(" "));
    assert.equal(greeting?.text.split(" ").length, words);
    assert(greeting?.bargedIn);
    // Who has not heard the question has not answered it.
    assert.match(String(next?.text), words === 7 ? /What is your name/ : /^How can I help you\?$/);
    await close();
  }
});

Deno.test("a relay that tells nothing of its speech tells what was heard when it is cut", async () => {
  const { relay, clock, events, close } = await setUp({ tells: false });
  await clock.advance(4 * WORD_MS + 10);
  relay.say("I have a toothache");
  await clock.advance(3_000);
  assert.equal(said(events)[0]?.text, relay.heard().slice(0, 4).join(" "));
  await close();
});

Deno.test("a sound that came to nothing: the agent goes on from the first word that was not heard", async () => {
  const { relay, clock, events, close } = await setUp();
  await clock.advance(3 * WORD_MS + 10);
  relay.say("");
  await clock.advance(12_000);
  const start = agent.nodes.find((node) => node.type === "start");
  const greeting = start?.type === "start" ? start.greeting : "";
  assert.equal(relay.heard().join(" ").startsWith(greeting), true);
  assert.deepEqual(said(events).slice(0, 2).map(({ bargedIn }) => bargedIn), [true, false]);
  await close();
});

Deno.test("what is said at a node that must not be interrupted is said to its end", async () => {
  const graph = {
    ...agent,
    nodes: agent.nodes.map((node) =>
      node.type === "end" ? node : { ...node, isInterruptible: false }
    ),
  };
  const { relay, clock, events, close } = await setUp({ graph });
  await clock.advance(2 * WORD_MS);
  relay.say("Wait a moment");
  await clock.advance(8_000);
  assert.equal(said(events)[0]?.bargedIn, false);
  assert(relay.received.some((it) => it.type === "text" && it.interruptible === false));
  await close();
});

Deno.test("keys are a turn, and silence the agent", async () => {
  const { relay, clock, events, close } = await setUp();
  await clock.advance(3 * WORD_MS + 10);
  for (const digit of "42#") relay.press(digit);
  await clock.advance(8_000);
  const [turn] = events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
  assert.equal(turn, "(keyed 42)");
  assert.equal(said(events)[0]?.text, relay.heard().slice(0, 3).join(" "));
  await close();
});

Deno.test("an error of the carrier is on record, without its words, and the call goes on", async () => {
  const { relay, clock, events, ends, close } = await setUp();
  relay.fault("Invalid message: +15550199000");
  await clock.advance(2_000);
  const failures = events.filter((event) => event.type === "failed");
  assert.deepEqual(failures.map(({ part, code }) => [part, code]), [["leg", "provider_failed"]]);
  assert(!JSON.stringify(failures).includes("+1555"));
  assert.equal(ends.length, 0);
  await close();
});

Deno.test("a lost socket is followed by another through the action URL, and the call goes on", async () => {
  const { relay, clock, events, resume, openRelay, close } = await setUp();
  await clock.advance(3 * WORD_MS + 10);
  relay.close();
  await clock.advance(100);
  const next = await openRelay(await resume());
  await clock.advance(10_000);
  assert.deepEqual(events.flatMap((it) => it.type === "leg_started" ? [it.epoch] : []), [1, 2]);
  assert(next.heard().length > 0);
  next.say("I have a toothache");
  await clock.advance(8_000);
  assert(events.some((it) => it.type === "caller_said"));
  await close();
});

Deno.test("a transfer says its sentence, hands over with the reason, and is dialed at the action URL", async () => {
  const { relay, clock, call, resume, close } = await setUp();
  await clock.advance(10_000);
  const command = { type: "transfer", to: "+15550100200", sentence: "One moment." } as const;
  const obeyed = call.ask<void>((reply) => ({ type: "control", command, by: "user_1", reply }));
  await clock.settle();
  await obeyed;
  await clock.advance(5_000);
  assert.equal(relay.heard().slice(-2).join(" "), "One moment.");
  const end = relay.received.at(-1);
  assert.equal(end?.type, "end");
  assert.deepEqual(JSON.parse(end?.type === "end" ? end.handoffData ?? "" : ""), {
    reasonCode: "transferred",
  });
  assert.deepEqual(await resume(), { type: "transfer", to: "+15550100200" });
  await close();
});

Deno.test("an agent that is muted falls silent at once", async () => {
  const { relay, clock, call, events, close } = await setUp();
  await clock.advance(2 * WORD_MS + 10);
  const command = { type: "mute" } as const;
  const obeyed = call.ask<void>((reply) => ({ type: "control", command, by: "user_1", reply }));
  await clock.settle();
  await obeyed;
  await clock.advance(5_000);
  assert.equal(relay.heard().length, 2);
  assert.equal(said(events)[0]?.text, relay.heard().join(" "));
  await close();
});

Deno.test("keys that the agent is to press are pressed by the carrier", async () => {
  const { relay, clock, call, close } = await setUp();
  await clock.advance(10_000);
  const command = { type: "pressKeys", keys: "12#" } as const;
  const obeyed = call.ask<void>((reply) => ({ type: "control", command, by: "user_1", reply }));
  await clock.settle();
  await obeyed;
  await clock.advance(1_000);
  const pressed = relay.received.filter((it) => it.type === "sendDigits");
  assert.deepEqual(pressed, [{ type: "sendDigits", digits: "12#" }]);
  relay.say("I have a toothache");
  await clock.advance(8_000);
  assert.match(relay.heard().join(" "), /What is your name/);
  await close();
});

Deno.test("a model that hangs is bridged by fillers, then the agent apologises", async () => {
  const { relay, clock, ends, close } = await setUp({ script: () => ({ hang: true }) });
  await clock.advance(10_000);
  const before = relay.heard().length;
  relay.say("I have a toothache");
  await clock.advance(5_000);
  assert(relay.heard().length > before, "dead air");
  await clock.advance(40_000);
  assert.equal(ends[0]?.reason, "provider_failed");
  assert(relay.heard().join(" ").endsWith(agent.failureSentence));
  await close();
});

Deno.test("a model that fails is asked again, and an outage is told the caller", async () => {
  const error = new AppError("provider_failed", "Down");
  const { relay, clock, ends, close } = await setUp({ script: () => ({ error }) });
  await clock.advance(10_000);
  relay.say("I have a toothache");
  await clock.advance(20_000);
  assert.equal(ends[0]?.reason, "provider_failed");
  assert(relay.heard().join(" ").endsWith(agent.failureSentence));
  await close();
});

Deno.test("the carrier is set up as the agent is written", async () => {
  const { answer, close } = callKit({
    graph: { ...agent, language: "de", voice: "v1", keyterms: ["Zahnstein, akut"] },
  });
  const told = await answer();
  assert.deepEqual(told.type === "connect" && told.relay, {
    ttsProvider: "ElevenLabs",
    transcriptionProvider: "Deepgram",
    speechModel: null,
    language: "de-DE",
    voice: "v1",
    hints: ["Zahnstein  akut"],
    isInterruptible: true,
    ignoresBackchannels: true,
  });
  await close();
});

Deno.test("a call by a browser is not relayed: it has its own voice", async () => {
  const it = callKit({ graph: agent, channel: "web" });
  const page = await it.openPage(await it.answer());
  await it.kit.clock.advance(2_000);
  assert(page.of("words").length > 0);
  await it.close();
});
