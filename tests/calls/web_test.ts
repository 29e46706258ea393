/** Calls from a page in a browser, whole, at virtual time. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { AppError } from "@/lib/errors.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { simulatedRealtime } from "@/lib/providers/realtime/simulated.ts";
import { realtimeSpeech } from "@/lib/providers/realtime/speech.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";

async function setUp() {
  const it = callKit({ channel: "web" });
  const page = await it.openPage(await it.answer());
  return { ...it, page, clock: it.kit.clock };
}

/** The words that the page was told of, up to those whose marks it has answered: what its captions show. */
function captions({ page }: Awaited<ReturnType<typeof setUp>>): string[] {
  const words = new Map<string, string[]>();
  for (const { generation, index, words: some } of page.of("words")) {
    const all = words.get(String(generation)) ?? [];
    assert(Array.isArray(some));
    some.forEach((word, i) => all[Number(index) + i] = String(word));
    words.set(String(generation), all);
  }
  return [...words].map(([generation, all]) => {
    const heard = page.marked.filter((name) => name.startsWith(`${generation}:w`)).length;
    return all.slice(0, heard).join(" ");
  }).filter((text) => text !== "");
}

Deno.test("a person in a browser books an appointment, and reads what was heard", async () => {
  const it = await setUp();
  const { page, clock, events, ends, close } = it;
  const caller = newCaller({
    clock,
    stream: page,
    lines: demoCaller,
    hangUp: () => page.end(),
  });
  await clock.advance(90_000);
  caller.stop();

  const said = events.filter((event) => event.type === "agent_said");
  assert.deepEqual(captions(it), said.map(({ text }) => text));
  assert.deepEqual(page.of("agentSaid").map(({ heard }) => heard), said.map(({ text }) => text));
  const finals = page.of("callerWords").filter(({ isFinal }) => isFinal);
  assert.deepEqual(
    finals.map(({ text }) => text),
    demoCaller.map((line) => line.replace(/\.$/, ".")),
  );
  assert.equal(ends[0]?.reason, "agent_hung_up");
  assert.equal(ends[0]?.variables.patient, "Maria Lopez");
  assert.deepEqual(page.closed(), [1000, "Call leg ended"]);
  assert.deepEqual(page.of("over"), [{ type: "over", reason: "agent_hung_up", sentence: null }]);
  for (const { gapMs, parts } of page.of("latency")) {
    const sum = Object.values(parts as Record<string, number>).reduce((a, b) => a + b, 0);
    assert(Math.abs(sum - Number(gapMs)) < 1e-6, `${sum} ${gapMs}`);
  }
  assert(page.of("latency").length >= 3);
  await close();
});

Deno.test("captions of a machine that is hard pressed are of final words alone", async () => {
  for (const isPressed of [false, true]) {
    const it = callKit({ channel: "web", deps: { isPressed: () => isPressed } });
    const page = await it.openPage(await it.answer());
    await it.kit.clock.advance(6_000);
    const { audio } = speak(demoCaller[0] ?? "");
    void page.say(audio);
    await it.kit.clock.advance(8_000);
    const told = page.of("callerWords");
    assert.equal(told.some(({ isFinal }) => !isFinal), !isPressed);
    assert.deepEqual(told.filter(({ isFinal }) => isFinal).map(({ text }) => text), [
      demoCaller[0],
    ]);
    await it.close();
  }
});

Deno.test("the page is told at once who only simulates hearing and speech", async () => {
  const { page, close } = await setUp();
  assert.deepEqual(page.of("welcome"), [{
    type: "welcome",
    agent: "Bright Smile Dental",
    language: "en",
    simulated: { stt: true, tts: true },
  }]);
  await close();
});

Deno.test("what a caller writes is their turn, and is answered", async () => {
  const { page, clock, events, close } = await setUp();
  await clock.advance(6_000);
  page.write("I have a tooth", false);
  page.write("I have a toothache");
  await clock.advance(6_000);
  const turns = events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
  assert.deepEqual(turns, ["I have a toothache"]);
  assert.match(String(page.of("agentSaid").at(1)?.heard), /What is your name/);
  assert.deepEqual(page.of("callerWords").map(({ text, isFinal }) => [text, isFinal]), [
    ["I have a tooth", false],
    ["I have a toothache", true],
  ]);
  await close();
});

Deno.test("what a caller writes is a turn of an agent with one model for its speech, too", async () => {
  const kit = actorKit();
  const { clock } = kit;
  const speech = realtimeSpeech({
    realtime: simulatedRealtime({ clock }),
    breaker: newBreakers(clock).of("realtime"),
    clock,
    others: { recognisers: [], models: [], voices: [] },
  });
  const call = callKit({ kit, channel: "web", deps: speech });
  const page = await call.openPage(await call.answer());
  await clock.advance(6_000);
  page.write("I have a toothache");
  await clock.advance(6_000);
  assert.deepEqual(page.of("welcome")[0]?.simulated, { stt: true, tts: true });
  assert.match(String(page.of("agentSaid").at(1)?.heard), /What is your name/);
  await call.close();
});

Deno.test("what is written over the agent interrupts it, and the captions end where it was heard", async () => {
  const it = await setUp();
  const { page, clock, events, close } = it;
  await clock.advance(1_500);
  page.write("Stop, I have a toothache");
  await clock.advance(1_000);
  const said = events.find((event) => event.type === "agent_said");
  assert.equal(page.of("clear").length, 1);
  assert(said !== undefined && said.unheard !== "" && said.text !== "");
  assert.equal(captions(it)[0], said.text);
  await close();
});

Deno.test("a voice in the browser interrupts the agent", async () => {
  const { page, clock, events, close } = await setUp();
  await clock.advance(1_000);
  void page.say(speak("Wait a moment please").audio);
  await clock.advance(4_000);
  assert.equal(events.find((event) => event.type === "agent_said")?.bargedIn, true);
  await close();
});

Deno.test("a page that loses its socket comes back, and hears the rest of the sentence", async () => {
  const it = await setUp();
  const { page, clock, events, close } = it;
  await clock.advance(1_500);
  page.drop();
  await clock.advance(2_000);
  const again = await it.openPage(await it.resume());
  await clock.advance(6_000);
  const heard = captions({ ...it, page }).join(" ");
  const rest = captions({ ...it, page: again }).join(" ");
  assert.equal(`${heard} ${rest}`, "Bright Smile Dental, Nora speaking. How can I help you?");
  assert(events.some((event) => event.type === "leg_lost"));
  await close();
});

Deno.test("a page that does not come back within 15 s has lost its call", async () => {
  const { page, clock, ends, close } = await setUp();
  await clock.advance(1_500);
  page.drop();
  await clock.advance(16_000);
  assert.equal(ends[0]?.reason, "leg_lost");
  await close();
});

Deno.test("keys are taken, and an end by the page is the caller's", async () => {
  const { page, clock, events, ends, close } = await setUp();
  await clock.advance(500);
  page.press("5");
  page.end();
  await clock.advance(500);
  assert(events.some((event) => event.type === "dtmf_pressed" && event.digit === "5"));
  assert.equal(ends[0]?.reason, "caller_hung_up");
  await close();
});

Deno.test("last words that no voice can say are shown before the socket closes", async () => {
  const it = callKit({ channel: "web", deps: { tts: silentTts() } });
  const page = await it.openPage(await it.answer());
  await it.kit.clock.advance(30_000);
  assert.equal(it.ends[0]?.outcome, "failed");
  assert.match(String(page.of("over")[0]?.sentence), /I am sorry/);
  assert.equal(page.closed()?.[0], 1000);
  await it.close();
});

/** A voice that fails at once. */
function silentTts() {
  return {
    provider: "test",
    // deno-lint-ignore require-yield
    async *synthesize() {
      await Promise.resolve();
      throw new AppError("provider_failed", "No voice");
    },
  };
}

Deno.test("what is not of the protocol closes the socket", async () => {
  for (
    const [bad, reason] of [
      ["{", /JSON/],
      ['{"type":"start","version":1}', /type/],
      ['{"type":"text","text":"","isFinal":true}', /text/],
      ['{"type":"dtmf","digit":"55"}', /digit/],
      ['{"type":"mark","name":"x","more":1}', /./],
      [new Uint8Array(10), /audio/],
    ] as const
  ) {
    const { page, clock, close } = await setUp();
    page.send(bad);
    await clock.advance(100);
    const [code, said] = page.closed() ?? [0, ""];
    assert.equal(code, 1008);
    assert.match(said, reason);
    await close();
  }
});

Deno.test("a person in a browser cannot be handed to a telephone, and stays with the agent", async () => {
  const { call, clock, ends, page, close } = await setUp();
  await clock.advance(3_000);
  const refused = call.ask<void>((reply) => ({
    type: "control",
    command: { type: "transfer", to: "+15550100001", sentence: null },
    by: "key_1",
    reply,
  })).catch((error: unknown) => error);
  await clock.settle();
  const error = await refused;
  assert.ok(error instanceof AppError && error.code === "conflict");
  assert.equal(ends.length, 0);
  page.end();
  await clock.advance(1_000);
  await close();
});
