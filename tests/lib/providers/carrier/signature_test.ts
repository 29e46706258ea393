/** The signature check against Twilio's own vectors and its own SDK. */

import assert from "node:assert/strict";
import fc from "fast-check";
import webhooks from "twilio/lib/webhooks/webhooks.js";
import { isSocketSigned, isWebhookSigned, signatureOf } from "@/lib/providers/carrier/signature.ts";

// From Twilio's documentation of its security, and from the SDK's own tests.
const TOKEN = "12345";
const URL_SIGNED = "https://mycompany.com/myapp.php?foo=1&bar=2";
const FORM: [string, string][] = [
  ["To", "+18005551212"],
  ["CallSid", "CA1234567890ABCDE"],
  ["Caller", "+14158675310"],
  ["Digits", "1234"],
  ["From", "+14158675310"],
];
const SIGNATURE = "GvWf1cFY/Q7PnoempGyD5oXAezc=";
const BODY = new URLSearchParams(FORM).toString();

Deno.test("signature equals the documented vector whatever the order of the form", () => {
  assert.equal(signatureOf(TOKEN, URL_SIGNED, FORM), SIGNATURE);
  assert.equal(signatureOf(TOKEN, URL_SIGNED, FORM.toReversed()), SIGNATURE);
});

Deno.test("signature of any request is the one that the SDK expects", () => {
  const name = fc.string({ minLength: 1 }).filter((text) => text !== "__proto__");
  const form = fc.dictionary(name, fc.array(fc.string({ unit: "binary" }), { minLength: 1 }));
  fc.assert(fc.property(fc.webUrl({ withQueryParameters: true }), form, (url, values) => {
    const pairs = Object.entries(values).flatMap(([name, all]) =>
      all.map((value): [string, string] => [name, value])
    );
    const expected = webhooks.getExpectedTwilioSignature(TOKEN, url, values);
    assert.equal(signatureOf(TOKEN, url, pairs), expected);
  }));
});

Deno.test("signature takes every value of a name that comes more than once", () => {
  const url = "https://mycompany.com/myapp.php";
  const body = "MessagingBinding=b&MessagingBinding=a&MessagingBinding=b";
  const signature = webhooks.getExpectedTwilioSignature(TOKEN, url, {
    MessagingBinding: ["b", "a", "b"],
  });
  assert.equal(isWebhookSigned(TOKEN, { url, signature, body }), true);
  const fewer = "MessagingBinding=b";
  assert.equal(isWebhookSigned(TOKEN, { url, signature, body: fewer }), false);
});

Deno.test("webhook is refused when one byte of URL, form, token or signature differs", () => {
  const request = { url: URL_SIGNED, signature: SIGNATURE, body: BODY };
  assert.equal(isWebhookSigned(TOKEN, request), true);
  const wrong = [
    { ...request, url: `${URL_SIGNED}3` },
    { ...request, url: URL_SIGNED.replace("https", "http") },
    { ...request, body: `${BODY}&Extra=1` },
    { ...request, body: BODY.replace("1234", "1235") },
    { ...request, body: "" },
    { ...request, signature: SIGNATURE.toLowerCase() },
    { ...request, signature: SIGNATURE.slice(1) },
    { ...request, signature: "" },
    { ...request, signature: "é".repeat(14) },
  ];
  for (const other of wrong) assert.equal(isWebhookSigned(TOKEN, other), false);
  assert.equal(isWebhookSigned("12346", request), false);
});

Deno.test("webhook is taken with and without the standard port of its URL", () => {
  const rows = [
    ["https://mycompany.com/a?b=1", "https://mycompany.com:443/a?b=1", true],
    ["https://mycompany.com:443/a?b=1", "https://mycompany.com/a?b=1", true],
    ["http://mycompany.com/a", "http://mycompany.com:80/a", true],
    ["https://mycompany.com:8443/a", "https://mycompany.com/a", true], // as the SDK: Twilio drops it at times
    ["https://mycompany.com:8443/a", "https://mycompany.com:443/a", false],
    ["https://[::1]:8443/a", "https://[::1]/a", true],
    ["https://mycompany.com/a?t=12:30", "https://mycompany.com:443/a?t=12:30", true],
  ] as const;
  for (const [url, signed, taken] of rows) {
    const signature = signatureOf(TOKEN, signed, FORM);
    assert.equal(isWebhookSigned(TOKEN, { url, signature, body: BODY }), taken, `${url} ${signed}`);
  }
});

Deno.test("webhook with a body hash is taken for exactly that body", () => {
  const body = `{"property": "value", "boolean": true}`;
  const hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
  const url = `https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=${hash}`;
  const signature = "a9nBmqA0ju/hNViExpshrM61xv4="; // the SDK's vector
  assert.equal(isWebhookSigned(TOKEN, { url, signature, body }), true);
  assert.equal(isWebhookSigned(TOKEN, { url, signature, body: `${body} ` }), false);
  const other = url.replace(hash, hash.replace("0", "1"));
  assert.equal(isWebhookSigned(TOKEN, { url: other, signature, body }), false);
});

Deno.test("media socket is taken as wss or https, with or without port and trailing slash", () => {
  const ours = "wss://voice.example.com/media/n1/call_1/1/token";
  for (const scheme of ["wss", "https"]) {
    for (const port of ["", ":443"]) {
      for (const slash of ["", "/"]) {
        const signed = `${scheme}://voice.example.com${port}/media/n1/call_1/1/token${slash}`;
        const signature = signatureOf(TOKEN, signed);
        assert.equal(isSocketSigned(TOKEN, { url: ours, signature }), true, signed);
        assert.equal(isSocketSigned(TOKEN, { url: `${ours}/`, signature }), true, signed);
      }
    }
  }
});

Deno.test("media socket of another path, host or token is refused", () => {
  const url = "wss://voice.example.com/media/n1/call_1/1/token";
  const others = [
    "wss://voice.example.com/media/n1/call_2/1/token",
    "wss://voice.example.org/media/n1/call_1/1/token",
    "ws://voice.example.com/media/n1/call_1/1/token",
    "wss://voice.example.com/media/n1/call_1/1/token//",
  ];
  for (const signed of others) {
    assert.equal(isSocketSigned(TOKEN, { url, signature: signatureOf(TOKEN, signed) }), false);
  }
  assert.equal(isSocketSigned("other", { url, signature: signatureOf(TOKEN, url) }), false);
});
