/** A call leaves a machine that drains: between turns, or when time is up; never with a word of it untold. */

import assert from "node:assert/strict";
import type { CallDeps } from "@/actors/call/call.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { LeavingWhen } from "@/actors/call/life/leaving.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { speak } from "@/lib/audio/modem.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph, startOf } from "@/lib/workflow/graph.ts";
import { type CallKit, callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { playedWords } from "@/tests/support/heard.ts";

/** As the house does. */
const TOLD_EVERY_MS = 250;
const { greeting } = startOf(parseGraph(demoAgent));

interface Kit extends CallKit {
  /** What was on record each time the call was given up, by type, and whether its socket was open. */
  readonly givenUp: { readonly types: readonly string[]; readonly isOpen: boolean }[];
  /** Tells it at once, and again and again. */
  leave(when: LeavingWhen): void;
}

function setUp(
  release: () => Promise<void> = () => Promise.resolve(),
  { flush = () => Promise.resolve(), ...options }:
    & CallKitOptions
    & { readonly flush?: () => Promise<void> } = {},
): Kit {
  const givenUp: Kit["givenUp"] = [];
  const deps: Partial<CallDeps> = {
    handOver: {
      flush,
      release() {
        const types = kit.events.map(({ type }: CallEvent) => type);
        givenUp.push({ types, isOpen: kit.streams.at(-1)?.log.at(-1)?.type !== "closed" });
        return release();
      },
    },
  };
  const kit: CallKit = callKit({ ...options, deps });
  let told: LeavingWhen | null = null;
  function tell(): void {
    if (told !== null) kit.call.send({ type: "leave", when: told });
    kit.kit.clock.timer(TOLD_EVERY_MS, tell);
  }
  return {
    ...kit,
    givenUp,
    leave(when) {
      if (told === null) kit.kit.clock.timer(TOLD_EVERY_MS, tell);
      told = when;
      kit.call.send({ type: "leave", when });
    },
  };
}

const isClosed = ({ streams }: CallKit): boolean => streams.at(-1)?.log.at(-1)?.type === "closed";

Deno.test("between turns: what was begun is said and heard, all is on record, then the socket is closed", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const stream = await kit.connect();
  await clock.advance(1_000);
  kit.leave("betweenTurns");
  await clock.advance(1_000);
  assert.deepEqual([kit.givenUp, isClosed(kit)], [[], false], "the agent speaks");
  while (!kit.events.some(({ type }) => type === "agent_said")) await clock.advance(20);
  await clock.advance(1_900);
  assert.equal(playedWords(stream).map(({ text }) => text).join(" "), greeting);
  assert.deepEqual(kit.givenUp, [], "the caller may be about to answer");
  await clock.advance(400);
  assert.deepEqual(kit.givenUp.map(({ isOpen }) => isOpen), [true]);
  const { types = [] } = kit.givenUp[0] ?? {};
  assert.deepEqual(types.slice(-3), ["agent_said", "usage_counted", "leg_lost"]);
  assert.deepEqual(kit.events.map(({ type }) => type), types, "nothing is recorded behind it");
  assert.ok(isClosed(kit));
  assert.deepEqual(kit.stops.map(({ type }) => type), ["done"]);
  assert.deepEqual([kit.ends, kit.hangUps], [[], []], "the call has not ended");
  await kit.close();
});

Deno.test("between turns: an answer under way is said to its end", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const stream = await kit.connect();
  await clock.advance(6_000); // the greeting is over
  const caller = newCaller({ clock, stream, lines: ["I have a toothache."], hangUp() {} });
  await clock.advance(3_100);
  assert.equal(caller.lines.length, 1);
  kit.leave("betweenTurns");
  await clock.advance(15_000);
  const { types = [] } = kit.givenUp[0] ?? {};
  const last = types.filter((type) => /_said$|^leg_/.test(type)).slice(-3);
  assert.deepEqual(last, ["caller_said", "agent_said", "leg_lost"]);
  caller.stop();
  await kit.close();
});

Deno.test("between turns: a caller who has just begun to speak is heard out, and answered by the next machine", async () => {
  const kit = setUp();
  const { clock } = kit.kit;
  const stream = await kit.connect();
  await clock.advance(6_000); // the greeting is over
  void stream.say(speak("I have a toothache.").audio);
  await clock.advance(80);
  kit.leave("betweenTurns");
  await clock.advance(200);
  assert.deepEqual(kit.givenUp, []);
  await clock.advance(15_000);
  const { types = [] } = kit.givenUp[0] ?? {};
  const last = types.filter((type) => /_said$|^leg_/.test(type)).slice(-3);
  assert.deepEqual(last, ["agent_said", "caller_said", "leg_lost"]);
  assert.equal(rebuild(kit.events, parseGraph(demoAgent)).dialogue.brokeOff, "request");
  await kit.close();
});

Deno.test("between turns: who begins to speak while all is being recorded, is on record as cut off", async () => {
  const kit: Kit = setUp(undefined, { flush: () => sleep(kit.kit.clock, 150) });
  const { clock } = kit.kit;
  const stream = await kit.connect();
  await clock.advance(6_000); // the greeting is over
  kit.leave("betweenTurns");
  await clock.advance(2_020); // and so is the time in which people answer
  void stream.say(speak("I have a toothache.").audio);
  await clock.advance(400);
  const { types = [] } = kit.givenUp[0] ?? {};
  assert.deepEqual(types.slice(-2), ["leg_lost", "caller_began"]);
  assert.ok(isClosed(kit));
  const { brokeOff } = rebuild(kit.events, parseGraph(demoAgent)).dialogue;
  assert.equal(brokeOff, "caller", "whoever goes on asks for it");
  await kit.close();
});

Deno.test("when time is up it leaves in the middle of a word, which is on record as not heard", async () => {
  const kit = setUp();
  await kit.connect();
  await kit.kit.clock.advance(1_700);
  kit.leave("now");
  await kit.kit.clock.advance(100);
  assert.ok(isClosed(kit));
  const said = kit.events.findLast((event) => event.type === "agent_said");
  assert.ok(said !== undefined && said.unheard !== "" && said.text !== "");
  assert.deepEqual(kit.stops.map(({ type }) => type), ["done"]);
  await kit.close();
});

Deno.test("a call that cannot be given up stays, and the carrier is given another stream", async () => {
  const kit = setUp(() => Promise.reject(new AppError("database_unavailable", "Away")));
  await kit.connect();
  await kit.kit.clock.advance(1_700);
  kit.leave("now");
  await kit.kit.clock.advance(100);
  assert.ok(isClosed(kit));
  assert.deepEqual(kit.stops, []);
  assert.match(kit.logged.join(), /call not handed over/);
  await kit.reconnect();
  await kit.kit.clock.advance(4_500);
  assert.deepEqual(kit.givenUp.length, 1, "it is not cut off again and again");
  const words = kit.streams.flatMap(playedWords).map(({ text }) => text);
  assert.equal(words.join(" "), greeting);
  await kit.close();
});

Deno.test("it stays when it is told so, before it is answered, and in a room until the last moment", async () => {
  const kit = setUp();
  kit.leave("now");
  await kit.kit.clock.advance(1_000);
  assert.deepEqual(kit.givenUp, [], "nobody has answered");
  kit.leave("betweenTurns");
  kit.leave("never");
  await kit.connect();
  await kit.kit.clock.advance(10_000);
  assert.deepEqual([kit.givenUp, isClosed(kit)], [[], false]);
  await kit.close();

  const room = setUp(undefined, { channel: "room" });
  await room.connect();
  room.leave("betweenTurns");
  await room.kit.clock.advance(10_000);
  assert.deepEqual(room.givenUp, []);
  room.leave("now");
  await room.kit.clock.advance(1_000);
  assert.equal(room.givenUp.length, 1);
  await room.close();
});

Deno.test("a page's call leaves as one by phone: the page comes back by itself", async () => {
  const web = setUp(undefined, { channel: "web" });
  const page = await web.openPage(await web.answer());
  await web.kit.clock.advance(1_700);
  web.leave("now");
  await web.kit.clock.advance(100);
  assert.deepEqual(web.givenUp.map(({ types }) => types.at(-1)), ["leg_lost"]);
  assert.equal(page.closed()?.[0], 1000, "which no page takes as a refusal");
  assert.equal(page.of("over").length, 0, "it is not told that the call is over");
  await web.close();
});

Deno.test("a call that waits for another stream leaves at once", async () => {
  const kit = setUp();
  (await kit.connect()).drop();
  kit.leave("betweenTurns");
  await kit.kit.clock.advance(100);
  assert.deepEqual(kit.givenUp.map(({ types }) => types.slice(-2)), [[
    "leg_lost",
    "usage_counted",
  ]]);
  assert.deepEqual(kit.stops.map(({ type }) => type), ["done"]);
  await kit.close();
});
