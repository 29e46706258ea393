/** Twilio's webhooks: what is asked of the actors, what the carrier is answered, what is refused. */

import assert from "node:assert/strict";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { lineOf } from "@/lib/workflow/phrases.ts";
import { AGAIN_MAX, RING_AGAIN_MAX, SENTENCES } from "@/routes/twilio.ts";
import { parseTwiml } from "@/tests/support/twilio_document.ts";
import { AGENT, AUTH_TOKEN, CALL, type Fakes, PUBLIC_URL, setUp, TENANT } from "./fakes.ts";

const SID = "CA0123456789abcdef0123456789abcdef";
const FORM = {
  AccountSid: "AC1",
  ApiVersion: "2010-04-01",
  CallSid: SID,
  CallStatus: "ringing",
  Direction: "inbound",
  From: "+15550199",
  To: "+15550100",
};
/** What the gate says of the number's tenant, and that the house's account rings. */
const BY_HOUSE = { account: "house", configVersion: 7, whenFull: "busy" } as const;
const CONNECT = {
  type: "connect",
  callId: CALL,
  mediaPath: `/media/n1/${CALL}/1/secret-path-token`,
  token: "secret-token",
  resumePath: `/twilio/calls/${CALL}/resume`,
} as const;

async function post(
  app: Fakes["app"],
  path: string,
  form: Record<string, string> = FORM,
  options: { readonly signedAs?: string; readonly token?: string } = {},
): Promise<{ status: number; type: string; body: string }> {
  const body = new URLSearchParams(form);
  const { signedAs = PUBLIC_URL + path, token = AUTH_TOKEN } = options;
  const response = await app.request(`http://127.0.0.1:8000${path}`, {
    method: "POST",
    body,
    headers: { "X-Twilio-Signature": signatureOf(token, signedAs, body), "X-Request-Id": "r1" },
  });
  const type = response.headers.get("content-type") ?? "";
  return { status: response.status, type, body: await response.text() };
}

Deno.test("voice webhook connects a call to its media socket", async () => {
  const { app, sent, logged } = setUp({ answer: CONNECT });
  const { status, type, body } = await post(app, "/twilio/voice");
  assert.deepEqual([status, type], [200, "text/xml; charset=utf-8"]);
  assert.deepEqual(parseTwiml(body), [
    {
      type: "Connect",
      actionUrl: `${PUBLIC_URL}/twilio/calls/${CALL}/resume`,
      streamUrl: `wss://voice.example.com/media/n1/${CALL}/1/secret-path-token`,
      parameters: { token: "secret-token" },
    },
    { type: "Redirect", url: `${PUBLIC_URL}/twilio/calls/${CALL}/resume` },
  ]);
  const ring = { from: FORM.From, to: FORM.To, carrierCallId: SID, agentId: AGENT, ...BY_HOUSE };
  assert.deepEqual(sent, [{ tenantId: TENANT, type: "ring", ring }]);
  assert.deepEqual(logged, []);
});

Deno.test("the agent that a signed URL names wins over the number's", async () => {
  const { app, sent } = setUp({ answer: CONNECT });
  const agentId = AGENT.replace(/2$/, "9");
  await post(app, `/twilio/voice?agentId=${agentId}`);
  const ring = { from: FORM.From, to: FORM.To, carrierCallId: SID, agentId, ...BY_HOUSE };
  assert.deepEqual(sent, [{ tenantId: TENANT, type: "ring", ring }]);
});

Deno.test("voice webhook takes a caller without a number", async () => {
  for (const From of ["anonymous", "sip:ann@example.com", "client:ann", "+266696687"]) {
    const { app } = setUp({ answer: CONNECT });
    assert.equal((await post(app, "/twilio/voice", { ...FORM, From })).status, 200);
  }
});

Deno.test("each answer of the desk is said in TwiML", async () => {
  const rows = [
    [{ type: "busy" }, "voice", [{ type: "Reject", reason: "busy" }]],
    [{ type: "busy" }, `calls/${CALL}/resume`, [
      { type: "Say", sentence: SENTENCES.busy },
      { type: "Hangup" },
    ]],
    [{ type: "hangUp" }, "voice", [{ type: "Hangup" }]],
    [{ type: "refused", sentence: "No <one> & co." }, "voice", [
      { type: "Say", sentence: "No <one> & co." },
      { type: "Hangup" },
    ]],
  ] as const;
  for (const [answer, path, verbs] of rows) {
    const { app } = setUp({ answer });
    assert.deepEqual(parseTwiml((await post(app, `/twilio/${path}`)).body), verbs);
  }
});

Deno.test("resume asks the desk what now, for the tenant whose number it is", async () => {
  const { app, sent } = setUp({ answer: CONNECT });
  const { body } = await post(app, `/twilio/calls/${CALL}/resume`);
  assert.equal(parseTwiml(body)[0]?.type, "Connect");
  assert.deepEqual(sent, [{ tenantId: TENANT, type: "resume", callId: CALL, carrierCallId: SID }]);
});

Deno.test("a call that goes on is asked for again when there is no answer, and not for ever", async () => {
  const path = `/twilio/calls/${CALL}/resume`;
  const late = new AppError("unknown_outcome", "No answer in time");
  const { app, logged } = setUp({ answer: late });
  const { body } = await post(app, path);
  assert.deepEqual(parseTwiml(body), [
    { type: "Pause", seconds: 1 },
    { type: "Redirect", url: `${PUBLIC_URL}${path}?again=1` },
  ]);
  assert.match(JSON.stringify(logged), /its carrier asks again/);
  const next = await post(app, `${path}?again=${AGAIN_MAX - 1}`);
  assert.deepEqual(parseTwiml(next.body).at(-1), {
    type: "Redirect",
    url: `${PUBLIC_URL}${path}?again=${AGAIN_MAX}`,
  });
  const last = await post(app, `${path}?again=${AGAIN_MAX}`);
  assert.deepEqual(parseTwiml(last.body), [
    { type: "Say", sentence: SENTENCES.failed },
    { type: "Hangup" },
  ]);
  const gone = setUp({ answer: new AppError("actor_stopped", "It went") });
  const ended = await post(gone.app, path);
  assert.deepEqual(parseTwiml(ended.body).at(-1), { type: "Hangup" });
  assert.equal((await post(app, `${path}?again=x`)).status, 400);
});

Deno.test("one that rings is asked for again as well, without a sound: it is not answered yet", async () => {
  const { app } = setUp({ owner: new AppError("database_unavailable", "Away") });
  const { body } = await post(app, `/twilio/voice?agentId=${AGENT}`);
  const url = `${PUBLIC_URL}/twilio/voice?agentId=${AGENT}&again=1`;
  assert.deepEqual(parseTwiml(body), [{ type: "Redirect", url }]);
});

Deno.test("a relay that ends since the caller has hung up ends the call", async () => {
  const { app, sent } = setUp({ answer: CONNECT });
  const path = `/twilio/calls/${CALL}/resume`;
  const over = { ...FORM, SessionId: "VX1", CallStatus: "completed" };
  const { body } = await post(app, path, over);
  assert.deepEqual(parseTwiml(body), [{ type: "Hangup" }]);
  const report = { progress: "completed", at: null };
  const told = { tenantId: TENANT, type: "progressed", callId: CALL, carrierCallId: SID, report };
  assert.deepEqual(sent, [told]);
  const { body: again } = await post(app, path, { ...over, CallStatus: "in-progress" });
  assert.equal(parseTwiml(again)[0]?.type, "Connect");
});

Deno.test("status tells the desk, with and without a call of ours in the path", async () => {
  const rows = [
    ["/twilio/status", "completed", null, "completed"],
    [`/twilio/calls/${CALL}/status`, "no-answer", CALL, "no_answer"],
  ] as const;
  for (const [path, CallStatus, callId, progress] of rows) {
    const { app, sent } = setUp();
    const Timestamp = "Mon, 05 Jan 2026 09:00:00 +0000";
    const { status, body } = await post(app, path, { ...FORM, CallStatus, Timestamp });
    assert.deepEqual([status, body], [204, ""]);
    const report = { progress, at: new Date("2026-01-05T09:00:00Z") };
    assert.deepEqual(sent, [
      { tenantId: TENANT, type: "progressed", callId, carrierCallId: SID, report },
    ]);
    await post(app, path, { ...FORM, CallStatus, Timestamp: "yesterday" });
    assert.deepEqual(sent[1]?.report, { progress, at: null });
  }
});

Deno.test("the tenant is the owner of our number: the one called, or the one we call from", async () => {
  const rows = [["inbound", FORM.To], ["outbound-api", FORM.From]] as const;
  for (const [Direction, ours] of rows) {
    const { app, asked } = setUp({ answer: CONNECT });
    await post(app, "/twilio/voice", { ...FORM, Direction });
    assert.deepEqual(asked, [ours]);
  }
});

Deno.test("a wrong field is a problem that names it, and is logged once", async () => {
  const rows: [string, Record<string, string>, string][] = [
    ["/twilio/voice", { ...FORM, CallSid: "" }, "CallSid"],
    ["/twilio/voice", { ...FORM, CallSid: `${SID}0` }, "CallSid"],
    ["/twilio/voice", { CallSid: SID, To: FORM.To }, "From"],
    ["/twilio/voice", { CallSid: SID, From: FORM.From }, "To"],
    ["/twilio/voice", { ...FORM, To: "1".repeat(257) }, "To"],
    ["/twilio/voice?agentId=agent_1", FORM, "agentId"],
    ["/twilio/voice?surprise=1", FORM, "surprise"],
    ["/twilio/calls/call_1/resume", FORM, "callId"],
    ["/twilio/status", { ...FORM, CallStatus: "melted" }, "CallStatus"],
    ["/twilio/calls/1/status", { ...FORM, CallStatus: "completed" }, "callId"],
  ];
  for (const [path, form, field] of rows) {
    const { app, sent, logged } = setUp();
    const { status, type, body } = await post(app, path, form);
    assert.deepEqual([status, type], [400, "application/problem+json"], path);
    const problem = JSON.parse(body);
    assert.deepEqual([problem.code, problem.field, problem.requestId], ["invalid", field, "r1"]);
    assert.equal(sent.length, 0);
    assert.deepEqual(logged.map(({ field, requestId }) => [field, requestId]), [[field, "r1"]]);
  }
});

Deno.test("a webhook that Twilio did not sign touches nothing", async () => {
  const rows = [
    { token: "another" },
    { signedAs: `${PUBLIC_URL}/twilio/status` },
    { signedAs: "https://evil.example.com/twilio/voice" },
    { signedAs: `${PUBLIC_URL}/twilio/voice?agentId=${AGENT}` },
  ];
  for (const options of rows) {
    const { app, sent, logged } = setUp();
    const { status, body } = await post(app, "/twilio/voice", FORM, options);
    assert.equal(status, 403);
    assert.equal(JSON.parse(body).code, "forbidden");
    assert.deepEqual([sent.length, logged.length], [0, 1]);
  }
  const { app } = setUp();
  const unsigned = await app.request("/twilio/voice", {
    method: "POST",
    body: new URLSearchParams(FORM),
  });
  assert.equal(unsigned.status, 403);
});

Deno.test("a caller hears a sentence when nobody can be reached, and the reason is logged once", async () => {
  const failing = (code: ErrorCode, field?: string): AppError =>
    new AppError(code, "No", field === undefined ? {} : { field });
  const rows: [Parameters<typeof setUp>[0], string, string | undefined][] = [
    [{ owner: null }, SENTENCES.unknownNumber, "not_found"],
    [{ answer: failing("not_found", "agentId") }, SENTENCES.unknownAgent, "not_found"],
    [{ answer: failing("not_configured") }, SENTENCES.notConfigured, "not_configured"],
    [{ answer: failing("busy") }, SENTENCES.busy, "busy"],
    [{ answer: failing("draining") }, SENTENCES.busy, "draining"],
    [{ answer: failing("mailbox_full") }, SENTENCES.busy, "mailbox_full"],
    [{ answer: failing("unknown_outcome") }, SENTENCES.failed, "unknown_outcome"],
    [{ owner: failing("unknown_outcome") }, SENTENCES.failed, "unknown_outcome"],
    [{ owner: failing("database_unavailable") }, SENTENCES.failed, "database_unavailable"],
    [{ answer: new Error("A bug") }, SENTENCES.failed, undefined],
    [{ deps: { twilioAuthToken: null } }, SENTENCES.notConfigured, "not_configured"],
  ];
  for (const [answers, sentence, code] of rows) {
    const { app, logged } = setUp(answers);
    const { status, body } = await post(app, `/twilio/voice?again=${RING_AGAIN_MAX}`);
    assert.equal(status, 200);
    assert.deepEqual(parseTwiml(body), [{ type: "Say", sentence }, { type: "Hangup" }]);
    assert.deepEqual(logged.map((line) => line["code"]), [code]);
  }
});

Deno.test("the actors are given one and a half seconds, both together", async () => {
  const deadlines: (number | undefined)[] = [];
  const { app, clock } = setUp({
    deps: {
      gate: {
        kind: "gate",
        id: "gate",
        send: () => true,
        ask(_, options) {
          deadlines.push(options?.deadline);
          return Promise.reject(new AppError("unknown_outcome", "Late"));
        },
      },
    },
  });
  await clock.advance(1000);
  await post(app, "/twilio/voice");
  assert.deepEqual(deadlines, [2500]);
});

Deno.test("a webhook of a tenant's own account is verified by the gate, as it came", async () => {
  const owner = { tenantId: TENANT, agentId: AGENT, configVersion: 9, whenFull: "busy" } as const;
  const { app, sent, shown, asked } = setUp({ answer: CONNECT, webhook: { owner } });
  const path = `/twilio/${TENANT}/voice`;
  const { status, body } = await post(app, path, FORM, { token: "theirs" });
  assert.equal(status, 200);
  assert.equal(parseTwiml(body)[0]?.type, "Connect");
  const form = new URLSearchParams(FORM);
  assert.deepEqual(shown, [{
    tenantId: TENANT,
    number: FORM.To,
    url: PUBLIC_URL + path,
    signature: signatureOf("theirs", PUBLIC_URL + path, form),
    body: form.toString(),
  }]);
  assert.deepEqual(asked, []); // the gate has told whose the number is
  const account = { account: "tenant", configVersion: 9, whenFull: "busy" };
  const ring = { from: FORM.From, to: FORM.To, carrierCallId: SID, agentId: AGENT, ...account };
  assert.deepEqual(sent, [{ tenantId: TENANT, type: "ring", ring }]);
});

Deno.test("a caller who waits is told their place when it is news, and asks again with the time they came", async () => {
  const place = { sinceMs: 1_000, position: 2, isTold: true, language: "en" };
  const waiting = { type: "wait", mayBeCalledBack: false, ...place } as const;
  const first = setUp({ answer: waiting });
  const path = `/twilio/voice?agentId=${AGENT}`;
  const again = `${PUBLIC_URL}${path}&waitingSince=1000&language=en`;
  assert.deepEqual(parseTwiml((await post(first.app, path)).body), [
    { type: "Say", sentence: lineOf("en").place(2) },
    { type: "Pause", seconds: 4 },
    { type: "Redirect", url: again },
  ]);
  const second = setUp({
    answer: { ...waiting, isTold: false },
    deps: { refusesCaller: () => true }, // which is asked of who rings, not of who waits
  });
  const verbs = parseTwiml((await post(second.app, `${path}&waitingSince=1000&language=en`)).body);
  assert.deepEqual(verbs, [{ type: "Pause", seconds: 4 }, { type: "Redirect", url: again }]);
  assert.equal(Object(second.sent[0]?.ring).waitingSinceMs, 1_000);
  assert.equal(parseTwiml((await post(second.app, path)).body)[0]?.type, "Reject");
});

Deno.test("a caller who may be called back is offered it, and is when they press 1", async () => {
  const owner = {
    tenantId: TENANT,
    agentId: AGENT,
    configVersion: 7,
    whenFull: "callback",
  } as const;
  const place = { sinceMs: 1_000, position: 1, language: "de-AT" };
  const waiting = { type: "wait", mayBeCalledBack: true, ...place } as const;
  const path = "/twilio/voice?waitingSince=1000&language=de-AT";
  const url = PUBLIC_URL + path;
  const { voice, next, callBackOffered, callBackWanted } = lineOf("de");
  const first = setUp({ owner, answer: { ...waiting, isTold: true } });
  assert.deepEqual(parseTwiml((await post(first.app, "/twilio/voice")).body), [
    {
      ...{ type: "Gather", seconds: 4, actionUrl: url },
      ...{ voice, sentence: `${next} ${callBackOffered}` },
    },
    { type: "Redirect", url },
  ]);
  const asked: string[] = [];
  const second = setUp({
    owner,
    desk(message) {
      asked.push(message.type);
      if (message.type === "callBack") message.reply();
      if (message.type === "ring") message.reply({ ...waiting, isTold: false });
    },
  });
  const [silent] = parseTwiml((await post(second.app, path)).body);
  assert.equal(silent?.type === "Gather" && silent.sentence, null);
  await post(second.app, path, { ...FORM, Digits: "2" });
  const wanted = parseTwiml((await post(second.app, path, { ...FORM, Digits: "1" })).body);
  assert.deepEqual(wanted, [
    { type: "Say", sentence: callBackWanted, voice },
    { type: "Hangup" },
  ]);
  assert.deepEqual(asked, ["ring", "ring", "callBack"]);
});

Deno.test("a caller who has waited is told in words that no line came free", async () => {
  const { app } = setUp({ answer: { type: "busy" } });
  const { body } = await post(app, "/twilio/voice?waitingSince=1000");
  assert.deepEqual(parseTwiml(body), [
    { type: "Say", sentence: SENTENCES.busy },
    { type: "Hangup" },
  ]);
  const german = await post(app, "/twilio/voice?waitingSince=1000&language=de");
  const { busy: sentence, voice } = lineOf("de");
  assert.deepEqual(parseTwiml(german.body)[0], { type: "Say", sentence, voice });
  for (const query of ["waitingSince=soon", "waitingSince=1&language=%3C"]) {
    assert.equal((await post(app, `/twilio/voice?${query}`)).status, 400);
  }
});

Deno.test("resume and status of a tenant's own account go to that tenant", async () => {
  const owner = { tenantId: TENANT, agentId: AGENT, configVersion: 9, whenFull: "busy" } as const;
  const { app, sent, shown } = setUp({ answer: CONNECT, webhook: { owner } });
  const outbound = { ...FORM, Direction: "outbound-api", CallStatus: "completed" };
  const of = `/twilio/${TENANT}`;
  await post(app, `${of}/calls/${CALL}/resume`, outbound);
  await post(app, `${of}/calls/${CALL}/status`, outbound);
  await post(app, `${of}/status`, outbound);
  const report = { progress: "completed", at: null };
  const progress = { type: "progressed", carrierCallId: SID, report };
  assert.deepEqual(sent, [
    { tenantId: TENANT, type: "resume", callId: CALL, carrierCallId: SID },
    { tenantId: TENANT, ...progress, callId: CALL },
    { tenantId: TENANT, ...progress, callId: null },
  ]);
  assert.deepEqual(shown.map(({ number }) => number), [FORM.From, FORM.From, FORM.From]);
});

Deno.test("what the gate refuses of a tenant's path touches nothing, whatever the house would say", async () => {
  for (const token of [AUTH_TOKEN, "another"]) {
    const { app, sent, asked } = setUp();
    const ofCall = ["resume", "status", "answered-by"].map((it) => `calls/${CALL}/${it}`);
    for (const path of ["voice", "status", ...ofCall]) {
      const form = { ...FORM, CallStatus: "completed", AnsweredBy: "human" };
      const { status, body } = await post(app, `/twilio/${TENANT}/${path}`, form, { token });
      assert.equal(status, 403);
      assert.equal(JSON.parse(body).code, "forbidden");
    }
    assert.deepEqual([sent, asked], [[], []]);
  }
});

Deno.test("a number that is not the tenant's is nobody's, however well it is signed", async () => {
  const { app, sent } = setUp({ webhook: { owner: null } });
  const { body } = await post(app, `/twilio/${TENANT}/voice`);
  assert.deepEqual(parseTwiml(body), [
    { type: "Say", sentence: SENTENCES.unknownNumber },
    { type: "Hangup" },
  ]);
  assert.deepEqual(sent, []);
});

Deno.test("a company whose access is off has no number in service", async () => {
  const { app } = setUp({ answer: new AppError("tenant_suspended", "Off") });
  const { status, body } = await post(app, "/twilio/voice");
  assert.equal(status, 200);
  assert.deepEqual(parseTwiml(body)[0], { type: "Say", sentence: SENTENCES.unknownNumber });
});

Deno.test("a webhook over the size limit is refused", async () => {
  const { app, sent } = setUp();
  const { status } = await post(app, "/twilio/voice", { ...FORM, Big: "x".repeat(1024 * 1024) });
  assert.equal(status, 413);
  const fields = Object.fromEntries(Array.from({ length: 201 }, (_, index) => [`f${index}`, ""]));
  assert.equal((await post(app, "/twilio/voice", { ...FORM, ...fields })).status, 413);
  assert.equal(sent.length, 0);
});

Deno.test("who has answered, as the carrier judges it, is told to the desk of the call's tenant", async () => {
  const told = {
    type: "carrierJudged",
    callId: CALL,
    carrierCallId: SID,
    by: "machine_end_beep",
  };
  // Twilio's callback names neither number.
  const form = {
    AccountSid: "AC1",
    CallSid: SID,
    AnsweredBy: told.by,
    MachineDetectionDuration: "9",
  };
  const house = setUp({});
  const path = `/twilio/calls/${CALL}/answered-by?tenantId=${TENANT}`;
  assert.equal((await post(house.app, path, form)).status, 204);
  assert.equal((await post(house.app, path, form)).status, 204, "told twice");
  assert.deepEqual(house.sent, [{ tenantId: TENANT, ...told }, { tenantId: TENANT, ...told }]);

  const own = setUp({ webhook: { owner: null } });
  assert.equal(
    (await post(own.app, `/twilio/${TENANT}/calls/${CALL}/answered-by`, form)).status,
    204,
  );
  assert.deepEqual(own.sent, [{ tenantId: TENANT, ...told }]);
});

Deno.test("who has answered is not taken unsigned, signed by another, or in words that are not Twilio's", async () => {
  const form = { AccountSid: "AC1", CallSid: SID, AnsweredBy: "human" };
  const path = `/twilio/calls/${CALL}/answered-by?tenantId=${TENANT}`;
  const { app, sent } = setUp({});
  const other = `/twilio/calls/${CALL}/answered-by?tenantId=${TENANT.replace(/.$/, "9")}`;
  const rows = [
    [403, path, form, { token: "another" }],
    [403, path, form, { signedAs: PUBLIC_URL + other }], // signed for another tenant's call
    [400, path, { ...form, AnsweredBy: "robot" }, {}],
    [400, path, { ...form, CallSid: "CA1" }, {}],
    [400, `/twilio/calls/${CALL}/answered-by`, form, {}],
    [400, `/twilio/calls/${CALL}/answered-by?tenantId=x`, form, {}],
    [400, `/twilio/calls/x/answered-by?tenantId=${TENANT}`, form, {}],
  ] as const;
  for (const [status, path, form, options] of rows) {
    assert.equal((await post(app, path, form, options)).status, status);
  }
  assert.deepEqual(sent, []);
});
