/** A bug in one call: the others of the machine do not notice. */

import assert from "node:assert/strict";
import type { CallDeps } from "@/actors/call/call.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { type ActorKit, actorKit } from "@/tests/support/actor_kit.ts";
import { type CallKit, callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";

const BUG = new TypeError("planted");
const CALLS = 20;

/** One bug each: in a handler, in a socket's callback, in a stream, in a promise, in a timer's message. */
const bugs: readonly ((kit: ActorKit) => Partial<CallDeps>)[] = [
  () => ({
    record(seq) {
      if (seq === 5) throw BUG;
    },
  }),
  () => ({
    newProtocol() {
      const protocol = twilioMedia();
      let messages = 0;
      return {
        ...protocol,
        parse(text) {
          if (++messages > 200) throw BUG;
          return protocol.parse(text);
        },
      };
    },
  }),
  ({ clock }) => ({
    tts: {
      provider: "test",
      async *synthesize(text, options, signal) {
        for await (const speech of simulatedTts({ clock }).synthesize(text, options, signal)) {
          yield speech;
          if (clock.now() > 5_000) throw BUG;
        }
      },
    },
  }),
  () => ({ saveLive: () => Promise.reject(BUG) }),
  () => ({
    newToken() {
      throw BUG; // in `init`: it never begins
    },
  }),
];

function booked(call: CallKit): unknown {
  const said = call.events.filter((event) => event.type === "agent_said");
  const { extra, missing } = compareHeard(said, call.streams.flatMap(playedWords), []);
  return {
    time: call.ends[0]?.variables.time,
    reason: call.ends[0]?.reason,
    stops: call.stops.map(({ type }) => type),
    failures: call.events.filter((event) => event.type === "failed").length,
    extra,
    missing,
  };
}

Deno.test("of twenty calls at once five have a bug, each another: fifteen book their appointment", async () => {
  const kit = actorKit({ seed: 5 });
  const calls = Array.from({ length: CALLS }, (_, at) => {
    const plant = bugs[at];
    return callKit({ kit, nth: at + 1, ...(plant === undefined ? {} : { deps: plant(kit) }) });
  });
  const { clock } = kit;
  const callers = [];
  for (const [at, call] of calls.entries()) {
    if (at === 4) continue; // there is nobody to connect to
    const stream = await call.connect();
    callers.push(newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() }));
    await clock.advance(137); // no two in step
  }
  await clock.advance(60_000);
  for (const caller of callers) caller.stop();

  for (const call of calls.slice(bugs.length)) {
    assert.deepEqual(booked(call), {
      time: "half past nine",
      reason: "agent_hung_up",
      stops: ["done"],
      failures: 0,
      extra: [],
      missing: [],
    });
  }
  const crashes = kit.system.metrics().kinds;
  assert.ok((crashes.call?.crashes ?? 0) >= 3, "the bugs were met");
  assert.ok((crashes.leg?.crashes ?? 0) >= 1);
  assert.ok((crashes.speaker?.crashes ?? 0) >= 1);
  await calls[0]?.close();
});
