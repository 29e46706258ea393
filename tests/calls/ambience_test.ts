/** Calls of an agent with a room around it: no word is lost in it, and the line is silent only when nobody is there. */

import assert from "node:assert/strict";
import type { Command } from "@/actors/call/control.ts";
import { AMBIENCE_LEAD_MS } from "@/actors/call/ambience.ts";
import { LEAD_MS } from "@/actors/call/playout.ts";
import { ambience } from "@/lib/audio/ambience.ts";
import { isAudible } from "@/lib/audio/energy.ts";
import { BYTES_PER_MS, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { atLoudness } from "@/lib/audio/mix.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph, startOf } from "@/lib/workflow/graph.ts";
import { callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";

/** Quiet enough for tones to be read, which is more than people need. */
const OFFICE = atLoudness(await ambience("office", () => Promise.resolve()), -14);
const LONG = "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.";
const { greeting } = startOf(parseGraph(demoAgent));

function setUp(options: CallKitOptions = {}) {
  return callKit({ ...options, deps: { ambience: Promise.resolve(OFFICE), ...options.deps } });
}

const endOf = (stream: MediaStream): number => {
  const last = stream.player.pieces().at(-1);
  return last === undefined ? 0 : last.atMs + last.audio.length / BYTES_PER_MS;
};

/** Milliseconds between the first and the last piece in which nothing at all was played. */
function holes(stream: MediaStream): number {
  const pieces = stream.player.pieces();
  return pieces.reduce((sum, { atMs }, at) => {
    const before = pieces[at - 1];
    if (before === undefined) return sum;
    return sum + Math.max(0, atMs - before.atMs - before.audio.length / BYTES_PER_MS);
  }, 0);
}

/** What was played from then on. */
function since(stream: MediaStream, fromMs: number): Uint8Array {
  const pieces = stream.player.pieces().filter(({ atMs }) => atMs >= fromMs);
  return Uint8Array.from(pieces.flatMap(({ audio }) => [...audio]));
}

Deno.test("over a whole call every word is heard and stored, and the room is never gone", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const stream = await kit.connect();
  const caller = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
  let most = 0;
  while (stream.isOpen()) {
    await clock.advance(5);
    most = Math.max(most, stream.player.endsAtMs() - clock.now());
  }
  caller.stop();
  const said = kit.events.filter((event) => event.type === "agent_said");
  assert.ok(said.length > 2);
  const { extra, missing } = compareHeard(said, playedWords(stream), []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
  assert.ok(holes(stream) < 1, `${holes(stream)} ms of nothing`);
  assert.ok(most <= LEAD_MS + AMBIENCE_LEAD_MS + FRAME_MS, `${most} ms were waiting`);
  await kit.close();
});

Deno.test("speech begins as soon as without a room, but for what was sent ahead", async () => {
  const begun: number[] = [];
  for (const kit of [callKit(), setUp()]) {
    const stream = await kit.connect();
    await kit.kit.clock.advance(8_000);
    begun.push(playedWords(stream)[0]?.endedAtMs ?? NaN);
    await kit.close();
  }
  const [without = NaN, within = NaN] = begun;
  assert.ok(within - without >= 0 && within - without <= AMBIENCE_LEAD_MS, `${begun}`);
});

Deno.test("a barge-in cuts the agent and not the room, which comes up again from nothing", async () => {
  const kit = setUp({ script: (_, nth) => ({ text: nth === 0 ? LONG : "All right." }) });
  const { clock } = kit.kit;
  const stream = await kit.connect();
  await clock.advance(9_000);
  void stream.say(speak("Tell me when you are open.").audio);
  while (!playedWords(stream).some(({ text }) => text === "Monday")) await clock.advance(20);
  void stream.say(speak("Stop that now, please.").audio);
  while (!stream.log.some((entry) => entry.type === "clear")) await clock.advance(5);
  const cutAt = clock.now();
  await clock.advance(300);
  const behind = since(stream, cutAt);
  assert.ok(behind.length >= 200 * BYTES_PER_MS, "the room is there");
  assert.ok(!isAudible(behind.subarray(0, 40 * BYTES_PER_MS)), "and quiet");
  await clock.advance(20_000);
  const cut = kit.events.find((event) => event.type === "agent_said" && event.bargedIn);
  assert.ok(cut?.type === "agent_said" && cut.text !== "" && LONG.startsWith(cut.text));
  assert.ok(!playedWords(stream).some(({ text }) => text === "o'clock."));
  await kit.close();
});

Deno.test("while the agent is muted nothing is heard, and the room comes back with it", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const stream = await kit.connect();
  const control = async (command: Command): Promise<void> => {
    const done = kit.call.ask<void>((reply) => ({ type: "control", command, by: "key_1", reply }));
    await clock.settle();
    await done;
  };
  await clock.advance(9_000);
  await control({ type: "mute" });
  await clock.advance(200);
  const mutedAt = endOf(stream);
  await clock.advance(3_000);
  assert.equal(endOf(stream), mutedAt);
  await control({ type: "unmute" });
  await clock.advance(1_000);
  assert.ok(endOf(stream) > mutedAt + 900);
  await kit.close();
});

Deno.test("on a stream that replaces a lost one the room goes on, and no word is lost", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const first = await kit.connect();
  await clock.advance(1_700);
  first.drop();
  await clock.advance(2_000);
  const second = await kit.reconnect();
  await clock.advance(8_000);
  const words = [first, second].flatMap(playedWords).map(({ text }) => text).join(" ");
  assert.equal(words, greeting);
  assert.ok(holes(second) < 1);
  assert.ok(since(second, 0).some((byte) => byte !== SILENCE));
  await kit.close();
});

for (const delayMs of [{ toCarrier: 0, toServer: 0 }, { toCarrier: 70, toServer: 50 }]) {
  Deno.test(`a recording has the room as the caller heard it, and every word at its time, ${delayMs.toCarrier} ms away`, async () => {
    const recorded = parseGraph({ ...structuredClone(demoAgent), recording: { consent: "none" } });
    const kit = setUp({ graph: recorded, delayMs, numbers: ["+12105550100", "+15125550100"] });
    const { clock } = kit.kit;
    const stream = await kit.connect();
    const caller = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
    await clock.advance(90_000);
    caller.stop();
    const { agent } = await kit.recordings.sides();
    const [origin = 0] = kit.recordings.origins;
    const words = heardWords(agent).filter(({ complete }) => complete);
    const played = playedWords(stream);
    assert.deepEqual(words.map(({ text }) => text), played.map(({ text }) => text));
    words.forEach(({ text, endSample }, nth) => {
      const offMs = origin + endSample / BYTES_PER_MS - (played[nth]?.endedAtMs ?? NaN);
      // A recording has the time at which we hear of what was played.
      assert.ok(Math.abs(offMs - delayMs.toServer) <= 40, `"${text}" is off by ${offMs} ms`);
    });
    const silent = agent.filter((byte) => byte === SILENCE).length / agent.length;
    assert.ok(silent < 0.2, `${silent} of it is silent`);
    await kit.close();
  });
}
