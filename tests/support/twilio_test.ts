/** The simulated carrier lives a call as Twilio would, against a server that answers as ours does. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { isWebhookSigned } from "@/lib/providers/carrier/signature.ts";
import { twilio } from "@/lib/providers/carrier/twilio.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import { twiml, type Verb } from "@/lib/providers/carrier/twiml.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { listen } from "@/routes/server.ts";
import { type FakeTwilio, placeInbound, startTwilio } from "./twilio.ts";
import type { FakeCall, FakeCallOptions } from "./twilio_call.ts";
import { network } from "./twilio_webhooks.ts";

const PUBLIC_URL = "https://voice.example.com";
const ACCOUNT = { accountSid: `AC${"0".repeat(32)}`, authToken: "12345" };
const CONNECT: Verb = {
  type: "connect",
  actionUrl: `${PUBLIC_URL}/resume`,
  streamUrl: "wss://voice.example.com/stream",
  parameters: { token: "t" },
};

interface World extends AsyncDisposable {
  readonly api: FakeTwilio;
  /** What was asked of the server: path and CallStatus. */
  readonly asked: [string, string | null][];
  call(): Promise<FakeCall>;
}

/** A server whose TwiML for a path is given, one document after another, and that plays `serve` on a stream. */
async function setUp(
  documents: Record<string, string[]>,
  serve: (socket: MessageSocket) => void = () => {},
  callee: FakeCallOptions["callee"] = "answer",
): Promise<World> {
  const asked: World["asked"] = [];
  const server = await listen({
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      const signature = request.headers.get("x-twilio-signature") ?? "";
      const url = PUBLIC_URL + pathname;
      assert.ok(isWebhookSigned(ACCOUNT.authToken, { url, signature, body }));
      asked.push([pathname, new URLSearchParams(body).get("CallStatus")]);
      const text = documents[pathname]?.shift();
      return text === undefined ? new Response(null, { status: 404 }) : new Response(text);
    },
  }, {
    hostname: "127.0.0.1",
    port: 0,
    clock: systemClock,
    log: silentLog,
    upgrade: (request) =>
      Promise.resolve(
        request.url === "/stream"
          ? { type: "accept", opened: serve }
          : { type: "refuse", status: 403, body: "" },
      ),
  });
  const serverUrl = `http://127.0.0.1:${server.port}`;
  const api = startTwilio({
    clock: systemClock,
    ...ACCOUNT,
    reach: network(PUBLIC_URL, serverUrl),
    callee,
  });
  return {
    api,
    asked,
    call: () =>
      placeInbound({
        webhookUrl: `${serverUrl}/voice`,
        publicUrl: PUBLIC_URL,
        authToken: ACCOUNT.authToken,
        from: "+15550199",
        to: "+15550100",
        clock: systemClock,
        twilio: api,
        statusPath: "/status",
      }),
    async [Symbol.asyncDispose]() {
      await api.close();
      await server.close();
    },
  };
}

const typesOf = (call: FakeCall): string[] => call.log.map(({ type }) => type);

Deno.test("carrier says, waits and hangs up as TwiML has it", async () => {
  const text = `<Response><Say>Hi &amp; bye</Say><Pause length="0"/><Hangup/></Response>`;
  await using world = await setUp({ "/voice": [text] });
  const call = await world.call();
  assert.deepEqual(await call.ended, { by: "agent", reason: "hung up by TwiML" });
  assert.equal(call.log.find((entry) => entry.type === "said")?.sentence, "Hi & bye");
  assert.deepEqual(world.asked, [["/voice", "ringing"], ["/status", "completed"]]);
});

Deno.test("carrier follows redirects, and hangs up when TwiML has run out", async () => {
  await using world = await setUp({
    "/voice": [twiml({ type: "redirect", url: `${PUBLIC_URL}/more` }, { type: "hangUp" })],
    "/more": [twiml({ type: "say", sentence: "More" })],
  });
  const call = await world.call();
  assert.deepEqual(await call.ended, { by: "agent", reason: "TwiML has run out" });
  assert.deepEqual(typesOf(call), ["asked", "asked", "said", "ended"]);
});

Deno.test("carrier gives the busy tone for a rejected call, which was never answered", async () => {
  await using world = await setUp({ "/voice": [twiml({ type: "rejectBusy" })] });
  const call = await world.call();
  assert.equal((await call.ended).reason, "rejected: busy");
  assert.equal(call.status, "busy");
  assert.deepEqual(world.asked, [["/voice", "ringing"], ["/status", "busy"]]);
});

Deno.test("carrier ends a call whose webhook fails or answers nonsense", async () => {
  const rows: [string[], RegExp][] = [
    [[], /Webhook answered 404/],
    [["<Response><Dance/></Response>"], /TwiML holds <Dance>/],
    [["not XML <"], /XML breaks/],
  ];
  for (const [documents, reason] of rows) {
    await using world = await setUp({ "/voice": documents });
    const ending = await (await world.call()).ended;
    assert.equal(ending.by, "error");
    assert.match(ending.reason, reason);
  }
});

Deno.test("carrier opens the stream, plays what is sent, and asks the action when it has ended", async () => {
  const documents = { "/voice": [twiml(CONNECT)], "/resume": [twiml({ type: "hangUp" })] };
  await using world = await setUp(documents, (socket) => {
    const protocol = twilioMedia();
    socket.listen({
      message(text) {
        const { type } = protocol.parse(String(text));
        if (type === "started") {
          socket.send(protocol.audio(new Uint8Array(160).fill(7)));
          socket.send(protocol.mark("end"));
        } else if (type === "mark") socket.close(1000, "");
      },
      closed() {},
    });
  });
  const call = await world.call();
  assert.deepEqual(await call.ended, { by: "agent", reason: "hung up by TwiML" });
  assert.deepEqual(typesOf(call), ["asked", "streamOpened", "streamEnded", "asked", "ended"]);
  assert.equal(call.played().filter((byte) => byte === 7).length, 160);
});

Deno.test("carrier asks the action when the stream is refused", async () => {
  const lost = { ...CONNECT, streamUrl: "wss://voice.example.com/elsewhere" };
  const documents = { "/voice": [twiml(lost)], "/resume": [twiml(CONNECT)] };
  await using world = await setUp(documents);
  const call = await world.call();
  assert.deepEqual(typesOf(call), ["asked", "streamRefused", "asked", "streamOpened"]);
});

Deno.test("caller hangs up: the stream stops, and the status is told", async () => {
  await using world = await setUp({ "/voice": [twiml(CONNECT)] });
  const call = await world.call();
  call.hangUp();
  assert.deepEqual(await call.ended, { by: "caller", reason: "hung up" });
  assert.deepEqual(world.asked, [["/voice", "ringing"], ["/status", "completed"]]);
});

Deno.test("the official SDK hangs a live call up", async () => {
  await using world = await setUp({ "/voice": [twiml(CONNECT)] });
  const call = await world.call();
  const carrier = await twilio({ ...ACCOUNT, apiUrl: world.api.url });
  await carrier.hangUp(call.carrierCallId, new AbortController().signal);
  assert.deepEqual(await call.ended, { by: "agent", reason: "completed over the API" });
});

Deno.test("a call placed over the API rings, is answered, and asks for TwiML", async () => {
  const status = Array<string>(4).fill("");
  await using world = await setUp({ "/answer": [twiml({ type: "hangUp" })], "/progress": status });
  await place(world);
  await world.api.calls[0]?.ended;
  assert.deepEqual(world.asked.toSorted(), [
    ["/answer", "in-progress"],
    ["/progress", "completed"],
    ["/progress", "in-progress"],
    ["/progress", "initiated"],
    ["/progress", "ringing"],
  ]);
});

Deno.test("a call placed over the API may not be answered", async () => {
  for (const callee of ["busy", "no-answer", "failed"] as const) {
    await using world = await setUp({}, () => {}, callee);
    await place(world);
    await world.api.calls[0]?.ended;
    assert.deepEqual(world.asked, [
      ["/progress", "initiated"],
      ["/progress", "ringing"],
      ["/progress", callee],
    ]);
  }
});

async function place({ api }: World): Promise<void> {
  const carrier = await twilio({ ...ACCOUNT, apiUrl: api.url });
  await carrier.placeCall({
    to: "+15550100",
    from: "+15550199",
    answerUrl: `${PUBLIC_URL}/answer`,
    statusUrl: `${PUBLIC_URL}/progress`,
    timeLimitSeconds: 60,
  }, new AbortController().signal);
}
