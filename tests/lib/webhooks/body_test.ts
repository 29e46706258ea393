/** Bodies of webhooks: their shape, their order, and their bound. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { hexBody, standardBody, type WebhookEvent } from "@/lib/webhooks/body.ts";

const API = "https://voice.example.com/api/v1";
const CALL = "call_0198f3c2-1b2c-7def-8123-000000000003";

function event(payload: WebhookEvent["payload"]): WebhookEvent {
  return { id: "event_1", type: "call.ended", payload, at: new Date("2026-01-05T09:00:00Z") };
}

Deno.test("a standard body is the type, the time of the event and its data", () => {
  assert.equal(
    standardBody(event({ callId: CALL, b: 1, a: 2 }), API),
    `{"type":"call.ended","timestamp":"2026-01-05T09:00:00.000Z","data":{"callId":"${CALL}","b":1,"a":2}}`,
  );
});

Deno.test("a hex body is compact, with keys sorted at every depth", () => {
  assert.equal(
    hexBody(event({ b: { d: [{ z: 1, y: null }], c: "é" }, a: 2 }), API),
    '{"data":{"a":2,"b":{"c":"é","d":[{"y":null,"z":1}]}},"event":"call.ended","timestamp":"2026-01-05T09:00:00.000Z"}',
  );
});

Deno.test("an event that is too long becomes its short facts and where the whole is read", () => {
  const long = event({
    callId: CALL,
    outcome: "answered",
    variables: { note: "x".repeat(30_000) },
  });
  const data = { callId: CALL, outcome: "answered", isCut: true, url: `${API}/calls/${CALL}` };
  assert.deepEqual(JSON.parse(standardBody(long, API)).data, data);
  assert.deepEqual(JSON.parse(hexBody(long, API)).data, data);
});

Deno.test("no body is as long as 20 kB, whatever has happened", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 3_000 });
  const payload = fc.dictionary(fc.string({ maxLength: 40 }), fc.oneof(text, fc.array(text)), {
    maxKeys: 400,
    size: "max",
  });
  fc.assert(
    fc.property(payload, (data) => {
      for (const write of [standardBody, hexBody]) {
        const body = write(event(data), API);
        assert.ok(new TextEncoder().encode(body).length < 20_000);
        JSON.parse(body);
      }
    }),
    { numRuns: 100 },
  );
});
