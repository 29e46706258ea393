/** Calls in which all goes wrong at instants of a seed: each still ends, once, and its transcript holds. */

import assert from "node:assert/strict";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { AppError } from "@/lib/errors.ts";
import { actorKit, prng } from "@/tests/support/actor_kit.ts";
import { callKit, CARRIER_CALL_ID } from "@/tests/support/call_kit.ts";
import { eventLog } from "@/tests/support/event_log.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import {
  type Fault,
  faultyModel,
  faultyStt,
  faultyTts,
  LOST,
  WRONG_KEY,
} from "@/tests/support/faulty.ts";
import { playedWords } from "@/tests/support/heard.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";

const HISTORIES = 40;
const MAX_DURATION_MS = 90_000;
/** After the longest call: its last words, the carrier's hang-up, the writes of its end. */
const OVER_MS = MAX_DURATION_MS + 120_000;
const STEP_MS = 100;
const AWAY = new AppError("database_unavailable", "No answer in time", { retryable: true });

const graph = parseGraph({
  ...demoAgent,
  limits: { ...demoAgent.limits, maxDurationMs: MAX_DURATION_MS },
});

/** One call; the seed says what fails and when. */
async function live(seed: number) {
  const random = prng(seed);
  const chance = (of: number): boolean => random() < of;
  const kit = actorKit({ seed });
  const { clock } = kit;

  function faults(usual: number): Fault[] {
    return Array.from({ length: 12 }, () => {
      if (!chance(usual)) return null;
      const error = chance(0.1) ? WRONG_KEY : chance(0.15) ? new TypeError("planted") : LOST;
      return { afterMs: random() * 3_000, error };
    });
  }
  const maybeAway = (): Promise<void> => chance(0.3) ? Promise.reject(AWAY) : Promise.resolve();
  const log = eventLog();
  const { events } = log;
  const bugs = chance(0.3) ? 0.05 : 0; // in the call's own handlers
  const model = simulatedModel({ clock, firstTokenMs: 200, tokenMs: 15 });
  const call = callKit({
    kit,
    graph,
    delayMs: { toCarrier: 60 * random(), toServer: 60 * random() },
    deps: {
      stt: faultyStt(simulatedStt({ clock }), clock, faults(0.4)),
      tts: faultyTts(simulatedTts({ clock }), clock, faults(0.15)),
      llm: faultyModel(model, clock, faults(0.15)),
      record(seq, event, at) {
        if (chance(bugs)) throw new TypeError("planted");
        log.record(seq, event, at);
      },
      history: (signal) => maybeAway().then(() => log.history(signal)),
      saveLive: maybeAway,
    },
  });

  const lines = [...demoCaller, ...demoCaller];
  const phone = (on: MediaStream): Caller =>
    newCaller({
      clock,
      stream: on,
      lines,
      hangUp: () => on.stop(),
      said: () => void lines.shift(),
      ...(chance(0.4) ? { bargeInAtMs: random() * 4_000 } : {}),
    });
  const line: { stream: MediaStream | null; caller: Caller | null } = {
    stream: null,
    caller: null,
  };
  /** Does what the carrier is told; a call may end in the same instant. */
  async function follow(answered: Promise<CallAnswer>): Promise<void> {
    line.caller?.stop();
    const answer = await answered.catch(() => null);
    line.stream = answer?.type === "connect" ? await call.open(answer).catch(() => null) : null;
    line.caller = line.stream === null ? null : phone(line.stream);
  }
  await follow(call.answer());
  while (call.stops.length === 0 && clock.now() < OVER_MS) {
    await clock.advance(STEP_MS);
    if (chance(0.003)) line.stream?.drop();
    if (chance(0.001)) call.call.send({ type: "hangUp" });
    if (chance(0.001)) {
      call.call.send({ type: "progressed", carrierCallId: CARRIER_CALL_ID, progress: "completed" });
    }
    if (line.stream?.isOpen() !== false) continue;
    await clock.advance(random() * 2_000);
    if (call.stops.length === 0) await follow(call.resume());
  }
  line.caller?.stop();
  return { ...call, events, clock, system: kit.system };
}

for (let seed = 1; seed <= HISTORIES; seed++) {
  Deno.test(`history ${seed} ends once, by itself, and its transcript holds no word that was not heard`, async () => {
    const call = await live(seed);
    assert.equal(call.stops.length, 1, "it ended by itself");
    const hasCrashed = call.stops[0]?.type === "crashed";
    assert.deepEqual(call.system.list(), [], "nothing is left of it");

    const at = call.events.findIndex((event) => event.type === "call_ended");
    const isUnread = call.ends[0]?.reason === "crashed"; // it could not even read its events
    assert.equal(call.ends.length, hasCrashed ? 0 : 1);
    assert.equal(at, hasCrashed || isUnread ? -1 : call.events.length - 1, "the last event, once");
    assert.equal(Object.keys(call.events).length, call.events.length, "numbered without a gap");

    const played = call.streams.flatMap(playedWords).map(({ text }) => text);
    const said = call.events.flatMap((it) => it.type === "agent_said" ? it.text.split(" ") : []);
    let heard = 0;
    for (const word of said.filter((word) => word !== "")) {
      const found = played.indexOf(word, heard);
      assert.notEqual(found, -1, `"${word}" was not heard`);
      heard = found + 1;
    }
    await call.close();
    await call.clock.advance(200); // what is on its way on the line arrives
    assert.equal(call.clock.armed, 0, "no timer is left");
  });
}
