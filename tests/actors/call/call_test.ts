/** A call: every phase of it ends by itself, whatever the carrier, the database or an operator does. */

// deno-lint-ignore-file require-yield -- a provider that says nothing is what some of these are about

import assert from "node:assert/strict";
import { ENDING_MS } from "@/actors/call/life/hanging_up.ts";
import { RING_MS } from "@/actors/call/life/placing.ts";
import { CONNECT_WITHIN_MS } from "@/actors/call/life/stream.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import {
  type CallKit,
  callKit,
  type CallKitOptions,
  CARRIER_CALL_ID,
} from "@/tests/support/call_kit.ts";

const AWAY = new AppError("database_unavailable", "No answer in time", { retryable: true });
const REFUSED = new AppError("provider_failed", "Refused", { status: 500 });
/** Longer than any phase of an ending call. */
const LONG_MS = 200_000;

function carrier(change: Partial<Carrier>): Carrier {
  return {
    provider: "test",
    placeCall: () => Promise.resolve({ carrierCallId: `CA${"0".repeat(31)}1` }),
    hangUp: () => Promise.resolve(),
    ...change,
  };
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

function endOf({ ends }: CallKit): unknown {
  return ends.map(({ outcome, reason }) => `${outcome} ${reason}`);
}

function typesOf(events: readonly CallEvent[]): string[] {
  return events.map((event) => event.type);
}

function dial(kit: CallKit): Promise<{ callId: string }> {
  const placed = kit.call.ask<{ callId: string }>((reply) => ({
    type: "dial",
    from: "+15550001",
    to: "+15550002",
    reply,
  }), { timeoutMs: 60_000 });
  placed.catch(() => {});
  return placed;
}

async function placed(options: CallKitOptions = {}): Promise<CallKit> {
  const kit = callKit({ direction: "outbound", ...options });
  void dial(kit);
  await kit.kit.settle();
  return kit;
}

function tokenOf(answer: CallAnswer): { readonly epoch: number; readonly token: string } {
  assert.ok(answer.type === "connect");
  return { epoch: Number(answer.mediaPath.split("/")[4]), token: answer.token };
}

Deno.test("a call whose carrier never opens the socket is hung up and ends as never connected", async () => {
  const kit = callKit();
  await kit.answer();
  await kit.kit.clock.advance(CONNECT_WITHIN_MS - 1);
  assert.equal(kit.hangUps.length, 0);
  await kit.kit.clock.advance(1);
  assert.equal(kit.hangUps.length, 1);
  assert.deepEqual(endOf(kit), ["failed never_connected"]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.close();
});

Deno.test("a call we place may ring for long, and ends by itself when it does so for too long", async () => {
  const kit = await placed();
  await kit.kit.clock.advance(RING_MS - 1);
  assert.deepEqual(kit.stops, []);
  await kit.kit.clock.advance(1);
  assert.deepEqual(endOf(kit), ["failed never_connected"]);
  await kit.close();
});

Deno.test("a media socket is let in once, for the newest epoch and its token", async () => {
  const kit = callKit();
  const { epoch, token } = tokenOf(await kit.answer());
  assert.equal(await kit.attach(epoch, "another token"), "refused");
  assert.equal(await kit.attach(epoch + 1, token), "refused");
  assert.equal(await kit.attach(epoch, token), "ok");
  assert.equal(await kit.attach(epoch, token), "taken");
  await kit.close();
});

Deno.test("a carrier that repeats its question before the socket is there gets the same answer", async () => {
  const kit = callKit();
  assert.deepEqual(await kit.answer(), await kit.answer());
  await kit.close();
});

Deno.test("a second socket is closed, and the first one's call goes on", async () => {
  const kit = callKit();
  await kit.connect();
  const closed: number[] = [];
  kit.call.send({
    type: "connected",
    socket: {
      bufferedBytes: 0,
      send() {},
      listen() {},
      close: (code) => void closed.push(code),
    },
  });
  await kit.kit.clock.advance(1_000);
  assert.deepEqual(closed, [1008]);
  assert.equal(kit.streams[0]?.log.some((entry) => entry.type === "closed"), false);
  await kit.close();
});

Deno.test("a socket that was let in and never came leaves a way in for the next", async () => {
  const kit = callKit();
  const { epoch, token } = tokenOf(await kit.answer());
  assert.equal(await kit.attach(epoch, token), "ok"); // its path is spent, and no socket follows
  const stream = await kit.reconnect(); // the carrier asks what is next
  await kit.kit.clock.advance(2_000);
  assert.ok(stream.player.endsAtMs() > kit.kit.clock.now(), "the agent speaks");
  assert.equal(await kit.attach(epoch, token), "taken");
  await kit.close();
});

Deno.test("a stream that never says start is given up, and the carrier may bring another", async () => {
  const kit = callKit();
  const first = tokenOf(await kit.answer());
  await kit.attach(first.epoch, first.token);
  const closed: number[] = [];
  kit.call.send({
    type: "connected",
    socket: { bufferedBytes: 0, send() {}, listen() {}, close: (code) => void closed.push(code) },
  });
  await kit.kit.clock.advance(5_000);
  assert.deepEqual(closed, [1008, 1000].slice(0, closed.length));
  assert.deepEqual(kit.stops, []);
  const stream = await kit.reconnect();
  await kit.kit.clock.advance(2_000);
  assert.ok(stream.player.endsAtMs() > kit.kit.clock.now(), "the agent speaks");
  assert.equal(await kit.attach(first.epoch, first.token), "taken");
  await kit.close();
});

for (
  const [progress, end] of [
    ["busy", "busy carrier_ended"],
    ["no_answer", "no_answer carrier_ended"],
    ["canceled", "no_answer carrier_ended"],
    ["failed", "failed carrier_ended"],
    ["completed", "failed never_connected"],
  ] as const
) {
  Deno.test(`a placed call that the carrier reports as ${progress} ends as ${end}`, async () => {
    const kit = await placed();
    for (const news of ["queued", "ringing", progress, progress] as const) {
      kit.call.send({ type: "progressed", carrierCallId: CARRIER_CALL_ID, progress: news });
    }
    await kit.kit.settle();
    assert.deepEqual(endOf(kit), [end]);
    assert.deepEqual(kit.stops, [{ type: "done" }]);
    await kit.close();
  });
}

Deno.test("a live call that the carrier reports as completed was hung up by the caller", async () => {
  const kit = callKit();
  await kit.connect();
  await kit.kit.clock.advance(1_000);
  kit.call.send({ type: "progressed", carrierCallId: CARRIER_CALL_ID, progress: "in_progress" });
  await kit.kit.settle();
  assert.deepEqual(kit.stops, []);
  kit.call.send({ type: "progressed", carrierCallId: CARRIER_CALL_ID, progress: "completed" });
  await kit.kit.settle();
  assert.deepEqual(endOf(kit), ["answered caller_hung_up"]);
  await kit.close();
});

Deno.test("a call that the carrier takes is placed: its id is answered and recorded", async () => {
  const kit = callKit({ direction: "outbound" });
  const answered = dial(kit);
  await kit.kit.settle();
  assert.match((await answered).callId, /^call_/);
  assert.deepEqual(typesOf(kit.events), ["call_started", "call_dialed"]);
  await kit.close();
});

Deno.test("a call that the carrier refuses ends with the reason on its record, and the asker is told", async () => {
  const kit = callKit({
    direction: "outbound",
    deps: { carrier: carrier({ placeCall: () => Promise.reject(REFUSED) }) },
  });
  const answered = dial(kit);
  await kit.kit.settle();
  await assert.rejects(answered, REFUSED);
  assert.deepEqual(endOf(kit), ["failed carrier_ended"]);
  assert.deepEqual(typesOf(kit.events), ["call_started", "failed", "call_ended"]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.close();
});

Deno.test("a placed call may be answered before the carrier's API has said its id", async () => {
  const { promise, resolve } = Promise.withResolvers<{ carrierCallId: string }>();
  const kit = await placed({ deps: { carrier: carrier({ placeCall: () => promise }) } });
  const stream = await kit.reconnect(); // the callee answers: the carrier asks what to do
  await kit.kit.clock.advance(1_000);
  resolve({ carrierCallId: `CA${"0".repeat(31)}1` });
  await kit.kit.clock.advance(1_000);
  assert.ok(stream.player.endsAtMs() > kit.kit.clock.now(), "the agent speaks");
  assert.ok(typesOf(kit.events).includes("call_dialed"));
  await kit.close();
});

Deno.test("a call that is hung up while the carrier is being asked to place it does not ring on", async () => {
  const hungUp: string[] = [];
  const { promise, resolve } = Promise.withResolvers<{ carrierCallId: string }>();
  const kit = callKit({
    direction: "outbound",
    deps: {
      carrier: carrier({
        placeCall: () => promise,
        hangUp: (id) => Promise.resolve(void hungUp.push(id)),
      }),
    },
  });
  const answered = dial(kit);
  await kit.kit.settle();
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  resolve({ carrierCallId: "CA7" });
  await kit.kit.settle();
  assert.deepEqual(hungUp, ["CA7"]);
  assert.match((await answered).callId, /^call_/);
  assert.deepEqual(endOf(kit), ["failed stopped"]);
  await kit.close();
});

Deno.test("a carrier that never answers whether it places the call is not waited for when it is hung up", async () => {
  const kit = callKit({
    direction: "outbound",
    deps: { carrier: carrier({ placeCall: (_request, signal) => never(signal) }) },
  });
  const answered = dial(kit);
  await kit.kit.settle();
  kit.call.send({ type: "hangUp" });
  await kit.kit.clock.advance(ENDING_MS);
  assert.deepEqual(endOf(kit), ["failed stopped"]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.kit.clock.advance(60_000);
  await assert.rejects(answered, { code: "unknown_outcome" });
  await kit.close();
});

Deno.test("an operator hangs up a live call: at the carrier, and once", async () => {
  const kit = callKit();
  await kit.connect();
  await kit.kit.clock.advance(1_000);
  kit.call.send({ type: "hangUp" });
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  assert.equal(kit.hangUps.length, 1);
  assert.deepEqual(endOf(kit), ["answered stopped"]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.close();
});

Deno.test("a call that an operator hangs up before it is connected was not answered", async () => {
  const kit = callKit();
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  assert.deepEqual(endOf(kit), ["failed stopped"]);
  await kit.close();
});

Deno.test("a hang-up that the carrier's API refuses closes the socket, and the carrier is told to hang up", async () => {
  const kit = callKit({
    deps: { carrier: carrier({ hangUp: () => Promise.reject(REFUSED) }) },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  assert.deepEqual(stream.log.at(-1)?.type, "closed");
  assert.deepEqual(endOf(kit), ["answered stopped"]);
  assert.ok(
    kit.events.some((event) => event.type === "failed" && event.part === "carrier"),
    "the failure is on the record",
  );
  await kit.close();
});

Deno.test("a carrier that asks for the next step of a call that is ending is told to hang up", async () => {
  const kit = callKit({
    deps: {
      carrier: carrier({ hangUp: (_id, signal) => never(signal) }),
      saveEnd: (_ended, signal) => never(signal),
    },
  });
  await kit.connect();
  await kit.kit.clock.advance(1_000);
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  assert.deepEqual(await kit.resume(), { type: "hangUp" });
  assert.deepEqual(await kit.answer(), { type: "hangUp" }); // it is being saved now
  await kit.close();
});

Deno.test("a carrier that never confirms a hang-up is not waited for", async () => {
  const kit = callKit({
    deps: { carrier: carrier({ hangUp: (_id, signal) => never(signal) }) },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  kit.call.send({ type: "hangUp" });
  await kit.kit.clock.advance(ENDING_MS - 1);
  assert.deepEqual(kit.stops, []);
  await kit.kit.clock.advance(1);
  assert.equal(stream.log.at(-1)?.type, "closed");
  assert.deepEqual(endOf(kit), ["answered stopped"]);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  await kit.close();
});

Deno.test("an end that cannot be stored is stored later; the line is closed meanwhile", async () => {
  let tries = 0;
  let endedAt: Date | null = null;
  const kit = callKit({
    deps: {
      carrier: carrier({ hangUp: () => Promise.reject(REFUSED) }),
      saveEnd(ended) {
        endedAt = ended.endedAt;
        return ++tries < 4 ? Promise.reject(AWAY) : Promise.resolve();
      },
    },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  const date = kit.kit.clock.date();
  kit.call.send({ type: "hangUp" });
  await kit.kit.settle();
  assert.equal(stream.log.at(-1)?.type, "closed");
  await kit.kit.clock.advance(3_499);
  assert.deepEqual({ tries, stops: kit.stops.length }, { tries: 3, stops: 0 });
  await kit.kit.clock.advance(1);
  assert.deepEqual({ tries, stops: kit.stops }, { tries: 4, stops: [{ type: "done" }] });
  assert.deepEqual(endedAt, date, "when it ended, not when that was stored");
  assert.equal(typesOf(kit.events).filter((type) => type === "call_ended").length, 1);
  await kit.close();
});

Deno.test("a call that waits for the database keeps no provider's session open", async () => {
  const sessions: AbortSignal[] = [];
  const kit = callKit({
    deps: {
      saveEnd: () => Promise.reject(AWAY),
      stt: {
        provider: "test",
        async *transcribe(_audio, _options, signal) {
          sessions.push(signal);
          await never(signal);
        },
      },
    },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  stream.stop();
  await kit.kit.settle();
  assert.deepEqual(sessions.map((signal) => signal.aborted), [true]);
  assert.deepEqual(kit.kit.system.list().map(({ kind }) => kind), ["call"]);
  await kit.close();
});

Deno.test("an end that can never be stored is given up, and the log says so", async () => {
  let tries = 0;
  const kit = callKit({
    deps: {
      saveEnd() {
        tries++;
        return Promise.reject(AWAY);
      },
    },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(1_000);
  stream.stop();
  await kit.kit.clock.advance(LONG_MS);
  assert.equal(tries, 8);
  assert.deepEqual(kit.stops, [{ type: "done" }]);
  const said = kit.logged.filter((line) => line.includes("end of a call not stored"));
  assert.equal(said.length, 1);
  await kit.close();
});

Deno.test("what the caller had said last is kept when they hang up in the middle of it", async () => {
  const kit = callKit({
    deps: {
      stt: {
        provider: "test",
        async *transcribe(audio, _options, signal) {
          let frames = 0;
          for await (const _ of audio) if (++frames === 300) break;
          yield { type: "final", text: "Well never mind", startMs: 0, endMs: 1, confidence: 1 };
          await never(signal);
        },
      },
    },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(6_100);
  stream.stop();
  await kit.kit.settle();
  const said = kit.events.flatMap((event) => event.type === "caller_said" ? [event.text] : []);
  assert.deepEqual(said, ["Well never mind"]);
  assert.equal(kit.events.at(-1)?.type, "call_ended");
  await kit.close();
});

Deno.test("keys that the caller presses are recorded", async () => {
  const kit = callKit();
  const stream = await kit.connect();
  for (const digit of "4#") stream.press(digit);
  await kit.kit.settle();
  const keys = kit.events.flatMap((event) => event.type === "dtmf_pressed" ? [event.digit] : []);
  assert.deepEqual(keys, ["4", "#"]);
  await kit.close();
});

Deno.test("events are numbered from one without a gap, and end with the call's end", async () => {
  const seqs: number[] = [];
  const types: string[] = [];
  const kit = callKit({
    deps: {
      record(seq, event) {
        seqs.push(seq);
        types.push(event.type);
      },
    },
  });
  const stream = await kit.connect();
  await kit.kit.clock.advance(3_000);
  stream.stop();
  await kit.kit.settle();
  assert.deepEqual(seqs, seqs.map((_, at) => at + 1));
  assert.deepEqual([types[0], types.at(-1)], ["call_started", "call_ended"]);
  await kit.close();
});
