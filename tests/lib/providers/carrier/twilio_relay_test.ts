/** ConversationRelay's wire: what is read, what is refused, what is sent. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import { twilioRelay } from "@/lib/providers/carrier/twilio_relay.ts";

const SETUP = {
  type: "setup",
  sessionId: `VX${"0".repeat(32)}`,
  accountSid: `AC${"0".repeat(32)}`,
  callSid: `CA${"0".repeat(32)}`,
  from: "+15550199000",
  customParameters: { token: "t" },
};

function setUp() {
  const protocol = twilioRelay();
  const read = (message: unknown) => protocol.parse(JSON.stringify(message));
  read(SETUP);
  return { protocol, read };
}

Deno.test("a relay's messages are read", () => {
  const { read } = setUp();
  const rows = [
    [{ type: "prompt", voicePrompt: "Hello", lang: "en-US", last: false }, {
      type: "typed",
      text: "Hello",
      isFinal: false,
    }],
    [{ type: "prompt", voicePrompt: "Hello", lang: "en-US" }, {
      type: "typed",
      text: "Hello",
      isFinal: true,
    }],
    [{ type: "dtmf", digit: "#" }, { type: "dtmf", digit: "#" }],
    [{ type: "interrupt", utteranceUntilInterrupt: "Good", durationUntilInterruptMs: "460" }, {
      type: "relayed",
      event: { type: "interrupted", heard: "Good" },
    }],
    [{ type: "info", name: "agentSpeaking", value: "on", ts: 1 }, {
      type: "relayed",
      event: { type: "speaking", isSpeaking: true },
    }],
    [{ type: "info", name: "tokensPlayed", value: "Good " }, {
      type: "relayed",
      event: { type: "played", text: "Good " },
    }],
    [{ type: "info", name: "clientSpeaking", value: "on" }, { type: "connected" }],
    [{ type: "error", description: "Bad" }, { type: "faulted" }],
  ] as const;
  for (const [message, event] of rows) assert.deepEqual(read(message), event);
});

Deno.test("what is not of the protocol is refused, without its words", () => {
  const { read, protocol } = setUp();
  const bad = [
    SETUP,
    { type: "prompt", voicePrompt: 7 },
    { type: "prompt", voicePrompt: "secret".repeat(5_000) },
    { type: "dtmf", digit: "12" },
    { type: "melted" },
  ];
  for (const message of bad) {
    assert.throws(() => read(message), (error) => {
      assert(error instanceof AppError && error.code === "invalid");
      return !error.message.includes("secret");
    });
  }
  assert.throws(() => protocol.parse("{"), AppError);
  assert.throws(() => twilioRelay().parse(JSON.stringify({ type: "dtmf", digit: "1" })), AppError);
});

Deno.test("what a relay is told is of its schema", () => {
  const { relay, audio } = twilioRelay();
  const part = { text: "Hello ", isLast: false, isInterruptible: false };
  assert.deepEqual(JSON.parse(relay.say(part)), {
    type: "text",
    token: "Hello ",
    last: false,
    interruptible: false,
    preemptible: true,
  });
  assert.deepEqual(JSON.parse(relay.press("1w#A")), { type: "sendDigits", digits: "1w#" });
  assert.deepEqual(JSON.parse(relay.language("de-DE")), {
    type: "language",
    ttsLanguage: "de-DE",
    transcriptionLanguage: "de-DE",
  });
  assert.deepEqual(JSON.parse(relay.end("transferred")), {
    type: "end",
    handoffData: JSON.stringify({ reasonCode: "transferred" }),
  });
  assert.throws(() => audio(new Uint8Array(160)));
});
