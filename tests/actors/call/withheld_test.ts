/** What is kept nowhere: the words and keys of sensitive nodes, and their numbers ever after. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import {
  hiddenVariables,
  isSensitive,
  keptVariables,
  learnSecrets,
  tellsSecret,
  withhold,
} from "@/actors/call/withheld.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";

const CARD = "4111111111111111";
const NOTHING = { isHere: false, hidden: new Set<string>(), secrets: [] };

const graph: Graph = parseGraph({
  ...structuredClone(demoAgent),
  nodes: demoAgent.nodes.map((it) => it.id === "patient" ? { ...it, isSensitive: true } : it),
});
const hidden = hiddenVariables(graph);

const callerSaid = (text: string): CallEvent => ({ type: "caller_said", turn: 1, text });
const agentSaid = (text: string, unheard = ""): CallEvent => ({
  ...{ type: "agent_said", turn: 2, text, unheard, bargedIn: unheard !== "" },
  ...{ gapMs: null, parts: null },
});

Deno.test("a node says whether it is sensitive, and its variables are hidden", () => {
  assert.deepEqual(["welcome", "patient", "booked"].map((id) => isSensitive(graph, id)), [
    ...[false, true, false],
  ]);
  assert.deepEqual([...hidden], ["patient", "firstVisit"]);
});

Deno.test("where nothing is sensitive, an event is kept as it is", () => {
  for (const event of [callerSaid(CARD), agentSaid(CARD, CARD)]) {
    assert.deepEqual(withhold(event, NOTHING), event);
  }
});

const HERE: readonly (readonly [CallEvent, Partial<CallEvent>])[] = [
  [callerSaid(CARD), { text: "(not kept)" }],
  [{ type: "caller_signalled", text: "mhm" }, { text: "(not kept)" }],
  [{ type: "caller_heard", text: CARD }, { text: "(not kept)" }],
  [{ type: "speech_given", turn: 2, text: CARD, isOpen: true }, { text: "(not kept)" }],
  [{ type: "leg_lost", epoch: 1, unsaid: CARD, brokeOff: null }, { unsaid: "(not kept)" }],
  [agentSaid("I have four one one one"), { text: "(not kept)", unheard: "" }],
  [agentSaid("", CARD), { text: "", unheard: "(not kept)" }],
  [{ type: "dtmf_pressed", digit: "4" }, { digit: "•" }],
  [
    {
      type: "tool_called",
      call: { id: "1", name: "pay", arguments: `{"n":"${CARD}"}` },
      output: CARD,
    },
    { call: { id: "1", name: "pay", arguments: "{}" }, output: "(not kept)" },
  ],
];

for (const [event, kept] of HERE) {
  Deno.test(`at a sensitive node a ${event.type} is kept without what was said`, () => {
    const found = withhold(event, { ...NOTHING, isHere: true });
    assert.deepEqual(found, { ...event, ...kept });
  });
}

Deno.test("hidden variables are kept nowhere, whichever node moves on", () => {
  const workflow = {
    ...{ node: "slot", transitions: 1, turnCalls: 0, outcome: null },
    variables: { patient: "Maria Lopez", reason: "toothache" },
  };
  const kept = withhold({ type: "workflow_moved", workflow }, { ...NOTHING, hidden });
  assert(kept.type === "workflow_moved");
  assert.deepEqual(kept.workflow.variables, { patient: "(not kept)", reason: "toothache" });
});

Deno.test("numbers that were said there are masked later, in whole and in parts, and no others", () => {
  const secrets = learnSecrets([], callerSaid("It is 4111 1111-1111 1111, code 737."), hidden);
  assert.deepEqual(secrets, [CARD, "737"]);
  for (const text of ["4111 1111", "4111-1111-1111-1111", CARD, `x${CARD}y`]) {
    assert(tellsSecret(text, secrets), text);
  }
  for (const text of ["2026", "half past 9", "+15550100100", "41", ""]) {
    assert(!tellsSecret(text, secrets), text);
  }
  const later = withhold(agentSaid(`Paid with ${CARD}, in 2026.`), { ...NOTHING, secrets });
  assert(later.type === "agent_said");
  assert.equal(later.text, `Paid with ${"•".repeat(16)}, in 2026.`);
});

Deno.test("a function's arguments and hidden variables teach secrets too", () => {
  const call = { id: "1", name: "pay", arguments: '{"code":"737"}' };
  const told = learnSecrets([], { type: "tool_called", call, output: "" }, hidden);
  assert.deepEqual(told, ["737"]);
  assert.deepEqual(keptVariables({ note: "code 737", day: 7 }, { hidden, secrets: told }), {
    note: "code •••",
    day: 7,
  });
});
