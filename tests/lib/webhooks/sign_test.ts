/** Signatures as a receiver verifies them, with the library that Standard Webhooks publishes. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { systemClock } from "@/lib/clock.ts";
import {
  hexHeaders,
  isWebhookSecret,
  newWebhookSecret,
  standardHeaders,
} from "@/lib/webhooks/sign.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** Signed now: the library compares the timestamp with the machine's clock. */
function signedNow(secrets: readonly string[], ageMs = 0) {
  const at = new Date(systemClock.date().getTime() - ageMs);
  const body = '{"type":"call.ended","data":{}}';
  return { body, headers: standardHeaders({ id: "event_1", at, body }, secrets) };
}

Deno.test("the published vector of Standard Webhooks comes out", () => {
  const at = new Date(1_614_265_330_000);
  const body = '{"test": 2432232314}';
  const headers = standardHeaders({ id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body }, [SECRET]);
  assert.deepEqual(headers, {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

Deno.test("a receiver takes what was signed, and refuses what was changed or is old", () => {
  const { body, headers } = signedNow([SECRET]);
  const receiver = new Webhook(SECRET);
  assert.deepEqual(receiver.verify(body, headers), { type: "call.ended", data: {} });
  assert.throws(() => receiver.verify(body.replace("ended", "begun"), headers));
  assert.throws(() => receiver.verify(body, { ...headers, "webhook-id": "event_2" }));
  assert.throws(() => new Webhook(newWebhookSecret()).verify(body, headers));
  const old = signedNow([SECRET], 10 * 60_000);
  assert.throws(() => receiver.verify(old.body, old.headers), /too old/);
});

Deno.test("during a rotation a receiver with either secret takes it", () => {
  const other = newWebhookSecret();
  const { body, headers } = signedNow([other, SECRET]);
  assert.equal(headers["webhook-signature"]?.split(" ").length, 2);
  for (const secret of [SECRET, other]) new Webhook(secret).verify(body, headers);
});

Deno.test("a secret is whsec_ and the base64 of 24 to 64 bytes", () => {
  const ofBytes = (count: number): string => `whsec_${new Uint8Array(count).toBase64()}`;
  assert.ok(isWebhookSecret(newWebhookSecret()));
  assert.notEqual(newWebhookSecret(), newWebhookSecret());
  for (const count of [24, 64]) assert.ok(isWebhookSecret(ofBytes(count)), String(count));
  for (const count of [0, 23, 65]) assert.ok(!isWebhookSecret(ofBytes(count)), String(count));
  for (const text of ["", SECRET.slice(6), "whsec_***"]) assert.ok(!isWebhookSecret(text), text);
});

Deno.test("the hex mode signs the body alone, under the secret's text", () => {
  const body = '{"data":{},"event":"call.ended","timestamp":"2026-01-05T09:00:00.000Z"}';
  assert.deepEqual(hexHeaders({ id: "event_1", body }, { secret: SECRET, type: "call.ended" }), {
    "webhook-id": "event_1",
    "x-pabbly-event": "call.ended",
    "x-pabbly-signature": createHmac("sha256", SECRET).update(body).digest("hex"),
  });
});
