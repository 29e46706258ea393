/** How the agent's audio reaches the carrier over a whole call: ahead of time by little, and without a hole. */

import assert from "node:assert/strict";
import { LEAD_MS } from "@/actors/call/playout.ts";
import { BYTES_PER_MS, FRAME_MS } from "@/lib/audio/frame.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";

Deno.test("over a whole call the carrier's queue holds the lead at most, and never runs dry within an utterance", async () => {
  const { kit, connect, events, close } = callKit();
  const { clock } = kit;
  const stream = await connect();
  const caller = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
  let most = 0;
  while (stream.isOpen()) {
    await clock.advance(5);
    most = Math.max(most, stream.player.endsAtMs() - clock.now());
  }
  caller.stop();
  assert.ok(most > 0 && most <= LEAD_MS + FRAME_MS, `${most} ms were waiting`);

  const pieces = stream.player.pieces();
  const holes = pieces.filter(({ atMs }, at) => {
    const before = pieces[at - 1];
    return before !== undefined && atMs - before.atMs - before.audio.length / BYTES_PER_MS > 0.5;
  });
  const utterances = events.filter((event) => event.type === "agent_said");
  assert.equal(holes.length, utterances.length - 1, "holes are between utterances only");
  await close();
});
