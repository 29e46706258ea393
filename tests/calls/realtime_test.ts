/** A call whose agent hears and speaks with one model, at virtual time. */

import assert from "node:assert/strict";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { openaiRealtime } from "@/lib/providers/realtime/openai.ts";
import { realtimeSpeech } from "@/lib/providers/realtime/speech.ts";
import { Secret } from "@/lib/secret.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { connectTo } from "@/tests/support/memory_socket.ts";
import { openaiRealtimeDesk } from "@/tests/support/openai_realtime.ts";

Deno.test("one model hears, answers and speaks: the demo's appointment is booked", async () => {
  const kit = actorKit();
  const { clock } = kit;
  const desk = openaiRealtimeDesk({ apiKey: "key", clock });
  const speech = realtimeSpeech({
    realtime: openaiRealtime({
      apiKey: new Secret("key"),
      baseUrl: "https://api.openai.com/v1",
      clock,
      model: "gpt-realtime-1.5",
      voice: "marin",
      connect: connectTo(desk),
    }),
    breaker: newBreakers(clock).of("realtime"),
    clock,
    others: { recognisers: [], models: [], voices: [] },
  });
  const whole = callKit({ kit, deps: speech });
  const { connect, events, ends, hangUps, close } = whole;
  const stream = await connect();
  const caller = newCaller({
    clock: kit.clock,
    stream,
    lines: demoCaller,
    hangUp: () => stream.stop(),
  });
  await kit.clock.advance(90_000);
  caller.stop();

  const said = events.filter((event) => event.type === "agent_said");
  const { extra, missing } = compareHeard(said, playedWords(stream), []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
  assert.equal(ends[0]?.outcome, "answered");
  assert.equal(ends[0]?.reason, "agent_hung_up");
  assert.equal(hangUps.length, 1);
  await close();
});
