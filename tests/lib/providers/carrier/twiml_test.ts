/** TwiML documents: their exact text, and that nothing can break out of it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { twiml } from "@/lib/providers/carrier/twiml.ts";
import { parseTwiml } from "@/tests/support/twilio_document.ts";

const HEAD = `<?xml version="1.0" encoding="UTF-8"?>`;

Deno.test("TwiML connects a stream with its parameters, and redirects when it has ended", () => {
  const text = twiml(
    {
      type: "connect",
      actionUrl: "https://voice.example.com/twilio/calls/call_1/resume",
      streamUrl: "wss://voice.example.com/media/n1/call_1/1/path",
      parameters: { token: "t-1_Z" },
    },
    { type: "redirect", url: "https://voice.example.com/twilio/calls/call_1/resume" },
  );
  assert.equal(
    text,
    `${HEAD}<Response><Connect action="https://voice.example.com/twilio/calls/call_1/resume">` +
      `<Stream url="wss://voice.example.com/media/n1/call_1/1/path">` +
      `<Parameter name="token" value="t-1_Z"/></Stream></Connect>` +
      `<Redirect>https://voice.example.com/twilio/calls/call_1/resume</Redirect></Response>`,
  );
});

Deno.test("TwiML hands a call to a relay as it is set up", () => {
  const relay = {
    language: "en-GB",
    voice: "a & b",
    ttsProvider: "Google",
    transcriptionProvider: null,
    speechModel: null,
    hints: ["Zahnstein", "Bright Smile"],
    isInterruptible: true,
    ignoresBackchannels: false,
  };
  const urls = { actionUrl: "https://a.example/r", streamUrl: "wss://a.example/m" };
  const text = twiml({ type: "connect", ...urls, parameters: { token: "t" }, relay });
  assert.equal(
    text,
    `${HEAD}<Response><Connect action="https://a.example/r">` +
      `<ConversationRelay url="wss://a.example/m" language="en-GB" ttsProvider="Google" ` +
      `voice="a &amp; b" hints="Zahnstein,Bright Smile" interruptible="speech" ` +
      `ignoreBackchannel="false" preemptible="true" partialPrompts="true" dtmfDetection="true" ` +
      `events="speaker-events tokens-played"><Parameter name="token" value="t"/>` +
      `</ConversationRelay></Connect></Response>`,
  );
  assert.equal(parseTwiml(text)[0]?.type, "Connect");
  const deaf = { ...relay, isInterruptible: false, hints: [] };
  const quiet = twiml({ type: "connect", ...urls, parameters: {}, relay: deaf });
  assert.match(quiet, /interruptible="none"/);
  assert.doesNotMatch(quiet, /hints/);
});

Deno.test("TwiML refuses, speaks and hangs up", () => {
  assert.equal(
    twiml({ type: "rejectBusy" }),
    `${HEAD}<Response><Reject reason="busy"/></Response>`,
  );
  assert.equal(
    twiml({ type: "say", sentence: "Sorry." }, { type: "hangUp" }),
    `${HEAD}<Response><Say>Sorry.</Say><Hangup/></Response>`,
  );
  assert.equal(
    twiml({ type: "say", sentence: "Bitte warten.", voice: "de-DE" }),
    `${HEAD}<Response><Say language="de-DE">Bitte warten.</Say></Response>`,
  );
  assert.equal(twiml(), `${HEAD}<Response></Response>`);
});

Deno.test("TwiML carries any text whole, but for what XML cannot carry", () => {
  // deno-lint-ignore no-control-regex
  const unfit = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;
  fc.assert(fc.property(fc.string({ unit: "binary" }), (sentence) => {
    const [verb, ...others] = parseTwiml(twiml({ type: "say", sentence }));
    assert.deepEqual(others, []);
    assert.deepEqual(verb, { type: "Say", sentence: sentence.replace(unfit, "") });
  }));
});

Deno.test("TwiML carries any parameter whole", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), fc.string(), (name, value) => {
    fc.pre(name !== "__proto__");
    const parameters = { [name]: value };
    const urls = { actionUrl: "https://a.example/?a=1&b=2", streamUrl: "wss://a.example/m" };
    const [verb] = parseTwiml(twiml({ type: "connect", ...urls, parameters }));
    assert.deepEqual(verb, { type: "Connect", ...urls, parameters });
  }));
});
