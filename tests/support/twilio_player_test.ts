/** The oracle of what a caller hears: it must be exact to the sample. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SILENCE } from "@/lib/audio/frame.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";
import { newPlayer, type Player } from "./twilio_player.ts";

function setUp(): { clock: ManualClock; player: Player; marks: [number, string][] } {
  const clock = manualClock();
  const marks: [number, string][] = [];
  const player = newPlayer({ clock, mark: (name) => marks.push([clock.now(), name]) });
  return { clock, player, marks };
}

const audio = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);
const runs = (bytes: Uint8Array): [number, number][] => {
  const found: [number, number][] = [];
  for (const byte of bytes) {
    const last = found.at(-1);
    if (last?.[0] === byte) last[1] += 1;
    else found.push([byte, 1]);
  }
  return found;
};

Deno.test("player drains 8 bytes a millisecond and tells a mark when its audio has played", async () => {
  const { clock, player, marks } = setUp();
  player.audio(audio(160, 1));
  player.mark("a");
  player.audio(audio(4, 2));
  player.mark("b");
  await clock.advance(19);
  assert.deepEqual(runs(player.played()), [[1, 152]]);
  assert.deepEqual(marks, []);
  await clock.advance(2);
  assert.deepEqual(marks, [[20, "a"], [20.5, "b"]]);
  assert.deepEqual(runs(player.played()), [[1, 160], [2, 4], [SILENCE, 4]]);
});

Deno.test("player tells a mark at once when nothing waits before it", () => {
  const { player, marks } = setUp();
  player.mark("a");
  player.mark("b");
  assert.deepEqual(marks, [[0, "a"], [0, "b"]]);
});

Deno.test("player keeps the silence between, so that byte and time agree", async () => {
  const { clock, player } = setUp();
  await clock.advance(5);
  player.audio(audio(16, 1));
  await clock.advance(10);
  player.audio(audio(16, 2));
  await clock.advance(10);
  assert.deepEqual(runs(player.played()), [
    [SILENCE, 40],
    [1, 16],
    [SILENCE, 64],
    [2, 16],
    [SILENCE, 64],
  ]);
  assert.deepEqual(player.pieces().map(({ atMs, audio }) => [atMs, audio.length]), [
    [5, 16],
    [15, 16],
  ]);
});

Deno.test("clear drops what has not played and tells all pending marks at once, in order", async () => {
  const { clock, player, marks } = setUp();
  player.audio(audio(160, 1));
  player.mark("a");
  player.audio(audio(160, 2));
  player.mark("b");
  player.audio(audio(160, 3));
  player.mark("c");
  await clock.advance(30);
  player.clear();
  assert.deepEqual(marks, [[20, "a"], [30, "b"], [30, "c"]]);
  assert.equal(player.endsAtMs(), 30);
  player.audio(audio(8, 4));
  player.mark("d");
  await clock.advance(10);
  assert.deepEqual(marks.at(-1), [31, "d"]);
  assert.deepEqual(runs(player.played()), [[1, 160], [2, 80], [4, 8], [SILENCE, 72]]);
});

Deno.test("stop ends the playing and the marks", async () => {
  const { clock, player, marks } = setUp();
  player.audio(audio(160, 1));
  player.mark("a");
  await clock.advance(10);
  player.stop();
  player.audio(audio(160, 2));
  player.mark("b");
  await clock.advance(30);
  assert.deepEqual(runs(player.played()), [[1, 80]]);
  assert.deepEqual(marks, []);
  assert.equal(clock.armed, 0);
});

Deno.test("player hears exactly what a sample-by-sample model hears, whatever comes when", async () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant("wait" as const), samples: fc.nat(60) }),
    fc.record({ type: fc.constant("audio" as const), bytes: fc.nat(40) }),
    fc.record({ type: fc.constant("mark" as const) }),
    fc.record({ type: fc.constant("clear" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, player, marks } = setUp();
      let queue: (number | string)[] = [];
      const heard: number[] = [];
      const told: [number, string][] = [];
      const tellDue = (): void => {
        for (let next = queue[0]; typeof next === "string"; next = queue[0]) {
          told.push([heard.length / 8, next]);
          queue.shift();
        }
      };
      for (const [index, each] of steps.entries()) {
        switch (each.type) {
          case "wait":
            for (let i = 0; i < each.samples; i++) {
              tellDue();
              const sample = queue.shift();
              heard.push(typeof sample === "number" ? sample : SILENCE);
              tellDue();
            }
            await clock.advance(each.samples / 8);
            break;
          case "audio":
            player.audio(audio(each.bytes, index));
            queue.push(...Array<number>(each.bytes).fill(index));
            break;
          case "mark":
            player.mark(`m${index}`);
            queue.push(`m${index}`);
            break;
          case "clear":
            player.clear();
            queue = queue.filter((item) => typeof item === "string");
        }
        tellDue();
      }
      assert.deepEqual([...player.played()], heard);
      assert.deepEqual(marks, told);
    }),
    { numRuns: 60 },
  );
});
