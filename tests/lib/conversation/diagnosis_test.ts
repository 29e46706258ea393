/** Why calls were silent. */

import assert from "node:assert/strict";
import { diagnose, type Diagnosis } from "@/lib/conversation/diagnosis.ts";

const at = new Date("2026-01-05T09:00:00Z");
const leg = ["leg_started", { epoch: 1 }] as const;
const agent = ["agent_said", { text: "Hello." }] as const;
const unheard = ["agent_said", { text: "", unheard: "Hello." }] as const;
const caller = ["caller_said", { text: "Hi." }] as const;
const failed = (part: string, code = "provider_failed") => ["failed", { part, code }] as const;

const ROWS: readonly [
  what: string,
  events: readonly (readonly [string, unknown])[],
  Diagnosis | null,
][] = [
  ["both were heard", [leg, agent, caller], null],
  ["both were heard, whatever failed", [leg, agent, caller, failed("speaker")], null],
  ["the carrier never brought its audio", [["call_started", {}]], "no_media"],
  ["it broke before a word", [leg, ["leg_lost", { epoch: 1 }]], "media_lost"],
  [
    "no mark came back",
    [leg, unheard, failed("speaker", "unknown_outcome")],
    "carrier_not_playing",
  ],
  ["the voice failed", [leg, failed("speaker")], "voice_failed"],
  ["the model failed", [leg, caller, failed("model")], "model_failed"],
  ["the model had nothing to say", [leg, caller], "model_silent"],
  ["the recogniser failed", [leg, agent, failed("listener")], "recogniser_failed"],
  ["the caller said nothing", [leg, agent], "caller_silent"],
];

Deno.test("a silent call is given its reason", () => {
  for (const [what, events, expected] of ROWS) {
    const recorded = events.map(([type, payload]) => ({ type, payload, at }));
    assert.equal(diagnose(recorded, true), expected, what);
  }
  assert.equal(diagnose([{ type: "call_started", payload: {}, at }], false), null);
});
