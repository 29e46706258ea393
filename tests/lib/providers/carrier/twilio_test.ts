/** The Twilio adapter: the official SDK, unchanged, against a server that speaks Twilio's API. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import type { Carrier } from "@/lib/providers/carrier/carrier.ts";
import { twilio } from "@/lib/providers/carrier/twilio.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { type FakeTwilio, newSid, startTwilio } from "@/tests/support/twilio.ts";
import type { Reach } from "@/tests/support/twilio_webhooks.ts";

const CALL = {
  to: "+15550100",
  from: "+15550199",
  answerUrl: "https://voice.example.com/twilio/calls/call_1/resume",
  statusUrl: "https://voice.example.com/twilio/calls/call_1/status",
  timeLimitSeconds: 600,
};
const forever = (): AbortSignal => new AbortController().signal;

/** A server of ours that lets the caller wait, so that a call stays as it is. */
const WAITING: Reach = {
  post: () => Promise.resolve({ status: 200, body: '<Response><Pause length="600"/></Response>' }),
  connect: () => Promise.reject(new Error("No stream is asked for")),
};

async function setUp(): Promise<{ api: FakeTwilio; carrier: Carrier } & AsyncDisposable> {
  const api = startTwilio({
    clock: manualClock(),
    accountSid: newSid("AC"),
    authToken: "secret",
    reach: WAITING,
  });
  const { accountSid, authToken } = api;
  const carrier = await twilio({ accountSid, authToken, apiUrl: api.url });
  return {
    api,
    carrier,
    [Symbol.asyncDispose]: () => api.close(),
  };
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(() => null, (error: unknown) => error);
  assert.ok(error instanceof AppError, `It was ${error}`);
  return error;
}

Deno.test("Twilio places a call with everything that was asked", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  const { carrierCallId } = await carrier.placeCall(CALL, forever());
  assert.equal(carrierCallId, api.calls[0]?.carrierCallId);
  const [request] = api.requests;
  assert.equal(request?.path, `/2010-04-01/Accounts/${api.accountSid}/Calls.json`);
  assert.match(request.userAgent, /^twilio-node\/6\.2\.0 /);
  assert.deepEqual(request.form.toSorted(), [
    ["From", CALL.from],
    ["StatusCallback", CALL.statusUrl],
    ["StatusCallbackEvent", "answered"],
    ["StatusCallbackEvent", "completed"],
    ["StatusCallbackEvent", "initiated"],
    ["StatusCallbackEvent", "ringing"],
    ["TimeLimit", "600"],
    ["To", CALL.to],
    ["Url", CALL.answerUrl],
  ]);
});

Deno.test("Twilio is asked to listen for machines beside the call, where that is wanted", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  const url = "https://voice.example.com/twilio/calls/call_1/answered-by";
  for (const [awaitsGreeting, mode] of [[true, "DetectMessageEnd"], [false, "Enable"]] as const) {
    const detection = { awaitsGreeting, timeoutSeconds: 30, url };
    await carrier.placeCall({ ...CALL, detection }, forever());
    const form = api.requests.at(-1)?.form.filter(([name]) => /Amd|Machine/.test(name));
    assert.deepEqual(form?.toSorted(), [
      ["AsyncAmd", "true"],
      ["AsyncAmdStatusCallback", url],
      ["MachineDetection", mode],
      ["MachineDetectionTimeout", "30"],
    ]);
  }
});

Deno.test("Twilio hangs a call up, and a call that has ended is no error", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  const { carrierCallId } = await carrier.placeCall(CALL, forever());
  await carrier.hangUp(carrierCallId, forever());
  assert.deepEqual(api.requests[1]?.form, [["Status", "completed"]]);
  await carrier.hangUp(carrierCallId, forever());
  await carrier.hangUp(newSid("CA"), forever());
  api.failNext({ type: "status", status: 400, code: 21220 });
  await carrier.hangUp(carrierCallId, forever());
  assert.equal(api.requests.length, 5);
});

Deno.test("Twilio has a call ask another URL while it goes on", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  const { carrierCallId } = await carrier.placeCall(CALL, forever());
  const url = "https://voice.example.com/twilio/calls/call_2/resume";
  assert.equal(await carrier.redirect?.(carrierCallId, url, forever()), true);
  assert.deepEqual(Object.fromEntries(api.requests.at(-1)?.form ?? []), {
    Url: url,
    Method: "POST",
  });
  await carrier.hangUp(carrierCallId, forever());
  assert.equal(await carrier.redirect?.(carrierCallId, url, forever()), false, "it has ended");
  assert.equal(await carrier.redirect?.(newSid("CA"), url, forever()), false, "there is none");
});

Deno.test("Twilio's refusals are told apart, and nothing is tried twice", async () => {
  const rows = [
    // status, code, may hanging up be tried again, may placing
    [401, 20003, false, false],
    [400, 21211, false, false],
    [429, 20429, true, true], // never processed
    [500, 20500, true, false], // placed or not: nobody knows
    [503, 20503, true, false],
  ] as const;
  await using setup = await setUp();
  const { api, carrier } = setup;
  for (const [status, code, hangUpRetryable, placeRetryable] of rows) {
    api.failNext({ type: "status", status, code }, { type: "status", status, code });
    const hangUp = await failure(carrier.hangUp("CA1", forever()));
    assert.equal(hangUp.message, `Cannot hang up by Twilio: status ${status}, code ${code}`);
    assert.deepEqual(
      [hangUp.code, hangUp.status, hangUp.retryable],
      ["provider_failed", status, hangUpRetryable],
    );
    const place = await failure(carrier.placeCall(CALL, forever()));
    assert.deepEqual(
      [place.code, place.status, place.retryable],
      ["provider_failed", status, placeRetryable],
    );
  }
  assert.equal(api.requests.length, rows.length * 2);
});

Deno.test("Twilio is checked with the right account", async () => {
  await using setup = await setUp();
  const { api } = setup;
  const { accountSid, url } = api;
  const carrier = await twilio({ accountSid, authToken: "wrong", apiUrl: url });
  assert.equal((await failure(carrier.placeCall(CALL, forever()))).status, 401);
});

Deno.test("garbage from Twilio is a failure of the provider", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  const faults = [
    ...[200, 201, 400, 502].map((status) => ({ type: "garbage", status } as const)),
    { type: "status", status: 201, code: 0 } as const, // JSON, but no call
  ];
  for (const fault of faults) {
    api.failNext(fault);
    assert.equal((await failure(carrier.placeCall(CALL, forever()))).code, "provider_failed");
  }
});

Deno.test("a lost connection to Twilio is a failure of the provider", async () => {
  const { api, ...setup } = await setUp();
  await setup[Symbol.asyncDispose]();
  const error = await failure(setup.carrier.hangUp("CA1", forever()));
  assert.deepEqual([error.code, error.status, error.retryable], [
    "provider_failed",
    undefined,
    true,
  ]);
  assert.equal(api.requests.length, 0);
});

Deno.test("a hanging Twilio is left when the signal aborts, with the signal's reason", async () => {
  await using setup = await setUp();
  const { api, carrier } = setup;
  api.failNext({ type: "hang" });
  const controller = new AbortController();
  const placed = carrier.placeCall(CALL, controller.signal);
  while (api.requests.length === 0) await manualClock().settle();
  const reason = new AppError("unknown_outcome", "Deadline");
  controller.abort(reason);
  assert.equal(await failure(placed), reason);
});
