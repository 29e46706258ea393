/** Turn-taking: every cell of its table, and what must hold after any sequence of events. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  deadlineOf,
  takeTurn,
  type Turn,
  type TurnAction,
  type TurnEvent,
  type TurnLimits,
} from "@/actors/call/turns.ts";

const LIMITS: TurnLimits = { idleMs: 8_000, bargeInWords: 2 };

const quiet: Turn = { floor: "quiet", prompts: 1 };
const caller: Turn = { floor: "caller", text: "" };
const callerSaid: Turn = { floor: "caller", text: "I need" };
const thinking: Turn = { floor: "thinking" };
const agent: Turn = { floor: "agent", prompts: 1, text: "" };
const agentTold: Turn = { floor: "agent", prompts: 1, text: "yes" };
const closing: Turn = { floor: "closing" };
const FLOORS = { quiet, caller, callerSaid, thinking, agent, agentTold, closing };

const QUIET: Turn = { floor: "quiet", prompts: 0 };

type Cell = readonly [Turn, TurnAction?] | "same";
type Row = { readonly [F in keyof typeof FLOORS]: Cell };

const TABLE: Readonly<Record<string, { readonly event: TurnEvent; readonly cells: Row }>> = {
  "an interim of one word": {
    event: { type: "interim", text: "so" },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      thinking: [caller, { type: "withdraw" }],
      agent: "same",
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }], // the second word
      closing: "same",
    },
  },
  "an interim of two words": {
    event: { type: "interim", text: "so what" },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      thinking: [caller, { type: "withdraw" }],
      agent: [caller, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "an interim without words": {
    event: { type: "interim", text: " " },
    cells: all("same"),
  },
  "a final of one word": {
    event: { type: "final", text: "so" },
    cells: {
      quiet: [{ floor: "caller", text: "so" }],
      caller: [{ floor: "caller", text: "so" }],
      callerSaid: [{ floor: "caller", text: "I need so" }],
      thinking: [{ floor: "caller", text: "so" }, { type: "withdraw" }],
      agent: [{ ...agent, text: "so" }],
      agentTold: [{ floor: "caller", text: "yes so" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "a final of two words": {
    event: { type: "final", text: "so what" },
    cells: {
      quiet: [{ floor: "caller", text: "so what" }],
      caller: [{ floor: "caller", text: "so what" }],
      callerSaid: [{ floor: "caller", text: "I need so what" }],
      thinking: [{ floor: "caller", text: "so what" }, { type: "withdraw" }],
      agent: [{ floor: "caller", text: "so what" }, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes so what" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "a final without words": {
    event: { type: "final", text: "" },
    cells: all("same"),
  },
  "the end of an utterance": {
    event: { type: "utteranceEnded" },
    cells: {
      ...all("same"),
      caller: [QUIET, { type: "noWords" }],
      callerSaid: [thinking, { type: "reply", text: "I need" }],
    },
  },
  "speech given": {
    event: { type: "speechGiven", last: false },
    cells: {
      quiet: [agent],
      caller: "same",
      callerSaid: "same",
      thinking: [{ floor: "agent", prompts: 0, text: "" }],
      agent: [agent],
      agentTold: [agentTold],
      closing: "same",
    },
  },
  "last words given": {
    event: { type: "speechGiven", last: true },
    cells: { ...all([closing]), closing: "same" },
  },
  "a mark": {
    event: { type: "speechProgressed" },
    cells: { ...all("same"), agent: [agent], agentTold: [agentTold], closing: [closing] },
  },
  "the end of all speech": {
    event: { type: "speechEnded" },
    cells: {
      ...all("same"),
      agent: [quiet],
      agentTold: [thinking, { type: "reply", text: "yes" }],
      closing: [closing, { type: "hangUp" }],
    },
  },
  "a question to the model": {
    event: { type: "replyAsked" },
    cells: { ...all("same"), quiet: [thinking] },
  },
  "an empty reply": {
    event: { type: "replyEmpty" },
    cells: { ...all("same"), thinking: [QUIET] },
  },
  "a deadline": {
    event: { type: "deadlinePassed" },
    cells: {
      quiet: [{ floor: "quiet", prompts: 2 }, { type: "promptIdle", prompts: 1 }],
      caller: [QUIET, { type: "noWords" }],
      callerSaid: [thinking, { type: "reply", text: "I need" }],
      thinking: [QUIET, { type: "apologise" }],
      agent: [quiet, { type: "cutShort" }],
      agentTold: [{ floor: "caller", text: "yes" }, { type: "cutShort" }],
      closing: [closing, { type: "hangUp" }],
    },
  },
};

function all(cell: Cell): Row {
  return {
    quiet: cell,
    caller: cell,
    callerSaid: cell,
    thinking: cell,
    agent: cell,
    agentTold: cell,
    closing: cell,
  };
}

for (const [name, { event, cells }] of Object.entries(TABLE)) {
  Deno.test(`a turn takes ${name} on every floor`, () => {
    for (const [floor, before] of Object.entries(FLOORS)) {
      // Both objects have the same keys.
      const cell = cells[floor as keyof typeof FLOORS];
      const [after, action] = takeTurn(before, event, LIMITS);
      if (cell === "same") {
        assert.equal(after, before, `${floor}: the very same turn, so that its deadline runs on`);
        assert.equal(action, undefined, floor);
        continue;
      }
      assert.deepEqual([after, action], [cell[0], cell[1]], floor);
      if (action?.type !== "hangUp") assert.notEqual(after, before, `${floor}: a new deadline`);
    }
  });
}

Deno.test("a turn table has every event and every floor", () => {
  const types: Record<TurnEvent["type"], true> = {
    interim: true,
    final: true,
    utteranceEnded: true,
    speechGiven: true,
    speechProgressed: true,
    speechEnded: true,
    replyAsked: true,
    replyEmpty: true,
    deadlinePassed: true,
  };
  const rows = new Set(Object.values(TABLE).map(({ event }) => event.type));
  assert.deepEqual([...rows].sort(), Object.keys(types).sort());
  const floors: Record<Turn["floor"], true> = {
    quiet: true,
    caller: true,
    thinking: true,
    agent: true,
    closing: true,
  };
  assert.deepEqual(
    [...new Set(Object.values(FLOORS).map(({ floor }) => floor))].sort(),
    Object.keys(floors).sort(),
  );
});

const words = fc.integer({ min: 0, max: 3 }).map((count) => Array(count).fill("word").join(" "));
const events = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("interim" as const), text: words }),
    fc.record({ type: fc.constant("final" as const), text: words }),
    fc.record({
      type: fc.constant("speechGiven" as const),
      last: fc.integer({ min: 0, max: 19 }).map((roll) => roll === 0),
    }),
    fc.constantFrom<TurnEvent>(
      { type: "utteranceEnded" },
      { type: "speechProgressed" },
      { type: "speechEnded" },
      { type: "replyAsked" },
      { type: "replyEmpty" },
      { type: "deadlinePassed" },
    ),
  ),
  { maxLength: 60 },
);
const limits = fc.record({
  idleMs: fc.integer({ min: 1_000, max: 60_000 }),
  bargeInWords: fc.integer({ min: 1, max: 3 }),
});
const RUNS = { seed: 2, numRuns: 2_000 };

/** Every step of a history: the turn before, the event, the turn after and what it asked for. */
function play(history: readonly TurnEvent[], given: TurnLimits) {
  let turn: Turn = QUIET;
  return history.map((event) => {
    const before = turn;
    const [after, action] = takeTurn(before, event, given);
    turn = after;
    return { before, event, after, action };
  });
}

Deno.test("a turn has a finite deadline on every floor, whatever happened", () => {
  fc.assert(
    fc.property(events, limits, (history, given) => {
      for (const { after } of play(history, given)) {
        const ms = deadlineOf(after, given);
        assert.ok(ms > 0 && ms <= 60_000);
      }
    }),
    RUNS,
  );
});

Deno.test("a turn comes to a quiet floor or a hang-up by deadlines alone, in three steps at most", () => {
  fc.assert(
    fc.property(events, limits, (history, given) => {
      let turn = play(history, given).at(-1)?.after ?? QUIET;
      for (let steps = 0; turn.floor !== "quiet"; steps++) {
        assert.ok(steps < 3, `still ${turn.floor}`);
        const [after, action] = takeTurn(turn, { type: "deadlinePassed" }, given);
        if (action?.type === "hangUp") return;
        turn = after;
      }
    }),
    RUNS,
  );
});

Deno.test("a turn that is closing only ever hangs up", () => {
  fc.assert(
    fc.property(events, limits, (history, given) => {
      for (const { before, after, action } of play(history, given)) {
        if (before.floor !== "closing") continue;
        assert.equal(after.floor, "closing");
        assert.ok(action === undefined || action.type === "hangUp");
      }
    }),
    RUNS,
  );
});

Deno.test("a turn is ended by the end of its own utterance, and by no late one", () => {
  fc.assert(
    fc.property(events, limits, (history, given) => {
      for (const { before, event, after, action } of play(history, given)) {
        if (event.type !== "utteranceEnded" || before.floor === "caller") continue;
        assert.equal(after, before);
        assert.equal(action, undefined);
      }
    }),
    RUNS,
  );
});

Deno.test("a turn loses no word of the caller, and tells none twice", () => {
  fc.assert(
    fc.property(events, limits, (history, given) => {
      const said: string[] = [];
      const replied: string[] = [];
      let turn: Turn = QUIET;
      const numbered = history.map((event, at): TurnEvent =>
        event.type === "final" ? { ...event, text: event.text.replaceAll("word", `w${at}`) } : event
      );
      for (const event of numbered) {
        if (turn.floor !== "closing" && event.type === "final") said.push(event.text);
        const [after, action] = takeTurn(turn, event, given);
        turn = after;
        if (action?.type === "reply") replied.push(action.text);
        if (after.floor === "closing") return; // what was pending goes with the call
      }
      for (let step = 0; step < 3; step++) {
        const [after, action] = takeTurn(turn, { type: "deadlinePassed" }, given);
        turn = after;
        if (action?.type === "reply") replied.push(action.text);
      }
      assert.equal(replied.join(" "), said.filter((text) => text !== "").join(" "));
    }),
    RUNS,
  );
});
