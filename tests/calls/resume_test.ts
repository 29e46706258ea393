/** A media stream is lost and the call is not: the carrier brings another, and the agent goes on. */

import assert from "node:assert/strict";
import { LOOK_MS, SILENT_LOOKS } from "@/actors/call/leg.ts";
import { CONNECT_WITHIN_MS, ISOLATED_MS, REFUSALS_MAX } from "@/actors/call/life/stream.ts";
import { CUT_OFF_MS } from "@/actors/call/turns.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import { speak } from "@/lib/audio/modem.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph, startOf } from "@/lib/workflow/graph.ts";
import { repeatOf } from "@/lib/workflow/phrases.ts";
import { type CallKit, callKit, CARRIER_CALL_ID } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { socketPair } from "@/tests/support/socket_pair.ts";
import { newMediaStream } from "@/tests/support/twilio_media.ts";

const { greeting } = startOf(parseGraph(demoAgent));

/** What the caller heard on all streams together. */
function heard({ streams }: CallKit): string {
  return streams.flatMap(playedWords).map(({ text }) => text).join(" ");
}

function wrong({ events, streams }: CallKit): unknown {
  const said = events.filter((event) => event.type === "agent_said");
  const { extra, missing } = compareHeard(said, streams.flatMap(playedWords), []);
  return { extra, missing };
}

function pathOf(answer: CallAnswer): { readonly epoch: number; readonly token: string } {
  assert.ok(answer.type === "connect");
  return { epoch: Number(answer.mediaPath.split("/")[4]), token: answer.token };
}

Deno.test("the agent goes on from the first word that was not heard", async () => {
  const kit = callKit();
  const first = await kit.connect();
  await kit.kit.clock.advance(1_700); // within a word
  first.drop();
  await kit.kit.clock.advance(2_000);
  assert.notEqual(heard(kit), "");
  await kit.reconnect();
  await kit.kit.clock.advance(7_000);
  assert.equal(heard(kit), greeting);
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a stream that is lost again and again costs no word", async () => {
  const kit = callKit();
  let stream = await kit.connect();
  for (let i = 0; i < 5; i++) {
    await kit.kit.clock.advance(800);
    stream.drop();
    stream = await kit.reconnect();
  }
  await kit.kit.clock.advance(7_000);
  assert.equal(heard(kit), greeting);
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a line that is cut unnoticed is found by its silence: the carrier is called back, and the agent goes on", async () => {
  const calledBack: string[] = [];
  const carrier = {
    provider: "test",
    placeCall: () => assert.fail(),
    hangUp: () => assert.fail(),
    redirect(carrierCallId: string, url: string) {
      calledBack.push(`${carrierCallId} ${url}`);
      return Promise.resolve(true);
    },
  };
  const kit = callKit({ deps: { carrier } });
  const first = await kit.connect();
  await kit.kit.clock.advance(1_700);
  first.cut();
  await kit.kit.clock.advance((SILENT_LOOKS + 1) * LOOK_MS);
  assert.deepEqual(calledBack, [`${CARRIER_CALL_ID} https://a.test/answer`]);
  first.drop();
  await kit.reconnect();
  await kit.kit.clock.advance(7_000);
  assert.equal(heard(kit), greeting);
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a resume offers a new epoch and a new token, and the old ones are refused", async () => {
  const kit = callKit();
  const first = pathOf(await kit.answer());
  (await kit.connect()).drop();
  const second = pathOf(await kit.resume());
  assert.equal(second.epoch, first.epoch + 1);
  assert.notEqual(second.token, first.token);
  assert.equal(await kit.attach(first.epoch, first.token), "refused");
  assert.equal(await kit.attach(second.epoch, first.token), "refused");
  assert.equal(await kit.attach(second.epoch, second.token), "ok");
  assert.equal(await kit.attach(second.epoch, second.token), "taken");
  await kit.close();
});

Deno.test("a carrier that asks before its old socket has closed is believed: the old one is closed", async () => {
  const kit = callKit();
  const old = await kit.connect();
  await kit.kit.clock.advance(1_700);
  await kit.reconnect();
  assert.equal(old.log.at(-1)?.type, "closed");
  await kit.kit.clock.advance(7_000);
  assert.equal(heard(kit), greeting);
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a reply that was being made when the stream was lost is given on the next", async () => {
  const kit = callKit();
  const stream = await kit.connect();
  const { clock } = kit.kit;
  const caller = newCaller({ clock, stream, lines: demoCaller.slice(0, 1), hangUp() {} });
  while (!kit.events.some((event) => event.type === "caller_said")) await clock.advance(10);
  caller.stop();
  stream.drop(); // the model is thinking
  await clock.advance(500);
  await kit.reconnect();
  await clock.advance(6_000);
  assert.equal(heard(kit), `${greeting} I can help with that. What is your name, please?`);
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a stream that is lost while the caller speaks keeps what they had said", async () => {
  const kit = callKit();
  const { clock } = kit.kit;
  const first = await kit.connect();
  const caller = newCaller({ clock, stream: first, lines: demoCaller.slice(0, 1), hangUp() {} });
  while (caller.lines.length === 0) await clock.advance(20);
  await clock.advance(1_500);
  caller.stop();
  first.drop();
  const stream = await kit.reconnect();
  const again = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
  await clock.advance(90_000);
  again.stop();
  assert.equal(kit.ends[0]?.reason, "agent_hung_up");
  assert.equal(kit.ends[0]?.variables.time, "half past nine");
  assert.deepEqual(wrong(kit), { extra: [], missing: [] });
  await kit.close();
});

Deno.test("a call whose carrier brings no other stream in time is hung up and ends as leg lost", async () => {
  const kit = callKit();
  const stream = await kit.connect();
  await kit.kit.clock.advance(2_000);
  stream.drop();
  await kit.kit.clock.advance(CONNECT_WITHIN_MS - 1);
  assert.deepEqual(kit.ends, []);
  await kit.kit.clock.advance(1);
  assert.equal(kit.hangUps.length, 1);
  assert.deepEqual(kit.ends.map(({ outcome, reason }) => [outcome, reason]), [
    ["failed", "leg_lost"],
  ]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.close();
});

Deno.test("a caller who hangs up says stop: no other stream is awaited", async () => {
  const kit = callKit();
  const stream = await kit.connect();
  await kit.kit.clock.advance(2_000);
  stream.stop();
  await kit.kit.settle();
  assert.deepEqual(kit.ends.map(({ outcome, reason }) => [outcome, reason]), [
    ["answered", "caller_hung_up"],
  ]);
  assert.deepEqual(kit.hangUps, []);
  await kit.close();
});

Deno.test("another call's id gets no stream of this call", async () => {
  const kit = callKit();
  await kit.connect();
  const answer = kit.call.ask<CallAnswer>((reply) => ({
    type: "resume",
    carrierCallId: `CA${"f".repeat(32)}`,
    reply,
  }));
  await kit.kit.clock.advance(1_000);
  assert.deepEqual(await answer, { type: "hangUp" });
  assert.equal(kit.streams[0]?.log.some((entry) => entry.type === "closed"), false);
  await kit.close();
});

Deno.test("nothing is played to a leg that is gone", async () => {
  const kit = callKit();
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_700);
  stream.drop();
  await kit.kit.clock.advance(10_000);
  const toLegs = kit.kit.system.deadLetters().filter((letter) => letter.kind === "leg");
  assert.ok(toLegs.length <= 2, `${toLegs.length} dead letters`); // those of the instant of the loss
  await kit.close();
});

Deno.test("a stream that starts twice is closed with 1008, and the call waits for another, not for ever", async () => {
  const kit = callKit({ faults: { duplicateStart: true } });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  const last = stream.log.at(-1);
  assert.equal(last?.type === "closed" && last.code, 1008);
  assert.deepEqual(kit.stops, []);
  assert.equal((await kit.resume()).type, "connect");
  await kit.kit.clock.advance(CONNECT_WITHIN_MS);
  assert.deepEqual(kit.ends.map(({ reason }) => reason), ["leg_lost"]);
  await kit.close();
});

Deno.test("a stream whose start is refused again and again is offered no fourth time: the caller is told", async () => {
  const kit = callKit({ faults: { duplicateStart: true } });
  await kit.connect();
  for (let epoch = 2; epoch <= REFUSALS_MAX; epoch++) {
    await kit.kit.clock.advance(1_000);
    await kit.reconnect();
  }
  await kit.kit.clock.advance(1_000);
  assert.equal(kit.streams.length, REFUSALS_MAX);
  const answer = await kit.resume();
  assert.equal(answer.type, "refused", "the carrier says the apology, and hangs up");
  await kit.kit.clock.advance(1_000);
  assert.deepEqual(kit.ends.map(({ outcome, reason }) => [outcome, reason]), [
    ["failed", "leg_refused"],
  ]);
  await kit.close();
});

Deno.test("a carrier that refuses what we say is bounded alike, and loses no other stream", async () => {
  const kit = callKit();
  const { clock } = kit.kit;
  const close = async (code: number) => {
    const [carriers] = await openByHand(kit);
    await clock.advance(500);
    carriers.close(code, "");
    await clock.advance(500);
  };
  for (const code of [1008, 1006, 1008, 1001, 1006]) await close(code);
  assert.deepEqual(kit.ends, []);
  await close(1008);
  await clock.advance(6_000);
  assert.deepEqual(kit.ends.map(({ reason }) => reason), ["leg_refused"]);
  await kit.close();
});

/** A stream that says its start, by hand. */
async function openByHand(kit: CallKit) {
  const answer = await kit.resume();
  const { epoch, token } = pathOf(answer);
  assert.equal(await kit.attach(epoch, token), "ok");
  const pair = socketPair({ clock: kit.kit.clock });
  const stream = newMediaStream({
    socket: { ...pair[0], bufferedBytes: 0 },
    clock: kit.kit.clock,
    ...{ accountSid: `AC${"0".repeat(32)}`, callSid: CARRIER_CALL_ID },
    streamSid: `MZ${String(epoch).padStart(32, "0")}`,
    parameters: { token },
  });
  kit.call.send({ type: "connected", socket: pair[1] });
  await kit.kit.clock.settle();
  assert.ok(stream);
  return pair;
}

/** A call whose greeting was heard, and whose line is gone and there again while it is the caller's turn. */
async function afterGap(): Promise<CallKit> {
  const kit = callKit();
  const first = await kit.connect();
  while (!kit.events.some(({ type }) => type === "agent_said")) await kit.kit.clock.advance(20);
  first.drop();
  await kit.kit.clock.advance(400);
  await kit.reconnect();
  return kit;
}

const since = ({ streams }: CallKit): string =>
  playedWords(streams[1] ?? assert.fail()).map(({ text }) => text).join(" ");

Deno.test("a caller who says nothing on a line that was gone is asked what they said", async () => {
  const kit = await afterGap();
  await kit.kit.clock.advance(CUT_OFF_MS - 100);
  assert.equal(since(kit), "");
  await kit.kit.clock.advance(6_000);
  assert.equal(since(kit), repeatOf("en"), "once");
  await kit.close();
});

Deno.test("of a caller who spoke as the line came back, the end is heard: they are asked for all of it", async () => {
  const kit = await afterGap();
  void kit.streams[1]?.say(speak("I have a toothache.").audio);
  await kit.kit.clock.advance(7_000);
  const said = kit.events.filter(({ type }) => type === "caller_said");
  assert.equal(said.length, 1, "what was heard is on record");
  assert.equal(since(kit), repeatOf("en"));
  void kit.streams[1]?.say(speak("I have a toothache.").audio);
  await kit.kit.clock.advance(6_000);
  assert.ok(since(kit).length > (repeatOf("en") ?? "").length, "then they are answered");
  await kit.close();
});

Deno.test("a caller who speaks on a line that is back is answered, and asked nothing", async () => {
  const kit = await afterGap();
  await kit.kit.clock.advance(300);
  void kit.streams[1]?.say(speak("I have a toothache.").audio);
  await kit.kit.clock.advance(7_000);
  assert.ok(!since(kit).includes("lost you"), since(kit));
  assert.notEqual(since(kit), "");
  await kit.close();
});

Deno.test("a machine that cannot tell whether a call is its own still, does not hang it up", async () => {
  let isOurs = true;
  const kit = callKit({ deps: { isOurs: () => isOurs } });
  (await kit.connect()).drop();
  isOurs = false;
  await kit.kit.clock.advance(3 * CONNECT_WITHIN_MS);
  assert.deepEqual([kit.hangUps, kit.ends], [[], []]);
  isOurs = true;
  await kit.kit.clock.advance(ISOLATED_MS);
  assert.equal(kit.hangUps.length, 1);
  assert.equal(kit.ends[0]?.reason, "leg_lost");
  await kit.close();
});
