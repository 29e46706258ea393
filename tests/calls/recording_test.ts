/** Recordings of whole calls at virtual time: who was heard on which side, and when. */

import assert from "node:assert/strict";
import { SEGMENT_MS } from "@/lib/recording/segments.ts";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import { newEar } from "@/lib/audio/ear.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { AppError } from "@/lib/errors.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { faultyStt } from "@/tests/support/faulty.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { type CallKit, callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { playedWords } from "@/tests/support/heard.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";

/** One state where one party's consent is enough: Texas. */
const TEXAS = ["+12105550100", "+15125550100"];
const NEW_YORK_TO_CALIFORNIA = ["+12125550100", "+14155550100"];
const DISCLOSURE = "This call is recorded.";
const ALIGNED_MS = 40;

function graphOf(recording: Record<string, unknown>, change: Record<string, unknown> = {}): Graph {
  return parseGraph({ ...structuredClone(demoAgent), recording, ...change });
}

/** A call that is recorded, and a caller who books an appointment in it. */
async function setUp(options: CallKitOptions & { readonly recording?: Record<string, unknown> }) {
  const { recording = {}, ...rest } = options;
  const kit = callKit({ graph: graphOf(recording), numbers: TEXAS, ...rest });
  const stream = await kit.connect();
  return { ...kit, stream, clock: kit.kit.clock };
}

type Recorded = Awaited<ReturnType<typeof setUp>>;

async function converse({ clock, stream }: Recorded, lines = demoCaller): Promise<void> {
  const caller = newCaller({ clock, stream, lines, hangUp: () => stream.stop() });
  await clock.advance(90_000);
  caller.stop();
}

interface TimedWord {
  readonly text: string;
  /** Milliseconds on the clock. */
  readonly endedAt: number;
}

/** The words of one side of the recording. */
async function wordsOn(
  { recordings }: Pick<CallKit, "recordings">,
  side: "caller" | "agent",
): Promise<TimedWord[]> {
  const audio = (await recordings.sides())[side];
  const [origin = 0] = recordings.origins;
  return heardWords(audio).filter(({ complete }) => complete)
    .map(({ text, endSample }) => ({ text, endedAt: origin + endSample / BYTES_PER_MS }));
}

function texts(words: readonly { readonly text: string }[]): string {
  return words.map(({ text }) => text).join(" ");
}

function assertAligned(words: readonly TimedWord[], line: readonly TimedWord[]): void {
  assert.equal(texts(words), texts(line));
  words.forEach(({ text, endedAt }, i) => {
    const off = endedAt - (line[i]?.endedAt ?? 0);
    assert(Math.abs(off) <= ALIGNED_MS, `"${text}" is off by ${off} ms`);
  });
}

/** What the caller heard, and what they said, at the caller's own end. */
function heardBy({ player }: Pick<MediaStream, "player">): TimedWord[] {
  return playedWords({ player }).map(({ text, endedAtMs }) => ({ text, endedAt: endedAtMs }));
}

const typesOf = ({ events }: Pick<CallKit, "events">): string[] => events.map(({ type }) => type);

Deno.test("caller and agent are heard each on their side, where they were heard on the line", async () => {
  const it = await setUp({ recording: { consent: "none" } });
  await converse(it);
  assertAligned(await wordsOn(it, "agent"), heardBy(it.stream));
  const said = (await wordsOn(it, "caller")).map(({ text }) => text).join(" ");
  assert.equal(said, demoCaller.join(" "));
  assert.deepEqual(it.recordings.ends.map(({ status }) => status), ["complete"]);
  const { durationMs = 0, segments = 0 } = it.recordings.ends[0] ?? {};
  assert.equal(segments, Math.ceil(durationMs / SEGMENT_MS));
  await it.close();
});

Deno.test("on a line with delays both sides are where they were at the caller's end", async () => {
  const delayMs = { toCarrier: 70, toServer: 50 };
  const it = await setUp({ recording: { consent: "none" }, delayMs, seed: 7, jitterMs: 15 });
  const said: TimedWord[] = [];
  const caller = newCaller({
    clock: it.clock,
    stream: it.stream,
    lines: demoCaller,
    hangUp: () => it.stream.stop(),
    said({ audio, startedAtMs }) {
      const words = heardWords(audio);
      said.push(...words.map(({ text, endSample }) => ({
        text,
        endedAt: startedAtMs + endSample / BYTES_PER_MS,
      })));
    },
  });
  await it.clock.advance(90_000);
  caller.stop();
  // Both came in by the same way: what is between them is what was between them there.
  const late = (words: TimedWord[]) =>
    words.map((word) => ({ ...word, endedAt: word.endedAt - delayMs.toServer }));
  assertAligned(late(await wordsOn(it, "agent")), heardBy(it.stream));
  assertAligned(late(await wordsOn(it, "caller")), said);
  await it.close();
});

Deno.test("the disclosure is heard to its end before the first recorded byte", async () => {
  const it = await setUp({ numbers: NEW_YORK_TO_CALIFORNIA, recording: { consent: "none" } });
  await converse(it);
  const words = heardBy(it.stream);
  const last = words[DISCLOSURE.split(" ").length - 1];
  assert.equal(texts(words.slice(0, 4)), DISCLOSURE);
  const [origin = 0] = it.recordings.origins;
  assert(origin >= (last?.endedAt ?? Infinity), `${origin} ${last?.endedAt}`);
  assert.equal(it.recordings.rows[0]?.consent, "disclose");
  const types = typesOf(it);
  const told = types.indexOf("recording_disclosed");
  assert.deepEqual(types.slice(told, told + 2), ["recording_disclosed", "recording_started"]);
  assertAligned(await wordsOn(it, "agent"), words.slice(4));
  assert.equal(it.ends[0]?.variables.patient, "Maria Lopez");
  await it.close();
});

Deno.test("a caller who speaks over the disclosure does not cut it", async () => {
  const it = await setUp({ recording: { consent: "disclose" } });
  await it.clock.advance(600);
  void it.stream.say(speak("Hello? Who is there?").audio);
  await it.clock.advance(12_000);
  assert.equal(texts(heardBy(it.stream).slice(0, 4)), DISCLOSURE);
  assert.equal(it.recordings.rows.length, 1);
  await it.close();
});

for (
  const { answer, isRecorded, how } of [
    { answer: "Yes, of course.", isRecorded: true, how: "yes" },
    { answer: "No, please do not.", isRecorded: false, how: "no" },
  ] as const
) {
  Deno.test(`asked whether the call may be recorded, the caller says ${how}, and the call goes on`, async () => {
    const it = await setUp({ recording: { consent: "ask" } });
    await converse(it, [answer, ...demoCaller]);
    assert.equal(it.recordings.rows.length, isRecorded ? 1 : 0);
    const answered = it.events.find(({ type }) => type === "recording_answered");
    assert.deepEqual(answered, { type: "recording_answered", isGiven: isRecorded, answer: how });
    assert.equal(it.ends[0]?.variables.patient, "Maria Lopez");
    if (isRecorded) {
      assert.equal(texts(await wordsOn(it, "caller")), demoCaller.join(" "));
    } else assert.equal((await it.recordings.sides()).caller.length, 0);
    await it.close();
  });
}

/** Sounds of one side of the recording between two times of the clock. */
async function soundsIn(
  { recordings }: Pick<CallKit, "recordings">,
  side: "caller" | "agent",
  { from, to }: { readonly from: number; readonly to: number },
): Promise<number> {
  const [origin = 0] = recordings.origins;
  const audio = (await recordings.sides())[side];
  return audio.subarray((from - origin) * BYTES_PER_MS, (to - origin) * BYTES_PER_MS)
    .filter((byte) => byte !== SILENCE && byte !== SILENCE - 0x80).length;
}

/** When the last sound before `before` ended in what was heard of the agent. */
function lastSound(audio: Uint8Array, originMs: number, before: number): number {
  const end = Math.min(audio.length, (before - originMs) * BYTES_PER_MS);
  return originMs + audio.subarray(0, end).findLastIndex((byte) => byte !== SILENCE) / BYTES_PER_MS;
}

for (const delayMs of [{ toCarrier: 0, toServer: 0 }, { toCarrier: 80, toServer: 60 }]) {
  Deno.test(`a barge-in cuts the agent's side where the caller heard it end, ${delayMs.toServer} ms away`, async () => {
    const it = await setUp({ recording: { consent: "none" }, delayMs });
    const caller = newCaller({
      clock: it.clock,
      stream: it.stream,
      lines: demoCaller,
      bargeInAtMs: 1_500,
      hangUp: () => it.stream.stop(),
    });
    await it.clock.advance(90_000);
    caller.stop();
    const cut = it.events.find((event) => event.type === "agent_said" && event.bargedIn);
    assert(cut?.type === "agent_said" && cut.unheard !== "");
    const late = (words: TimedWord[]) =>
      words.map((word) => ({ ...word, endedAt: word.endedAt - delayMs.toServer }));
    assertAligned(late(await wordsOn(it, "agent")), heardBy(it.stream));
    const next = it.stream.player.pieces().find(({ atMs }, i, all) =>
      // the next utterance
      i > 0 && atMs - (all[i - 1]?.atMs ?? 0) > 500
    );
    const before = (next?.atMs ?? 0) - 10;
    const heardUntil = lastSound(it.stream.player.played(), it.stream.startedAtMs, before);
    const [origin = 0] = it.recordings.origins;
    const { agent } = await it.recordings.sides();
    const recordedUntil = lastSound(agent, origin - delayMs.toServer, before);
    assert(Math.abs(recordedUntil - heardUntil) <= ALIGNED_MS, `${recordedUntil} ${heardUntil}`);
    await it.close();
  });
}

Deno.test("a call from a browser is recorded as one by phone", async () => {
  const kit = callKit({ channel: "web", graph: graphOf({}), numbers: ["web", "web"] });
  const page = await kit.openPage(await kit.answer());
  const { clock } = kit.kit;
  const caller = newCaller({ clock, stream: page, lines: demoCaller, hangUp: () => page.end() });
  await clock.advance(90_000);
  caller.stop();
  const said = kit.events.flatMap((it) => it.type === "agent_said" ? [it.text] : []);
  assert.equal(texts(await wordsOn(kit, "agent")), said.slice(1).join(" "));
  const [origin = 0] = kit.recordings.origins;
  const { agent } = await kit.recordings.sides();
  const recordedAt = origin + agent.findIndex((byte) => byte !== SILENCE) / BYTES_PER_MS;
  const heardAt = page.player.pieces().find(({ atMs }) => atMs >= origin)?.atMs ?? 0;
  assert(Math.abs(recordedAt - heardAt) <= ALIGNED_MS, `${recordedAt} ${heardAt}`);
  const { caller: spoken } = await kit.recordings.sides();
  const ear = newEar(); // what comes of a microphone lies between samples
  const heard = [...ear.push(spoken), ...ear.end()].filter((it) => it.type === "word");
  assert.equal(texts(heard), demoCaller.join(" "));
  await kit.close();
});

Deno.test("when the line is lost the recording goes on with the next one, silent between them", async () => {
  const it = await setUp({ recording: { consent: "none" } });
  await it.clock.advance(1_500);
  it.stream.drop();
  const lostAt = it.clock.now();
  await it.clock.advance(2_000);
  const second = await it.reconnect();
  await it.clock.advance(8_000);
  second.stop();
  await it.clock.advance(1_000);
  const heard = [it.stream, second].flatMap(heardBy);
  assertAligned(await wordsOn(it, "agent"), heard);
  assert.equal(await soundsIn(it, "agent", { from: lostAt + 20, to: lostAt + 1_900 }), 0);
  assert.equal(it.recordings.rows.length, 1);
  await it.close();
});

Deno.test("a call that crashes and is rebuilt goes on with the recording it has", async () => {
  const kit = actorKit();
  const lost = {
    afterMs: 500,
    error: new AppError("provider_failed", "Lost", { retryable: true }),
  };
  const stt = simulatedStt({ clock: kit.clock }); // four in a minute are too many for a call
  const it = await setUp({
    kit,
    recording: { consent: "none" },
    deps: { stt: faultyStt(stt, kit.clock, [{ ...lost, afterMs: 4_000 }, lost, lost, lost]) },
  });
  while (it.stream.log.at(-1)?.type !== "closed") await it.clock.advance(20);
  const second = await it.reconnect();
  await it.clock.advance(3_000);
  void second.say(speak("I have a toothache.").audio);
  await it.clock.advance(8_000);
  second.stop();
  await it.clock.advance(1_000);
  assert.equal(it.recordings.rows.length, 1, "one recording");
  assert.match(texts(await wordsOn(it, "caller")), /I have a toothache\./);
  assert.deepEqual(typesOf(it).filter((type) => type.startsWith("recording")), [
    "recording_started",
    "recording_stopped",
  ]);
  await it.close();
});

const PAUSES = { type: "pauseRecording" } as const;
const RESUMES = { type: "resumeRecording" } as const;

async function control(it: Recorded, command: typeof PAUSES | typeof RESUMES): Promise<void> {
  const done = it.call.ask<void>((reply) => ({ type: "control", command, by: "key_1", reply }));
  done.catch(() => {});
  await it.clock.settle();
  await done;
}

Deno.test("while it is paused both sides are silent, and times stay what they were", async () => {
  const it = await setUp({ recording: { consent: "none" } });
  const caller = newCaller({
    clock: it.clock,
    stream: it.stream,
    lines: demoCaller,
    hangUp: () => it.stream.stop(),
  });
  await it.clock.advance(5_000);
  const from = it.clock.now();
  await control(it, PAUSES);
  await control(it, PAUSES); // twice is once
  await it.clock.advance(7_000);
  const to = it.clock.now();
  await control(it, RESUMES);
  await it.clock.advance(80_000);
  caller.stop();
  for (const side of ["caller", "agent"] as const) {
    assert.equal(await soundsIn(it, side, { from, to }), 0, side);
  }
  const after = (words: TimedWord[]) => words.filter(({ endedAt }) => endedAt > to + 1_000);
  const before = (words: TimedWord[]) => words.filter(({ endedAt }) => endedAt < from);
  const [heard, words] = [heardBy(it.stream), await wordsOn(it, "agent")];
  assertAligned(before(words), before(heard));
  assertAligned(after(words), after(heard));
  assert.deepEqual(typesOf(it).filter((type) => type.startsWith("recording")), [
    ...["recording_started", "recording_paused", "recording_resumed", "recording_stopped"],
  ]);
  await it.close();
});

Deno.test("a call that is not recorded has nothing to pause", async () => {
  const it = await setUp({ graph: parseGraph(demoAgent) });
  await assert.rejects(control(it, PAUSES), { code: "conflict" });
  assert.equal(it.recordings.rows.length, 0);
  await it.close();
});

/** A store that does something else than to store. */
function brokenStore(put: ObjectStore["put"]): ObjectStore {
  return { ...memoryStore(), put };
}

const BROKEN: Readonly<Record<string, [ObjectStore["put"], string]>> = {
  "refuses every write": [
    () => Promise.reject(new AppError("provider_failed", "Disk full", { retryable: true })),
    "store_failed",
  ],
  "never answers": [() => new Promise(() => {}), "store_slow"],
};

for (const [what, [put, reason]] of Object.entries(BROKEN)) {
  Deno.test(`a store that ${what} fails the recording, and the caller hears nothing of it`, async () => {
    const plain = await setUp({ graph: parseGraph(demoAgent) });
    await converse(plain);
    const it = await setUp({ recording: { consent: "none" }, objects: brokenStore(put) });
    await converse(it);
    assert.deepEqual(heardBy(it.stream), heardBy(plain.stream), "to the millisecond");
    assert.deepEqual(it.ends, plain.ends);
    const failed = it.events.filter(({ type }) => type === "recording_failed");
    assert.deepEqual(failed, [{ type: "recording_failed", reason }]);
    assert.deepEqual(it.recordings.ends.map((end) => [end.status, end.reason, end.segments]), [
      ["failed", reason, 0],
    ]);
    await plain.close();
    await it.close();
  });
}

Deno.test("a caller who says nothing when asked is not recorded, and is greeted", async () => {
  const it = await setUp({ recording: { consent: "ask" } });
  await it.clock.advance(20_000);
  const answered = it.events.find(({ type }) => type === "recording_answered");
  assert.deepEqual(answered, { type: "recording_answered", isGiven: false, answer: "silence" });
  assert.match(texts(heardBy(it.stream)), /Is that all right with you\? Bright Smile Dental/);
  assert.equal(it.recordings.rows.length, 0);
  await it.close();
});

Deno.test("an answer that is neither is asked for once more, and then is no yes", async () => {
  const it = await setUp({ recording: { consent: "ask" } });
  await converse(it, ["What do you mean?", "Who is speaking?", ...demoCaller]);
  const heard = texts(heardBy(it.stream));
  assert.equal(heard.split("Is that all right with you?").length - 1, 2, heard);
  const answered = it.events.find(({ type }) => type === "recording_answered");
  assert.deepEqual(answered, { type: "recording_answered", isGiven: false, answer: "unclear" });
  assert.equal(it.ends[0]?.variables.patient, "Maria Lopez");
  await it.close();
});

Deno.test("a line that is lost within the disclosure is told of it anew", async () => {
  const it = await setUp({ recording: { consent: "disclose" } });
  await it.clock.advance(900);
  it.stream.drop();
  await it.clock.advance(500);
  const second = await it.reconnect();
  await it.clock.advance(10_000);
  assert.match(texts(heardBy(second)), /^This call is recorded\. Bright Smile Dental/);
  assert.equal(it.recordings.rows.length, 1);
  assert((it.recordings.origins[0] ?? 0) > second.startedAtMs);
  await it.close();
});
