/** Somebody of the company on a live call: they hear both sides, may take the agent's place, and disturb nothing. */

import assert from "node:assert/strict";
import { FRAME_BYTES, SILENCE } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { transcriptOf } from "@/lib/conversation/transcript.ts";
import { AppError } from "@/lib/errors.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { socketPair } from "@/tests/support/socket_pair.ts";

async function setUp(options: CallKitOptions = {}) {
  const call = callKit(options);
  const stream = await call.connect();
  const { clock } = call.kit;

  async function asked<T>(question: Promise<T>): Promise<T> {
    question.catch(() => {}); // it is awaited below
    await clock.settle();
    return await question;
  }
  const invite = (by: string): Promise<{ readonly ticket: string }> =>
    asked(call.call.ask((reply) => ({ type: "invite", by, reply })));
  const admit = (ticket: string): Promise<{ readonly by: string }> =>
    asked(call.call.ask((reply) => ({ type: "admit", ticket, reply })));

  /** Somebody's page, which keeps what it was sent. */
  async function listen(by = "person_ada", wrap = (socket: MessageSocket) => socket) {
    const [theirs, ours] = socketPair({ clock });
    const sides: [Uint8Array[], Uint8Array[]] = [[], []];
    const told: string[] = [];
    const closed: number[] = [];
    theirs.listen({
      message(data) {
        if (typeof data === "string") told.push(JSON.parse(data).type);
        else sides[data[0] === 0 ? 0 : 1].push(data.subarray(1));
      },
      closed: (code) => closed.push(code),
    });
    const admitted = await admit((await invite(by)).ticket);
    call.call.send({ type: "tapped", by: admitted.by, socket: wrap(ours) });
    await clock.settle();
    const wordsOf = (side: 0 | 1): string =>
      heardWords(new Uint8Array(sides[side].flatMap((piece) => [...piece])))
        .filter(({ complete }) => complete).map(({ text }) => text).join(" ");
    return {
      ...{ told, closed, sides },
      caller: () => wordsOf(0),
      agent: () => wordsOf(1),
      ask: (type: "take" | "give") => theirs.send(JSON.stringify({ type })),
      send: (data: string | Uint8Array) => theirs.send(data),
      leave: () => theirs.close(1000, ""),
    };
  }

  return {
    ...call,
    ...{ clock, stream, invite, admit, listen },
    heard: () => playedWords(stream).map(({ text }) => text).join(" "),
    trail: () => call.events.flatMap((it) => /^(listen|takeover)_/.test(it.type) ? [it.type] : []),
  };
}

/** A microphone, in whole frames. */
function spoken(text: string): Uint8Array[] {
  const { audio } = speak(text);
  const frames = Math.ceil(audio.length / FRAME_BYTES);
  const whole = new Uint8Array(frames * FRAME_BYTES).fill(SILENCE);
  whole.set(audio);
  return Array.from({ length: frames }, (_, nth) => whole.slice(nth * 160, (nth + 1) * 160));
}

Deno.test("who listens hears the caller and the agent, each apart, and neither notices", async () => {
  const call = await setUp();
  const page = await call.listen();
  await call.clock.advance(6_000); // the greeting is over, and nobody has asked yet
  void call.stream.say(speak("I would like an appointment.").audio);
  await call.clock.advance(8_000);
  assert.equal(page.caller(), "I would like an appointment.");
  assert.ok(call.heard().length > 30);
  assert.ok(page.agent().startsWith(call.heard()), `${page.agent()} | ${call.heard()}`);
  page.leave();
  await call.clock.advance(1_000);
  assert.deepEqual(call.trail(), ["listen_started", "listen_ended"]);
  await call.close();
});

Deno.test("a ticket lets one in, once, within a minute", async () => {
  const patient = { ...demoAgent, limits: { ...demoAgent.limits, idleMs: 60_000 } };
  const call = await setUp({ graph: parseGraph(patient) });
  const { ticket } = await call.invite("person_ada");
  assert.deepEqual(await call.admit(ticket), { by: "person_ada" });
  await assert.rejects(call.admit(ticket), { code: "forbidden" });
  const late = await call.invite("person_ada");
  await call.clock.advance(60_000);
  await assert.rejects(call.admit(late.ticket), { code: "forbidden" });
  await assert.rejects(call.admit("no-ticket-at-all-of-this-call"), { code: "forbidden" });
  await call.close();
});

Deno.test("who takes the agent's place is heard in it, alone, and gives it back", async () => {
  const call = await setUp();
  const page = await call.listen();
  await call.clock.advance(1_500); // in the middle of the greeting
  page.ask("take");
  await call.clock.advance(200);
  const before = call.heard();
  for (const frame of spoken("I am Ada from the clinic.")) {
    page.send(frame);
    await call.clock.advance(20);
  }
  await call.clock.advance(1_000);
  assert.equal(call.heard(), `${before} I am Ada from the clinic.`.trim());
  void call.stream.say(speak("Good to hear you.").audio);
  await call.clock.advance(6_000);
  assert.equal(call.heard(), `${before} I am Ada from the clinic.`.trim(), "the agent is silent");
  assert.ok(call.events.some((it) => it.type === "caller_said" && it.text === "Good to hear you."));
  page.ask("give");
  await call.clock.advance(100);
  void call.stream.say(speak("Are you there?").audio);
  await call.clock.advance(8_000);
  assert.ok(call.heard().length > before.length + 40, "the agent answers again");
  assert.deepEqual(page.told.filter((it) => it !== "cleared"), ["listening", "taken", "given"]);
  assert.deepEqual(call.trail(), ["listen_started", "takeover_started", "takeover_ended"]);
  await call.close();
});

Deno.test("who takes the agent's place has the line without the room around the agent", async () => {
  const room = new Uint8Array(8_000).fill(0xe0);
  const call = await setUp({ deps: { ambience: Promise.resolve(room) } });
  const page = await call.listen();
  const playedBytes = (): number =>
    call.stream.player.pieces().reduce((sum, { audio }) => sum + audio.length, 0);
  await call.clock.advance(3_000);
  page.ask("take");
  await call.clock.advance(500);
  const before = playedBytes();
  await call.clock.advance(2_000);
  assert.equal(playedBytes(), before, "the line is theirs");
  const { audio } = speak("This is Ada.");
  for (let at = 0; at < audio.length; at += FRAME_BYTES) {
    page.send(audio.slice(at, at + FRAME_BYTES));
    await call.clock.advance(20);
  }
  await call.clock.advance(500);
  const theirs = playedBytes() - before;
  assert.ok(theirs <= audio.length + FRAME_BYTES, "nothing came between their frames");
  page.ask("give");
  await call.clock.advance(1_000);
  assert.ok(playedBytes() > before + theirs + 6_000, "it is back");
  await call.close();
});

Deno.test("one at a time takes a call, and who is cut off while they have it gives it back", async () => {
  const call = await setUp();
  const first = await call.listen("person_ada");
  const second = await call.listen("person_bob");
  first.ask("take");
  await call.clock.advance(10);
  second.ask("take");
  second.send(new Uint8Array(160)); // it is not theirs
  await call.clock.advance(10);
  assert.deepEqual(second.told.at(-1), "refused");
  first.leave();
  await call.clock.advance(10);
  assert.deepEqual(call.trail().slice(2), ["takeover_started", "takeover_ended", "listen_ended"]);
  second.ask("take");
  await call.clock.advance(10);
  assert.deepEqual(second.told.at(-1), "taken");
  await call.close();
});

Deno.test("who reads too slowly is let go, and the call goes on as it was", async () => {
  const call = await setUp();
  const slow = await call.listen("person_ada", (socket) => ({ ...socket, bufferedBytes: 200_000 }));
  await call.clock.advance(2_000);
  assert.deepEqual(slow.closed, [1013]);
  assert.deepEqual(call.trail(), ["listen_started", "listen_ended"]);
  assert.equal(call.stops.length, 0);
  assert.ok(call.heard().length > 5);
  await call.close();
});

Deno.test("nothing of a sensitive node is heard by others, and the end of the call is told", async () => {
  const graph = parseGraph({
    ...demoAgent,
    nodes: demoAgent.nodes.map((node) =>
      node.type === "start" ? { ...node, isSensitive: true } : node
    ),
  });
  const call = await setUp({ graph });
  const page = await call.listen();
  await call.clock.advance(5_000);
  assert.deepEqual(page.sides, [[], []]);
  call.call.send({ type: "hangUp" });
  await call.clock.advance(5_000);
  assert.deepEqual(page.told.at(-1), "ended");
  assert.equal(page.closed.length, 1);
  await call.close();
});

Deno.test("what is not of the protocol closes the socket, and the sixth who comes is not let in", async () => {
  const call = await setUp();
  for (const message of ["{}", new Uint8Array(0), new Uint8Array(161), new Uint8Array(4_160)]) {
    const page = await call.listen();
    page.send(message);
    await call.clock.advance(10);
    assert.deepEqual(page.closed, [1008]);
  }
  for (let nth = 0; nth < 5; nth++) await call.listen();
  await assert.rejects(call.listen(), { code: "forbidden" });
  await call.close();
});

/** Says it in the agent's place, and waits for a while. */
async function speakFor(
  call: Awaited<ReturnType<typeof setUp>>,
  page: Awaited<ReturnType<typeof call.listen>>,
  text: string,
  waitMs = 1_000,
): Promise<void> {
  for (const frame of spoken(text)) {
    page.send(frame);
    await call.clock.advance(20);
  }
  for (let quiet = 0; quiet < waitMs; quiet += 20) {
    page.send(new Uint8Array(FRAME_BYTES).fill(SILENCE));
    await call.clock.advance(20);
  }
}

Deno.test("what a colleague says is in the transcript as theirs, between the caller's words, and the agent knows it", async () => {
  const systems: string[] = [];
  const call = await setUp({
    script(prompt) {
      systems.push(prompt.system);
      return { text: "Very well." };
    },
  });
  const page = await call.listen();
  await call.clock.advance(6_000);
  page.ask("take");
  await call.clock.advance(100);
  await speakFor(call, page, "I am Ada from the clinic.");
  void call.stream.say(speak("Good to hear you.").audio);
  await call.clock.advance(4_000);
  await speakFor(call, page, "We call you back at nine.", 0);
  page.ask("give"); // before its recogniser has found the end of it
  await call.clock.advance(4_000);
  assert.equal(call.kit.system.count("scribe"), 0, "its recogniser is released");
  const events = call.events.map((event) => ({
    type: event.type,
    at: new Date(0),
    payload: event,
  }));
  const turns = transcriptOf(events).map(({ speaker, text }) => [speaker, text]);
  assert.deepEqual(turns.slice(1, 4), [
    ["colleague", "I am Ada from the clinic."],
    ["caller", "Good to hear you."],
    ["colleague", "We call you back at nine."],
  ]);
  assert(
    call.events.every((it) => it.type !== "colleague_said" || it.by === "person_ada"),
  );
  assert.match(systems.at(-1) ?? "", /they said: "I am Ada from the clinic\./);
  await call.close();
});

Deno.test("a colleague whose recogniser fails is heard all the same, and the record says what is missing", async () => {
  const error = new AppError("provider_failed", "No ears", { retryable: false });
  let sessions = 0;
  const call = await setUp({
    deps: {
      stt: {
        provider: "test",
        // deno-lint-ignore require-yield -- it hears to the end, and recognises nothing
        async *transcribe(audio, _options, signal) {
          if (sessions++ > 0) throw error;
          for await (const _ of audio) signal.throwIfAborted();
          await new Promise(() => {});
        },
      },
    },
  });
  const page = await call.listen();
  await call.clock.advance(6_000);
  page.ask("take");
  await call.clock.advance(100);
  await speakFor(call, page, "I am Ada.");
  assert.match(call.heard(), /I am Ada\.$/);
  assert.deepEqual(call.events.filter(({ type }) => type === "failed"), [{
    ...{ type: "failed", part: "call", code: "provider_failed" },
    message: "A colleague's words are not written down",
  }]);
  assert.equal(call.kit.system.count("scribe"), 0);
  await call.close();
});

Deno.test("of what a colleague says at a sensitive node no word is kept", async () => {
  const graph = parseGraph({
    ...demoAgent,
    nodes: demoAgent.nodes.map((node) =>
      node.type === "end" ? node : { ...node, isSensitive: true }
    ),
  });
  const call = await setUp({ graph });
  const page = await call.listen();
  await call.clock.advance(6_000);
  page.ask("take");
  await call.clock.advance(100);
  await speakFor(call, page, "Your card is 4111 1111.");
  page.ask("give");
  await call.clock.advance(1_000);
  const said = call.events.flatMap((it) => it.type === "colleague_said" ? [it.text] : []);
  assert.deepEqual(said, ["(not kept)"]);
  await call.close();
});
