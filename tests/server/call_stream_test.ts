/** A live call watched over a socket, by a reader that drops and comes again; and ended over the API. */

import assert from "node:assert/strict";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";

const { open } = await testDatabase();

async function withCall(test: (kit: ServerKit, callId: string) => Promise<void>): Promise<void> {
  const database = await open();
  const kit = await serverKit({ database });
  try {
    const phoned = await placeInbound({
      webhookUrl: `${kit.url}/twilio/voice`,
      publicUrl: kit.url,
      authToken: kit.carrierToken,
      from: "+15550199000",
      to: DEMO_NUMBER,
      clock: systemClock,
      twilio: kit.twilio,
    });
    const opened = phoned.log.find((entry) => entry.type === "streamOpened");
    const url = new URL(opened?.type === "streamOpened" ? opened.url : "");
    await test(kit, url.pathname.split("/")[3] ?? "");
    phoned.hangUp();
    await phoned.ended;
  } finally {
    await kit.close();
    await database.close();
  }
}

/** Reads until it has seen so many events, or the end; then it drops the connection. */
async function watch(
  kit: ServerKit,
  callId: string,
  { after, most }: { readonly after: number | null; readonly most: number },
): Promise<{ ids: number[]; types: string[]; hasEnded: boolean }> {
  const dropping = new AbortController();
  const headers = after === null ? {} : { "Last-Event-ID": `${after}` };
  const response = await kit.rest(`/api/v1/calls/${callId}/stream`, {
    headers: { ...headers, "Accept-Encoding": "gzip" },
    signal: dropping.signal,
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.equal(response.headers.get("content-encoding"), null);
  let text = "";
  try {
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if ([...text.matchAll(/^id: /gm)].length >= most) dropping.abort();
    }
  } catch (error) {
    if (!dropping.signal.aborted) throw error;
  }
  const blocks = text.split("\n\n").slice(0, -1); // what came whole
  const events = blocks.flatMap((block) => {
    const [, id, type] = /^id: (\d+)\nevent: (\w+)\ndata: /.exec(block) ?? [];
    return id === undefined || type === undefined ? [] : [{ id: Number(id), type }];
  });
  return {
    ids: events.map(({ id }) => id),
    types: events.map(({ type }) => type),
    hasEnded: blocks.includes("event: end\ndata: {}"),
  };
}

Deno.test("a reader that drops and comes again sees every event of a live call once", async () => {
  await withCall(async (kit, callId) => {
    const seen: number[] = [];
    const types: string[] = [];
    let hasEnded = false;
    for (let round = 0; !hasEnded; round++) {
      const after = seen.at(-1) ?? null;
      const got = await watch(kit, callId, { after, most: round < 2 ? 1 : 1_000 });
      seen.push(...got.ids);
      types.push(...got.types);
      hasEnded = got.hasEnded;
      if (round === 1) {
        const path = `/api/v1/calls/${callId}/hang-up`;
        assert.equal((await kit.rest(path, { method: "POST" })).status, 204);
      }
    }
    assert.deepEqual(seen, Array.from(seen, (_, nth) => nth + 1));
    assert.equal(types.at(-1), "call_ended");
    const page = await (await kit.rest(`/api/v1/calls/${callId}/events?limit=500`)).json();
    assert.deepEqual(page.items.map(({ seq }: { seq: number }) => seq), seen);
    assert.equal(page.next, null);
  });
});

Deno.test("a call is ended over the API, and has a transcript and figures after it", async () => {
  await withCall(async (kit, callId) => {
    const path = `/api/v1/calls/${callId}`;
    await sleep(systemClock, 2_000); // the agent speaks
    assert.equal((await kit.rest(`${path}/hang-up`, { method: "POST" })).status, 204);
    const { hasEnded } = await watch(kit, callId, { after: null, most: 1_000 });
    assert.ok(hasEnded);
    const again = await kit.rest(`${path}/hang-up`, { method: "POST" });
    assert.deepEqual([again.status, (await again.json()).code], [409, "conflict"]);

    const { usage, durationMs } = await (await kit.rest(path)).json();
    assert.deepEqual(
      [usage.models, usage.brokenOff.requests],
      [[], 0],
      "only its greeting was said",
    );
    assert.equal(usage.voices[0].provider, "simulated");
    assert.ok(usage.voices[0].characters > 10);
    assert.equal(usage.recognisers[0].provider, "simulated");
    assert.ok(usage.recognisers[0].ms > 1_000 && usage.recognisers[0].ms <= durationMs + 200);

    const transcript = await (await kit.rest(`${path}/transcript`)).json();
    assert.equal(transcript.turns[0].speaker, "agent");
    assert.notEqual(transcript.turns[0].startedAt, null);
    const text = await kit.rest(`${path}/transcript`, { headers: { Accept: "text/plain" } });
    assert.match(text.headers.get("content-type") ?? "", /^text\/plain/);
    assert.match(await text.text(), /^\[0:0\d\] Agent: Bright/);
    assert.match(await (await kit.rest(`${path}/transcript?format=text`)).text(), /Agent: Bright/);

    let analysis = null;
    while (analysis === null) {
      analysis = (await (await kit.rest(`${path}/analysis`)).json()).analysis;
      await sleep(systemClock, 100);
    }
    assert.equal(analysis.reason, "stopped");
    assert.equal(analysis.turns.agent, 1);
    assert.ok(analysis.speechMs.agent > 0);
  });
});
