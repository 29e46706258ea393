/** Who has answered is judged by first words and beeps, and what follows goes by the agent's settings. */

import assert from "node:assert/strict";
import {
  type Answering,
  type AnsweringEvent,
  newAnswering,
  REVISE_MS,
  takeAnswering,
} from "@/actors/call/answering.ts";

const rules = {
  settings: {
    onVoicemail: "leave_message",
    message: "Call us back.",
    purpose: "Your order is ready.",
    onIvr: "hang_up",
  },
  language: "en",
} as const;

const VOICEMAIL = "Please leave a message after the tone.";
const talking: Answering = { phase: "talking", until: 5_000, hasBeeped: false };
const awaiting: Answering = { phase: "awaitingBeep", until: 0, hasBeeped: false };

function spoke(text: string, beganAt: number): AnsweringEvent {
  return { type: "spoke", text, beganAt, at: beganAt + 500 };
}

const ROWS: readonly [
  what: string,
  before: Answering,
  event: AnsweringEvent,
  phase: Answering["phase"],
  by: string | null,
  step: string | null,
][] = [
  ["a person", newAnswering, spoke("Hello?", 1_000), "talking", "human", null],
  ["a voicemail", newAnswering, spoke(VOICEMAIL, 0), "awaitingBeep", "voicemail", "awaitBeep"],
  [
    "a voicemail that has beeped",
    { ...newAnswering, hasBeeped: true },
    spoke(VOICEMAIL, 0),
    "over",
    "voicemail",
    "leaveMessage",
  ],
  ["a late greeting", talking, spoke(VOICEMAIL, 5_001), "talking", null, null],
  ["a second greeting", talking, spoke(VOICEMAIL, 5_000), "awaitingBeep", "voicemail", "awaitBeep"],
  ["a person goes on", talking, spoke("Who is this?", 4_000), "talking", null, null],
  ["a greeting goes on", awaiting, spoke("or call again", 0), "awaitingBeep", null, "awaitBeep"],
  [
    "a menu",
    newAnswering,
    spoke("Please listen carefully to our menu options.", 0),
    "over",
    "ivr",
    "hangUp",
  ],
  [
    "an assistant",
    newAnswering,
    spoke("Please state your name and why you are calling.", 0),
    "screened",
    "screening",
    "sayPurpose",
  ],
  [
    "a sound of the line",
    newAnswering,
    { type: "beeped", isQuiet: true, at: 0 },
    "listening",
    null,
    null,
  ],
  [
    "the beep",
    awaiting,
    { type: "beeped", isQuiet: true, at: 0 },
    "over",
    null,
    "leaveMessage",
  ],
  ["no beep", awaiting, { type: "beepDue", isQuiet: true }, "over", null, "leaveMessage"],
  [
    "no beep, and somebody speaks",
    awaiting,
    { type: "beepDue", isQuiet: false },
    "awaitingBeep",
    null,
    "waitOn",
  ],
  ["nobody", newAnswering, { type: "greeted", at: 0 }, "talking", "unknown", null],
  ["all is known", { ...talking, phase: "over" }, spoke(VOICEMAIL, 0), "over", null, null],
];

for (const [what, before, event, phase, by, step] of ROWS) {
  Deno.test(`who has answered: ${what}`, () => {
    const verdict = takeAnswering(before, event, rules);
    assert.deepEqual([verdict.answering.phase, verdict.by, verdict.step], [phase, by, step]);
  });
}

Deno.test("what a person says first may be revised for a while", () => {
  const { answering } = takeAnswering(newAnswering, spoke("Hello?", 1_000), rules);
  assert.equal(answering.until, 1_500 + REVISE_MS);
});
