/** The watchdog: looks in a row without a beat, and a real process whose loop stands still. */

import assert from "node:assert/strict";
import { TICKS, watchBeats } from "@/lib/watchdog_beats.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

Deno.test("only so many looks in a row without a beat are too many", async () => {
  const clock = manualClock();
  const beats = new Int32Array(new SharedArrayBuffer(4));
  let stuckCount = 0;
  watchBeats({ beats, stuckMs: 5_000 }, { clock, stuck: () => void stuckCount++ });
  for (let round = 0; round < 5; round++) {
    Atomics.add(beats, 0, 1);
    await clock.advance(500 * (TICKS - 1));
  }
  assert.equal(stuckCount, 0);
  await clock.advance(1_000);
  assert.deepEqual([stuckCount, clock.armed], [1, 0]);
});

/** Runs a program with no more than the server's permissions. */
async function run(stuckMs: number) {
  const program = `
    import { watchOver } from "@/lib/watchdog.ts";
    import { systemClock } from "@/lib/clock.ts";
    const cancel = watchOver({ clock: systemClock, stuckMs: ${stuckMs} });
    await new Promise((resolve) => systemClock.timer(600, () => resolve(null)));
    const until = performance.now() + 2_500;
    while (performance.now() < until);
    console.log("went on");
    cancel();`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", "--allow-read", "-"],
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { signal, stdout, stderr } = await process.output();
  const text = new TextDecoder();
  return { signal, out: text.decode(stdout), err: text.decode(stderr) };
}

Deno.test("a process whose loop stands still is killed, and says why; with 0 it goes on", async () => {
  const [watched, unwatched] = await Promise.all([run(400), run(0)]);
  assert.deepEqual([watched.signal, watched.out], ["SIGKILL", ""]);
  assert.match(watched.err, /"message":"the event loop stands still: this process ends"/);
  assert.deepEqual([unwatched.signal, unwatched.out], [null, "went on\n"]);
});
