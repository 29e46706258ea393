/** What every model that hears and speaks must do, whoever provides it. */

import assert from "node:assert/strict";
import { FRAME_BYTES, SILENCE } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import type { LanguageModel, Prompt } from "@/lib/providers/llm/llm.ts";
import type {
  Realtime,
  RealtimeEvent,
  RealtimeLine,
  RealtimeSetup,
} from "@/lib/providers/realtime/realtime.ts";
import {
  never,
  type Streaming,
  testFaults,
  testProvider,
  testStreaming,
} from "./contract_provider.ts";

export const SETUP: RealtimeSetup = {
  instructions: "Be brief.",
  tools: [{ name: "book", description: "Books.", parameters: { type: "object" } }],
  maxTokens: 400,
  language: "en-GB",
  keyterms: ["dentist"],
  silenceMs: 300,
  speed: 1,
};

const LINE = "Are you open on Friday?";

/** Repeats what it is asked, and books where it is told to. */
export const echo: LanguageModel = {
  provider: "test",
  async *respond({ messages }: Prompt) {
    const said = messages.map((it) => "text" in it ? it.text : it.role).join(" / ");
    yield { type: "text", text: `I know ` };
    yield { type: "text", text: said.replaceAll(/\s+/g, "_") };
    if (said.includes("Book")) {
      yield { type: "toolCall", call: { id: "call_1", name: "book", arguments: '{"day": 5}' } };
    }
    yield { type: "usage", inputTokens: 10, outputTokens: 5 };
    yield { type: "finished", reason: "stop" };
  },
};

/** A line of the caller, and the silence behind it. */
function feed(line: RealtimeLine, text: string): void {
  const { audio } = speak(text);
  const all = new Uint8Array(Math.ceil(audio.length / FRAME_BYTES) * FRAME_BYTES + 8_000)
    .fill(SILENCE);
  all.set(audio, 0);
  for (let at = 0; at < all.length; at += FRAME_BYTES) {
    line.send({ type: "audio", audio: all.subarray(at, at + FRAME_BYTES) });
  }
}

/** What the session tells, up to the first event of this type. */
async function until(
  events: AsyncIterator<RealtimeEvent>,
  type: RealtimeEvent["type"],
): Promise<RealtimeEvent[]> {
  const told: RealtimeEvent[] = [];
  for (;;) {
    const { done, value } = await events.next();
    if (done) throw new Error(`It ended before "${type}"`);
    told.push(value);
    if (value.type === type) return told;
  }
}

const wordsIn = (events: readonly RealtimeEvent[]): string =>
  events.flatMap((it) => it.type === "words" ? [it.text] : []).join("");

function heardIn(events: readonly RealtimeEvent[]): string {
  const audio = events.flatMap((it) => it.type === "audio" ? [...it.audio] : []);
  return heardWords(Uint8Array.from(audio)).map(({ text }) => text).join(" ");
}

export function testRealtime(name: string, make: () => Promise<Streaming<Realtime>>): void {
  function test(
    sentence: string,
    check: (line: RealtimeLine, events: AsyncIterator<RealtimeEvent>) => Promise<void>,
  ): void {
    testStreaming(`${name} ${sentence}`, make, async ({ adapter }) => {
      const line = await adapter.open(SETUP, never());
      await check(line, line[Symbol.asyncIterator]());
      line.close();
    });
  }

  test(
    "tells when the caller speaks, and what they said, and answers nothing unasked",
    async (line, events) => {
      feed(line, LINE);
      const told = await until(events, "transcribed");
      const types = told.map(({ type }) => type).filter((type) => type !== "transcribing");
      assert.deepEqual(types, ["speechStarted", "speechStopped", "committed", "transcribed"]);
      const last = told.at(-1);
      assert.equal(last?.type === "transcribed" && last.text, LINE);
      const stopped = told.find((it) => it.type === "speechStopped");
      const endMs = speak(LINE).words.at(-1)?.endMs ?? 0;
      assert.ok(Math.abs((stopped?.lastWordEndMs ?? 0) - endMs) <= 1);
    },
  );

  test(
    "answers what it heard and what it was told, in writing and in sound",
    async (line, events) => {
      line.send({ type: "add", item: { type: "agent", id: "a1", text: "Hello." } });
      feed(line, LINE);
      await until(events, "transcribed");
      line.send({ type: "answer", tag: "t1" });
      const told = await until(events, "answered");
      const answer = "I know Hello._/_Are_you_open_on_Friday?";
      assert.equal(wordsIn(told), answer);
      assert.equal(heardIn(told), answer);
      const end = told.at(-1);
      assert.deepEqual(
        end?.type === "answered" && [end.tag, end.how.type, end.usage?.inputTokens],
        [
          ...["t1", "complete", 10],
        ],
      );
    },
  );

  test("calls functions, and knows their outputs", async (line, events) => {
    line.send({ type: "add", item: { type: "caller", id: "c1", text: "Book it." } });
    line.send({ type: "answer", tag: "t1" });
    const call = (await until(events, "answered")).find((it) => it.type === "toolCall")?.call;
    assert.deepEqual(call, { id: "call_1", name: "book", arguments: '{"day": 5}' });
    const output = { type: "toolOutput", id: "o1", callId: "call_1", output: "Done." } as const;
    line.send({ type: "add", item: output });
    line.send({ type: "answer", tag: "t2" });
    assert.match(wordsIn(await until(events, "answered")), /toolCall_\/_toolOutput$/);
  });

  test("says a sentence to the letter, beside the conversation", async (line, events) => {
    line.send({ type: "say", tag: "t1", sentence: "Welcome to the clinic." });
    const told = await until(events, "answered");
    assert.equal(wordsIn(told), "Welcome to the clinic.");
    assert.equal(heardIn(told), "Welcome to the clinic.");
    line.send({ type: "answer", tag: "t2" });
    assert.equal(wordsIn(await until(events, "answered")), "I know ");
  });

  test("breaks off an answer, and forgets what of it was not heard", async (line, events) => {
    line.send({ type: "add", item: { type: "caller", id: "c1", text: "Go on." } });
    line.send({ type: "answer", tag: "t1" });
    const told = await until(events, "audio");
    const sound = told.at(-1);
    const itemId = sound?.type === "audio" ? sound.itemId : "";
    line.send({ type: "stop", tag: "t1" });
    const end = (await until(events, "answered")).at(-1);
    assert.ok(end?.type === "answered" && ["stopped", "complete"].includes(end.how.type));
    line.send({ type: "truncate", itemId, heardMs: 0.7 });
    line.send({ type: "answer", tag: "t2" });
    assert.equal(wordsIn(await until(events, "answered")), "I know Go_on.");
  });

  test("forgets an item that is removed, and takes another setup", async (line, events) => {
    line.send({ type: "add", item: { type: "caller", id: "c1", text: "One." } });
    line.send({ type: "add", item: { type: "caller", id: "c2", text: "Two." } });
    line.send({ type: "remove", itemId: "c1" });
    line.send({ type: "setUp", setup: { ...SETUP, tools: [], silenceMs: null } });
    line.send({ type: "answer", tag: "t1" });
    assert.equal(wordsIn(await until(events, "answered")), "I know Two.");
  });

  /** A session whose caller says a line, and that answers until it is ended. */
  async function* request(
    adapter: Realtime,
    signal: AbortSignal,
    fails = false,
  ): AsyncGenerator<RealtimeEvent> {
    const line = await adapter.open(SETUP, signal);
    try {
      if (fails) throw new Error("source failed");
      feed(line, LINE);
      for await (const event of line) {
        yield event;
        if (event.type === "transcribed") line.send({ type: "answer", tag: "t1" });
      }
    } finally {
      line.close();
    }
  }

  testProvider(
    name,
    make,
    (adapter, signal) => request(adapter, signal),
    (adapter, signal) => request(adapter, signal, true),
  );
}

export function testRealtimeFaults(name: string, make: () => Promise<Streaming<Realtime>>): void {
  testFaults(name, make, async function* (adapter, signal) {
    const line = await adapter.open(SETUP, signal);
    feed(line, LINE);
    yield* line;
  });
}
