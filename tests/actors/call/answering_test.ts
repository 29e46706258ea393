/** Who has answered is judged by first words and beeps, and what follows goes by the agent's settings. */

import assert from "node:assert/strict";
import {
  type Answering,
  type AnsweringEvent,
  newAnswering,
  REVISE_MS,
  takeAnswering,
} from "@/actors/call/answering.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";

const rules = {
  settings: {
    onVoicemail: "leave_message",
    message: "Call us back.",
    purpose: "Your order is ready.",
    onIvr: "hang_up",
    detector: "own",
    carrierTimeoutMs: 30_000,
  },
  language: "en",
} as const;

const VOICEMAIL = "Please leave a message after the tone.";
const talking: Answering = { ...newAnswering, phase: "talking", until: 5_000 };
const awaiting: Answering = { ...newAnswering, phase: "awaitingBeep" };

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

const both = { ...rules, settings: { ...rules.settings, detector: "both" } } as const;
const only = { ...rules, settings: { ...rules.settings, detector: "carrier" } } as const;

function detected(by: CarrierAnswerer, isQuiet = true): AnsweringEvent {
  return { type: "detected", by, isQuiet, at: 3_000 };
}

const screened: Answering = { ...newAnswering, phase: "screened" };
const DETECTED: readonly [
  what: string,
  of: typeof both | typeof only | typeof rules,
  before: Answering,
  event: AnsweringEvent,
  phase: Answering["phase"],
  by: string | null,
  step: string | null,
][] = [
  [
    "a person is greeted at once",
    both,
    newAnswering,
    detected("human"),
    "talking",
    "human",
    "greet",
  ],
  [
    "who still speaks is not",
    only,
    newAnswering,
    detected("human", false),
    "listening",
    null,
    null,
  ],
  ["words wait for it", only, newAnswering, spoke("Hello?", 0), "listening", null, "listen"],
  [
    "and are answered behind it",
    only,
    { ...newAnswering, detected: "human" },
    spoke("Hello?", 0),
    "talking",
    "human",
    null,
  ],
  [
    "a machine",
    only,
    newAnswering,
    detected("machine_start"),
    "awaitingBeep",
    "voicemail",
    "awaitBeep",
  ],
  [
    "a machine whose words tell which",
    both,
    newAnswering,
    detected("machine_start", false),
    "listening",
    null,
    null,
  ],
  [
    "its words tell nothing",
    both,
    { ...newAnswering, detected: "machine_start" },
    spoke("Hi, this is Peter.", 0),
    "awaitingBeep",
    "voicemail",
    "awaitBeep",
  ],
  [
    "its words are a menu's",
    both,
    { ...newAnswering, detected: "machine_start" },
    spoke("For sales, press one. For support, press two.", 0),
    "over",
    "ivr",
    "hangUp",
  ],
  [
    "its beep is a beep",
    both,
    awaiting,
    detected("machine_end_beep"),
    "over",
    null,
    "leaveMessage",
  ],
  [
    "so is its silence",
    both,
    awaiting,
    detected("machine_end_silence"),
    "over",
    null,
    "leaveMessage",
  ],
  [
    "a greeting that is over",
    only,
    newAnswering,
    detected("machine_end_other"),
    "over",
    "voicemail",
    "leaveMessage",
  ],
  [
    "taken for a person",
    both,
    talking,
    detected("machine_end_beep"),
    "over",
    "voicemail",
    "leaveMessage",
  ],
  [
    "a person for long",
    both,
    { ...talking, turns: 2 },
    detected("machine_start"),
    "talking",
    null,
    null,
  ],
  [
    "an assistant is a machine as well",
    both,
    screened,
    detected("machine_start"),
    "screened",
    null,
    null,
  ],
  ["a fax", both, newAnswering, detected("fax"), "over", "fax", "hangUp"],
  ["it does not know", only, newAnswering, detected("unknown"), "talking", "unknown", "greet"],
  ["nor do we yet", both, newAnswering, detected("unknown"), "listening", null, null],
  [
    "said twice",
    both,
    { ...talking, detected: "human" },
    detected("machine_start"),
    "talking",
    null,
    null,
  ],
  ["late", both, { ...newAnswering, phase: "over" }, detected("machine_start"), "over", null, null],
  ["not asked", rules, newAnswering, detected("machine_start"), "listening", null, null],
];

for (const [what, of, before, event, phase, by, step] of DETECTED) {
  Deno.test(`the carrier says who has answered: ${what}`, () => {
    const verdict = takeAnswering(before, event, of);
    assert.deepEqual([verdict.answering.phase, verdict.by, verdict.step], [phase, by, step]);
  });
}
