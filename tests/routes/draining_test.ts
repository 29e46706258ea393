/** New work on a machine that drains: another machine's, or refused by name; the rest is answered. */

import assert from "node:assert/strict";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import type { AppDeps } from "@/routes/deps.ts";
import { AGENT, API_KEY, AUTH_TOKEN, CALL, type Fakes, PUBLIC_URL, setUp } from "./fakes.ts";

const EDGE = { origins: [], hosts: [], clientHeader: null };
const PLACE = "/api/v1/calls";
const VOICE = "/twilio/voice";
const RESUME = `/twilio/calls/${CALL}/resume`;
const REPLAY = "elsewhere=true;timeout=5s;fallback=force_self";
const FORM = {
  ...{ AccountSid: "AC1", ApiVersion: "2010-04-01", CallSid: "CA0123456789abcdef0123456789abcdef" },
  ...{ CallStatus: "ringing", Direction: "inbound", From: "+15550199", To: "+15550100" },
};

function drainingAt(isFly: boolean, deps: Partial<AppDeps> = {}): Fakes["app"] {
  const edge = { ...EDGE, trustsFly: isFly };
  return setUp({ deps: { isDraining: () => true, edge, ...deps } }).app;
}

async function post(
  app: Fakes["app"],
  path: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const body = new URLSearchParams(FORM);
  const isCarrier = path.startsWith("/twilio");
  return await app.request(`http://127.0.0.1:8000${path}`, {
    method: "POST",
    ...(isCarrier ? { body } : {}),
    headers: {
      Host: "voice.example.com",
      Authorization: `Bearer ${API_KEY}`,
      "X-Twilio-Signature": signatureOf(AUTH_TOKEN, `${PUBLIC_URL}${path}`, body),
      ...headers,
    },
  });
}

const NEW = [
  PLACE,
  `/talk/${AGENT}/tickets`,
  `/api/v1/agents/${AGENT}/talk-tickets`,
  "/api/v1/livekit/rooms/r/agents",
];

Deno.test("elsewhere new work is refused by name, and may come again", async () => {
  const app = drainingAt(false);
  for (const path of NEW) {
    const answer = await post(app, path);
    assert.deepEqual([answer.status, (await answer.json()).code], [503, "draining"], path);
    assert.equal(answer.headers.get("retry-after"), "5");
  }
});

Deno.test("on Fly its proxy brings new work, and calls that have left, to another machine, once", async () => {
  const app = drainingAt(true);
  for (const path of [...NEW, VOICE, RESUME]) {
    const answer = await post(app, path);
    assert.deepEqual([answer.status, answer.headers.get("fly-replay")], [409, REPLAY], path);
  }
  for (const header of ["fly-replay-src", "fly-replay-failed"]) {
    const answer = await post(app, PLACE, { [header]: "instance=a" });
    assert.deepEqual([answer.status, (await answer.json()).code], [503, "draining"]);
    const ring = await post(app, VOICE, { [header]: "instance=a" });
    assert.deepEqual([ring.status, ring.headers.get("fly-replay")], [200, null]);
  }
});

Deno.test("what is under way goes on: reads, commands to calls, the carrier's other webhooks", async () => {
  const app = drainingAt(true);
  const list = await app.request(PLACE, { headers: { Authorization: "Bearer nobody's" } });
  assert.deepEqual([list.status, list.headers.get("fly-replay")], [401, null]);
  const status = await post(app, "/twilio/status");
  assert.deepEqual([status.status, status.headers.get("fly-replay")], [204, null]);
});

/** Other machines, as one sees them: what each is sent, and how it answers. */
function others(answers: Readonly<Record<string, Response | Error>>, callsHere: string[] = []) {
  const sent: { url: string; signature: string | null; body: string }[] = [];
  const deps = {
    others: {
      urls: () => Object.keys(answers),
      isHere: (callId: string) => callsHere.includes(callId),
      send: (async (input, init) => {
        const request = new Request(input as string, init);
        const signature = request.headers.get("x-twilio-signature");
        sent.push({ url: request.url, signature, body: await request.text() });
        const answer = answers[new URL(request.url).origin];
        if (answer instanceof Response) return answer.clone();
        throw answer ?? new Error("not there");
      }) satisfies typeof fetch,
    },
  };
  return { deps, sent };
}

const xml = (text: string): Response =>
  new Response(text, { headers: { "Content-Type": "text/xml; charset=utf-8" } });
const [B, C] = ["http://10.0.0.2:8000", "http://10.0.0.3:8000"];

Deno.test("a carrier that comes to a draining machine gets the answer of another one", async () => {
  const { deps, sent } = others({ [B]: xml("<Response>b</Response>") });
  const app = drainingAt(false, deps);
  for (const path of [`${VOICE}?agentId=${AGENT}`, RESUME]) {
    const answer = await post(app, path);
    assert.deepEqual([answer.status, await answer.text()], [200, "<Response>b</Response>"]);
    assert.equal(answer.headers.get("content-type"), "text/xml; charset=utf-8");
    const body = new URLSearchParams(FORM);
    const signature = signatureOf(AUTH_TOKEN, `${PUBLIC_URL}${path}`, body);
    assert.deepEqual(sent.pop(), { url: `${B}${path}`, signature, body: body.toString() });
  }
});

Deno.test("one that does not answer is passed over; where nobody does, it is answered here", async () => {
  const one = others({ [B]: new Error("lost"), [C]: xml("<Response>c</Response>") });
  assert.equal(
    await (await post(drainingAt(false, one.deps), VOICE)).text(),
    "<Response>c</Response>",
  );
  for (const answers of [{}, { [B]: new Error("lost") }]) {
    const { deps, sent } = others(answers);
    const answer = await post(drainingAt(false, deps), VOICE);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /<Response>/);
    assert.equal(sent.length, Object.keys(answers).length);
  }
});

Deno.test("a call that still lives here is asked here, and nothing is passed on twice or unsigned", async () => {
  const { deps, sent } = others({ [B]: xml("<Response>b</Response>") }, [CALL]);
  const app = drainingAt(false, deps);
  assert.notEqual(await (await post(app, RESUME)).text(), "<Response>b</Response>");
  await (await post(app, VOICE, { "X-Ringmaster-Passed-On": "1" })).body?.cancel();
  assert.equal((await post(app, VOICE, { "X-Twilio-Signature": "wrong" })).status, 403);
  assert.deepEqual(sent, []);
});
