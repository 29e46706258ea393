/** Deepgram Flux: what its messages mean, and what it is sent. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { deepgramFlux, fluxReader } from "@/lib/providers/stt/deepgram_flux.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { Secret } from "@/lib/secret.ts";
import { never } from "@/tests/support/contract_provider.ts";
import { line } from "@/tests/support/contract_stt.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** A TurnInfo as Flux sends it; its words begin at 1 s and last half a second each. */
function turn(event: string, transcript: string, windowEnd: number, timed = true) {
  const words = transcript.split(" ").filter((word) => word !== "").map((word, i) => ({
    word,
    confidence: 0.9,
    ...(timed ? { start: 1 + i / 2, end: 1.5 + i / 2 } : {}),
  }));
  return {
    type: "TurnInfo",
    request_id: "40bd3654-e622-47c4-a111-63a61b23bfe8",
    sequence_id: 1,
    event,
    turn_index: 0,
    audio_window_start: 0.5,
    audio_window_end: windowEnd,
    transcript,
    words,
    end_of_turn_confidence: 0.5,
  };
}

function read(...messages: readonly unknown[]): Recognition[] {
  const reader = fluxReader();
  return messages.flatMap((message) => reader.read(message));
}

Deno.test("flux: an eager end of turn is a guess, which may be taken back; the end is final", () => {
  const recognitions = read(
    { type: "Connected", request_id: "r", sequence_id: 0 },
    turn("Update", "", 0.8),
    turn("StartOfTurn", "I", 1.6),
    turn("Update", "I want", 2.1),
    turn("EagerEndOfTurn", "I want", 2.4),
    turn("TurnResumed", "I want that.", 2.7),
    turn("EagerEndOfTurn", "I want that.", 2.9),
    turn("EndOfTurn", "I want that.", 3.2),
    turn("Update", "", 3.4),
  );
  const interim = (text: string) => (
    { type: "interim", text, endMs: 1000 + 500 * text.split(" ").length }
  );
  assert.deepEqual(recognitions, [
    { type: "speechStarted", atMs: 1000 },
    interim("I"),
    interim("I want"),
    interim("I want"),
    { type: "eagerEnded", text: "I want", lastWordEndMs: 2000 },
    { type: "resumed" },
    interim("I want that."),
    interim("I want that."),
    { type: "eagerEnded", text: "I want that.", lastWordEndMs: 2500 },
    { type: "final", text: "I want that.", startMs: 1000, endMs: 2500, confidence: 0.9 },
    { type: "utteranceEnded", lastWordEndMs: 2500 },
  ]);
});

Deno.test("flux: without times of words, those of the turn's audio stand for them", () => {
  assert.deepEqual(
    read(turn("StartOfTurn", "No", 1.5, false), turn("EndOfTurn", "No.", 2, false)),
    [
      { type: "speechStarted", atMs: 500 },
      { type: "interim", text: "No", endMs: 1500 },
      { type: "final", text: "No.", startMs: 500, endMs: 2000, confidence: 0.9 },
      { type: "utteranceEnded", lastWordEndMs: 2000 },
    ],
  );
});

Deno.test("flux: a turn that began without words ends without a final", () => {
  assert.deepEqual(read(turn("StartOfTurn", "", 1), turn("EndOfTurn", "", 2)), [
    { type: "speechStarted", atMs: 500 },
    { type: "utteranceEnded", lastWordEndMs: 2000 },
  ]);
});

Deno.test("flux: a turn that the end of the stream cuts off is final as it stands", () => {
  const reader = fluxReader();
  reader.read(turn("StartOfTurn", "Hello", 1.5));
  assert.deepEqual(reader.end().map(({ type }) => type), ["final", "utteranceEnded"]);
  assert.deepEqual(reader.end(), []);
});

Deno.test("flux: an event or message that came later is no failure, an error is one", () => {
  assert.deepEqual(read({ type: "ConfigureSuccess" }), []);
  assert.deepEqual(read(turn("Brightening", "Hi", 1.5)).map(({ type }) => type), [
    "speechStarted",
    "interim",
  ]);
  const error = { type: "Error", sequence_id: 3, code: "INTERNAL", description: "No worker" };
  assert.throws(() => read(error), { code: "provider_failed", message: /INTERNAL No worker/ });
  assert.throws(() => read({ type: "TurnInfo" }), { code: "provider_failed" });
});

async function setUp(model: string) {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey: "key", clock });
  const options = { apiKey: new Secret("key"), baseUrl: server.url, clock, model };
  return { clock, server, stt: deepgramFlux(options) };
}

const OPTIONS = { language: "de-AT", keyterms: ["Brightsmile"], endpointingMs: 300 };

Deno.test("flux is told the language only where its model asks for one", async () => {
  for (const [model, hints] of [["flux-general-en", []], ["flux-general-multi", ["de"]]] as const) {
    const { server, stt } = await setUp(model);
    await Array.fromAsync(stt.transcribe(line(), OPTIONS, never()));
    const query = server.requests[0]?.searchParams ?? new URLSearchParams();
    assert.deepEqual(query.getAll("language_hint"), hints);
    query.delete("language_hint");
    assert.deepEqual(Object.fromEntries(query), {
      model,
      encoding: "mulaw",
      sample_rate: "8000",
      keyterm: "Brightsmile",
    });
    await server.close();
  }
});

Deno.test("flux is sent silence while no audio comes, so that a turn ends all the same", async () => {
  const { clock, server, stt } = await setUp("flux-general-en");
  const abort = new AbortController();
  async function* audio() {
    yield* line(speak("Goodbye.").audio);
    await new Promise(() => {});
  }
  const types: string[] = [];
  const reading = (async () => {
    for await (const { type } of stt.transcribe(audio(), OPTIONS, abort.signal)) {
      types.push(type);
      if (type === "utteranceEnded") break;
    }
  })();
  let isDone = false;
  reading.then(() => isDone = true);
  while (server.receivedCount === 0) await clock.settle();
  while (!isDone) {
    const { receivedCount } = server;
    await clock.advance(250);
    while (server.receivedCount === receivedCount && !isDone) await clock.settle();
  }
  assert.deepEqual(types.slice(-2), ["final", "utteranceEnded"]);
  assert.deepEqual(server.received, []); // no KeepAlive: this protocol has none
  await server.allClosed();
  await server.close();
});

Deno.test("flux is asked to guess only by who wants guesses, and then takes them back or keeps them", async () => {
  const { server, stt } = await setUp("flux-general-en");
  const judgement = { eagerThreshold: 0.4, endThreshold: 0.8, endTimeoutMs: 3_000 };
  const pause = (ms: number) => new Uint8Array(ms * 8).fill(0xff);
  const audio = line(speak("I want").audio, pause(500), speak("that.").audio, pause(2_000));
  const heard = await Array.fromAsync(stt.transcribe(audio, { ...OPTIONS, judgement }, never()));
  const query = server.requests[0]?.searchParams;
  assert.equal(query?.get("eager_eot_threshold"), "0.4");
  assert.equal(query?.get("eot_threshold"), "0.8");
  assert.equal(query?.get("eot_timeout_ms"), "3000");
  const told = heard.filter(({ type }) => type !== "interim");
  assert.deepEqual(told.map((it) => "text" in it ? `${it.type} ${it.text}` : it.type), [
    "speechStarted",
    "eagerEnded I want",
    "resumed",
    "eagerEnded I want that.",
    "final I want that.",
    "utteranceEnded",
  ]);
  await server.close();
});
