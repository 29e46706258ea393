/** Masks: enough to tell two keys apart, and never more than a quarter. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { mask, masked } from "@/lib/credentials.ts";

Deno.test("a mask shows the last four, and what all keys of a provider begin with", () => {
  const rows = [
    ["sk-proj-0123456789abcdef0123f3a9", "sk-…f3a9"],
    ["sk_0123456789abcdef0123456789abf3a9", "sk_…f3a9"],
    ["0123456789abcdef0123456789abcdef", "…cdef"],
    ["sk-0123456789abcdef0", "…def0"], // a prefix as well would be more than a quarter
    ["12345678", "…78"],
    ["123", "…"],
  ] as const;
  for (const [secret, shown] of rows) assert.equal(mask(secret), shown);
});

Deno.test("a mask never shows more than a quarter of a secret, nor is it one", () => {
  fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 80 }), (secret) => {
    assert.ok((mask(secret).length - 1) * 4 <= secret.length);
    assert.notEqual(mask(secret), secret.replace("…", ""));
  }));
});

Deno.test("what is no secret is shown as it is", () => {
  const values = { accountSid: "AC0123456789abcdef0123456789abcdef", authToken: "f".repeat(32) };
  assert.deepEqual(masked("twilio", values), { ...values, authToken: "…ffff" });
  const eleven = { apiKey: "f".repeat(32), voice: "abc" };
  assert.deepEqual(masked("elevenlabs", eleven), { apiKey: "…ffff", voice: "abc" });
});
