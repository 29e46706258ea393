/** Live control over REST: a call over real sockets is told what to say and to know, and handed over. */

import assert from "node:assert/strict";
import { listEvents } from "@/db/events.ts";
import { DEMO_NUMBER, DEMO_TENANT_ID } from "@/db/demo.ts";
import type { Database } from "@/db/client.ts";
import { systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { type ServerKit, serverKit } from "@/tests/support/server.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall, FakeCallOptions } from "@/tests/support/twilio_call.ts";

const { open } = await testDatabase();

interface Live {
  readonly phoned: FakeCall;
  readonly callId: string;
  /** POST to the call; its status. */
  post(path: string, body?: unknown): Promise<number>;
  /** Resolves once the call's events have one of this kind; they are asked for until then. */
  events(): Promise<readonly { readonly type: string; readonly payload: unknown }[]>;
}

async function withCall(
  options: Pick<FakeCallOptions, "dialed">,
  test: (live: Live, kit: ServerKit) => Promise<void>,
): Promise<void> {
  const database: Database = await open();
  const kit = await serverKit({ database, env: {} });
  try {
    const phoned = await placeInbound({
      webhookUrl: `${kit.url}/twilio/voice`,
      publicUrl: kit.url,
      authToken: kit.carrierToken,
      from: "+15550199000",
      to: DEMO_NUMBER,
      clock: systemClock,
      twilio: kit.twilio,
      ...options,
    });
    const opened = phoned.log.find((it) => it.type === "streamOpened");
    const callId = new URL(opened?.type === "streamOpened" ? opened.url : "").pathname
      .split("/")[3] ?? "";
    await test({
      phoned,
      callId,
      async post(path, body) {
        const response = await kit.rest(`/api/v1/calls/${callId}/${path}`, {
          method: "POST",
          ...(body === undefined ? {} : {
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          }),
        });
        await response.body?.cancel();
        return response.status;
      },
      events: () =>
        database.asTenant(
          "rest",
          DEMO_TENANT_ID,
          5_000,
          (sql) => listEvents(sql, DEMO_TENANT_ID, callId, { after: 0, limit: 1_000 }),
        ),
    }, kit);
  } finally {
    await kit.close();
    await database.close();
  }
}

Deno.test("a caller is handed over: the agent says so, the carrier dials, and the call is on record as transferred", async () => {
  await withCall({}, async ({ phoned, callId, post, events }, kit) => {
    assert.equal(await post("context", { text: "They want a dentist." }), 204);
    assert.equal(await post("transfer", { to: "+15550100001", sentence: "I connect you." }), 204);
    const { reason } = await phoned.ended;
    assert.equal(reason, "hung up by TwiML");
    assert.deepEqual(phoned.log.flatMap((it) => it.type === "dialed" ? [it.to] : []), [
      "+15550100001",
    ]);
    const heard = phoned.streams.flatMap((it) => playedWords(it).map(({ text }) => text)).join(" ");
    assert.match(heard, /I connect you\.$/);
    await (await kit.rest(`/api/v1/calls/${callId}/stream`)).text(); // it ends when the end is stored
    const call = await (await kit.rest(`/api/v1/calls/${callId}`)).json();
    assert.deepEqual([call.status, call.outcome, call.reason], [
      "ended",
      "answered",
      "transferred",
    ]);
    const commands = (await events()).filter(({ type }) => type === "controlled");
    assert.equal(commands.length, 2);
    assert.equal(await post("say", { text: "Too late." }), 409);
  });
});

Deno.test("a colleague hears a live call over a socket that their ticket opens once, and takes the agent's place", async () => {
  await withCall({}, async ({ phoned, callId, post, events }, kit) => {
    const answer = await kit.rest(`/api/v1/calls/${callId}/listen-tickets`, { method: "POST" });
    assert.equal(answer.status, 201);
    const { ticket, url } = await answer.json();
    const path = new URL(url).pathname;
    const open = (shown: string): WebSocket => {
      const socket = new WebSocket(`${kit.url.replace(/^http/, "ws")}${path}`, [
        "ringmaster.listen.v1",
        `ticket.${shown}`,
      ]);
      socket.binaryType = "arraybuffer";
      return socket;
    };
    const closeOf = (socket: WebSocket): Promise<number> =>
      new Promise((resolve) => socket.onclose = ({ code }) => resolve(code));

    const page = open(ticket);
    const sides = new Set<number>();
    const told: string[] = [];
    const { promise: isTaken, resolve: taken } = Promise.withResolvers<void>();
    const { promise: areHeard, resolve: heard } = Promise.withResolvers<void>();
    page.onmessage = ({ data }) => {
      if (typeof data === "string") {
        told.push(JSON.parse(data).type);
        if (told.at(-1) === "taken") taken();
        return;
      }
      sides.add(new Uint8Array(data)[0] ?? 2);
      if (sides.size === 2) heard(); // the caller's silence is sound as well
    };
    await areHeard;
    assert.deepEqual([...sides].sort(), [0, 1]);
    page.send('{"type":"take"}');
    await isTaken;
    assert.equal(await closeOf(open(ticket)), 4403); // it was used
    page.close();
    assert.equal(await closeOf(open("x".repeat(43))), 4403);
    phoned.hangUp();
    await (await kit.rest(`/api/v1/calls/${callId}/stream`)).text();
    const trail = (await events()).filter(({ type }) => /^(listen|takeover)_/.test(type));
    assert.deepEqual(trail.map(({ type }) => type), [
      ...["listen_started", "takeover_started", "takeover_ended", "listen_ended"],
    ]);
    assert.match(JSON.stringify(trail[0]?.payload), /"by":"(key|person|root)/);
    assert.equal(await post("listen-tickets"), 409);
  });
});

Deno.test("a caller who cannot be handed over is told so", async () => {
  await withCall({ dialed: "busy" }, async ({ phoned, post }) => {
    assert.equal(await post("transfer", { to: "+15550100001" }), 204);
    await phoned.ended;
    assert.match(
      phoned.log.flatMap((it) => it.type === "said" ? [it.sentence] : []).join(" "),
      /nobody could be reached/,
    );
  });
});
