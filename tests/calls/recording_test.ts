/** Recordings of whole calls at virtual time: who was heard on which side, and when. */

import assert from "node:assert/strict";
import { SEGMENT_MS } from "@/lib/recording/segments.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
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
