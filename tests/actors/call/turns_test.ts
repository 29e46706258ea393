/** Turn-taking: every cell of its table, and what must hold after any sequence of events. */

import assert from "node:assert/strict";
import type { Sense } from "@/lib/speech/sense.ts";
import fc from "fast-check";
import {
  deadlineOf,
  takeTurn,
  type Turn,
  type TurnAction,
  type TurnEvent,
  type TurnRules,
  UNHEARD_MS,
} from "@/actors/call/turns.ts";

const BARGE_IN = { isAllowed: true, words: 2, speechMs: 0, bySound: false };
const RULES: TurnRules = { idleMs: 8_000, bargeIn: BARGE_IN, fillerMs: 2_000, fillersMax: 1 };

const quiet: Turn = { floor: "quiet", prompts: 1 };
const unheard: Turn = { floor: "quiet", prompts: 0, isUnheard: true };
const SAY_UNHEARD: TurnAction = { type: "sayUnheard" };
const caller: Turn = { floor: "caller", text: "" };
const callerSaid: Turn = { floor: "caller", text: "I need" };
const pause: Turn = { floor: "pause", text: "I need", waitMs: 300, guess: "I need" };
const eager: Turn = { floor: "pause", text: "", waitMs: null, guess: "I need" };
const thinking: Turn = { floor: "thinking", fillers: 0 };
const filled: Turn = { floor: "thinking", fillers: 1 };
const agent: Turn = { floor: "agent", prompts: 1, text: "" };
const agentTold: Turn = { floor: "agent", prompts: 1, text: "yes" };
const closing: Turn = { floor: "closing" };
const FLOORS = {
  ...{ quiet, caller, callerSaid, pause, eager, thinking, filled, agent, agentTold, closing },
};

const QUIET: Turn = { floor: "quiet", prompts: 0 };

type Cell = readonly [Turn, TurnAction?] | "same";
type Row = { readonly [F in keyof typeof FLOORS]: Cell };

const FORGET: TurnAction = { type: "forget" };
const HOLD_BACK: TurnAction = { type: "holdBack" };
const WITHDRAW: TurnAction = { type: "withdraw" };
const interim = { type: "interim", sense: "words", forMs: 100 } as const;
const final = { type: "final", sense: "words" } as const;

const TABLE: Readonly<Record<string, { readonly event: TurnEvent; readonly cells: Row }>> = {
  "an interim of one word": {
    event: { ...interim, text: "so" },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      pause: [callerSaid, FORGET],
      eager: [caller, FORGET],
      thinking: [caller, HOLD_BACK],
      filled: [caller, HOLD_BACK],
      agent: "same",
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }], // the second word
      closing: "same",
    },
  },
  "an interim of two words": {
    event: { ...interim, text: "so what" },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      pause: [callerSaid, FORGET],
      eager: [caller, FORGET],
      thinking: [caller, HOLD_BACK],
      filled: [caller, HOLD_BACK],
      agent: [caller, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "an interim that tells again what was guessed": {
    event: { ...interim, text: "i need," },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      pause: [callerSaid, FORGET], // said once more
      eager: "same",
      thinking: [caller, HOLD_BACK],
      filled: [caller, HOLD_BACK],
      agent: [caller, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "an interim of listening": {
    event: { ...interim, text: "right right", sense: "backchannel" },
    cells: {
      ...all("same"),
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      pause: [callerSaid, FORGET],
      eager: [caller, FORGET],
    },
  },
  "an interim that says stop": {
    event: { ...interim, text: "wait", sense: "stop" },
    cells: {
      quiet: [caller],
      caller: [caller],
      callerSaid: [callerSaid],
      pause: [callerSaid, FORGET],
      eager: [caller, FORGET],
      thinking: [caller, HOLD_BACK],
      filled: [caller, HOLD_BACK],
      agent: [caller, { type: "bargeIn" }], // one word is enough
      agentTold: [{ floor: "caller", text: "yes" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "an interim without words": {
    event: { ...interim, text: " " },
    cells: all("same"),
  },
  "a final of one word": {
    event: { ...final, text: "so" },
    cells: {
      quiet: [{ floor: "caller", text: "so" }],
      caller: [{ floor: "caller", text: "so" }, WITHDRAW],
      callerSaid: [{ floor: "caller", text: "I need so" }, WITHDRAW],
      pause: [{ floor: "caller", text: "I need so" }, FORGET],
      eager: [{ floor: "caller", text: "so" }, FORGET],
      thinking: [{ floor: "caller", text: "so" }, WITHDRAW],
      filled: [{ floor: "caller", text: "so" }, WITHDRAW],
      agent: [{ ...agent, text: "so" }],
      agentTold: [{ floor: "caller", text: "yes so" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "a final of two words": {
    event: { ...final, text: "so what" },
    cells: {
      quiet: [{ floor: "caller", text: "so what" }],
      caller: [{ floor: "caller", text: "so what" }, WITHDRAW],
      callerSaid: [{ floor: "caller", text: "I need so what" }, WITHDRAW],
      pause: [{ floor: "caller", text: "I need so what" }, FORGET],
      eager: [{ floor: "caller", text: "so what" }, FORGET],
      thinking: [{ floor: "caller", text: "so what" }, WITHDRAW],
      filled: [{ floor: "caller", text: "so what" }, WITHDRAW],
      agent: [{ floor: "caller", text: "so what" }, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes so what" }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "a final that was guessed": {
    event: { ...final, text: "I need." },
    cells: {
      quiet: [{ floor: "caller", text: "I need." }],
      caller: [{ floor: "caller", text: "I need." }, WITHDRAW],
      callerSaid: [{ floor: "caller", text: "I need I need." }, WITHDRAW],
      pause: [{ floor: "caller", text: "I need I need." }, FORGET],
      eager: [{ ...eager, text: "I need." }],
      thinking: [{ floor: "caller", text: "I need." }, WITHDRAW],
      filled: [{ floor: "caller", text: "I need." }, WITHDRAW],
      agent: [{ floor: "caller", text: "I need." }, { type: "bargeIn" }],
      agentTold: [{ floor: "caller", text: "yes I need." }, { type: "bargeIn" }],
      closing: "same",
    },
  },
  "a final of listening": {
    event: { ...final, text: "mm-hm", sense: "backchannel" },
    cells: {
      quiet: [{ floor: "caller", text: "mm-hm" }], // an answer
      caller: [{ floor: "caller", text: "mm-hm" }, WITHDRAW],
      callerSaid: [{ floor: "caller", text: "I need mm-hm" }, WITHDRAW],
      pause: [{ floor: "caller", text: "I need mm-hm" }, FORGET],
      eager: [{ floor: "caller", text: "mm-hm" }, FORGET],
      thinking: [thinking, { type: "backchannel", text: "mm-hm" }],
      filled: [filled, { type: "backchannel", text: "mm-hm" }],
      agent: [agent, { type: "backchannel", text: "mm-hm" }],
      agentTold: [agentTold, { type: "backchannel", text: "mm-hm" }],
      closing: "same",
    },
  },
  "a final without words": {
    event: { ...final, text: "" },
    cells: all("same"),
  },
  "a sound": { // by words alone the agent is barged in on
    event: { type: "sounded", forMs: 1_000 },
    cells: { ...all("same"), caller: [caller], callerSaid: [callerSaid] },
  },
  "the end of an utterance": {
    event: { type: "utteranceEnded", waitMs: 0 },
    cells: {
      ...all("same"),
      caller: [QUIET, { type: "noWords" }],
      callerSaid: [thinking, { type: "reply", text: "I need" }],
      eager: [thinking, { type: "reply", text: "I need" }],
    },
  },
  "the end of an utterance, which a pause may go on from": {
    event: { type: "utteranceEnded", waitMs: 300 },
    cells: {
      ...all("same"),
      caller: [QUIET, { type: "noWords" }],
      callerSaid: [pause, { type: "speculate", text: "I need" }],
      eager: [thinking, { type: "reply", text: "I need" }],
    },
  },
  "an utterance that has probably ended": {
    event: { type: "eagerEnded", text: "more" },
    cells: {
      ...all("same"),
      caller: [{ ...eager, guess: "more" }, { type: "speculate", text: "more" }],
      callerSaid: [
        { floor: "pause", text: "I need", waitMs: null, guess: "I need more" },
        { type: "speculate", text: "I need more" },
      ],
    },
  },
  "an utterance that had not": {
    event: { type: "resumed" },
    cells: { ...all("same"), pause: [callerSaid, FORGET], eager: [caller, FORGET] },
  },
  "a caller whom no recogniser hears": {
    event: { type: "unheard" },
    cells: {
      quiet: [unheard, SAY_UNHEARD],
      caller: [unheard, SAY_UNHEARD],
      callerSaid: [thinking, { type: "reply", text: "I need" }],
      pause: [thinking, { type: "reply", text: "I need" }],
      eager: [thinking, { type: "reply", text: "I need" }],
      thinking: "same",
      filled: "same",
      agent: [{ ...agent, isUnheard: true }],
      agentTold: [{ ...agentTold, isUnheard: true }],
      closing: "same",
    },
  },
  "keys": {
    event: { type: "keyed", text: "(12)" },
    cells: {
      quiet: [thinking, { type: "reply", text: "(12)" }],
      caller: [thinking, { type: "reply", text: "(12)" }],
      callerSaid: [thinking, { type: "reply", text: "I need (12)" }],
      pause: [thinking, { type: "reply", text: "I need (12)" }],
      eager: [thinking, { type: "reply", text: "(12)" }],
      thinking: [{ floor: "pause", text: "(12)", waitMs: 0, guess: null }, WITHDRAW],
      filled: [{ floor: "pause", text: "(12)", waitMs: 0, guess: null }, WITHDRAW],
      agent: [{ ...agent, text: "(12)" }],
      agentTold: [{ ...agent, text: "yes (12)" }],
      closing: "same",
    },
  },
  "speech given": {
    event: { type: "speechGiven", last: false },
    cells: {
      ...all("same"),
      quiet: [agent],
      thinking: [{ floor: "agent", prompts: 0, text: "" }],
      filled: [{ floor: "agent", prompts: 0, text: "" }],
      agent: [agent],
      agentTold: [agentTold],
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
    event: { type: "speechEnded", answer: "" },
    cells: {
      ...all("same"),
      agent: [quiet],
      agentTold: [thinking, { type: "reply", text: "yes" }],
      closing: [closing, { type: "hangUp" }],
    },
  },
  "the end of all speech, answered by a late sign": {
    event: { type: "speechEnded", answer: "okay" },
    cells: {
      ...all("same"),
      agent: [thinking, { type: "reply", text: "okay" }],
      agentTold: [thinking, { type: "reply", text: "yes okay" }],
      closing: [closing, { type: "hangUp" }],
    },
  },
  "a question to the model": {
    event: { type: "replyAsked" },
    cells: { ...all("same"), quiet: [thinking] },
  },
  "an empty reply": {
    event: { type: "replyEmpty" },
    cells: { ...all("same"), thinking: [QUIET], filled: [QUIET] },
  },
  "a deadline": {
    event: { type: "deadlinePassed" },
    cells: {
      quiet: [{ floor: "quiet", prompts: 2 }, { type: "promptIdle", prompts: 1 }],
      caller: [QUIET, { type: "noWords" }],
      callerSaid: [thinking, { type: "reply", text: "I need" }],
      pause: [thinking, { type: "reply", text: "I need" }],
      eager: [thinking, { type: "reply", text: "I need" }],
      thinking: [filled, { type: "fill", fillers: 0 }],
      filled: [QUIET, { type: "apologise" }],
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
    pause: cell,
    eager: cell,
    thinking: cell,
    filled: cell,
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
      const [after, action] = takeTurn(before, event, RULES);
      if (cell === "same") {
        assert.equal(after, before, `${floor}: the very same turn, so that its deadline runs on`);
        assert.equal(action, undefined, floor);
        continue;
      }
      assert.deepEqual([after, action], [cell[0], cell[1]], floor);
      const staysAsItIs = action?.type === "hangUp" || action?.type === "backchannel";
      if (!staysAsItIs) assert.notEqual(after, before, `${floor}: a new deadline`);
    }
  });
}

Deno.test("a turn table has every event and every floor", () => {
  const types: Record<TurnEvent["type"], true> = {
    interim: true,
    final: true,
    sounded: true,
    utteranceEnded: true,
    eagerEnded: true,
    resumed: true,
    unheard: true,
    keyed: true,
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
    pause: true,
    thinking: true,
    agent: true,
    closing: true,
  };
  assert.deepEqual(
    [...new Set(Object.values(FLOORS).map(({ floor }) => floor))].sort(),
    Object.keys(floors).sort(),
  );
});

Deno.test("a caller who was not heard is told so behind what is being said, and again soon; then it is their turn", () => {
  const end = { type: "speechEnded", answer: "" } as const;
  const [told] = takeTurn(agent, { type: "unheard" }, RULES);
  assert.deepEqual(takeTurn(told, { type: "unheard" }, RULES), [told]);
  const [after] = takeTurn(told, end, RULES);
  assert.deepEqual(after, { ...unheard, prompts: 1 });
  assert.equal(deadlineOf(after, RULES), UNHEARD_MS);
  assert.deepEqual(takeTurn(after, { type: "speechGiven", last: false }, RULES), [
    { ...agent, isUnheard: true },
  ]);
  const [over, action] = takeTurn(after, { type: "deadlinePassed" }, RULES);
  assert.deepEqual([over, action], [QUIET, SAY_UNHEARD]);
  assert.equal(deadlineOf(over, RULES), RULES.idleMs);
});

const words = fc.integer({ min: 0, max: 3 }).map((count) => Array(count).fill("word").join(" "));
const happenings = fc.oneof(
  fc.record({ type: fc.constant("interim" as const), text: words, sense: senses(), forMs: ms() }),
  fc.record({ type: fc.constant("final" as const), text: words, sense: senses() }),
  fc.record({ type: fc.constant("sounded" as const), forMs: ms() }),
  fc.record({ type: fc.constant("utteranceEnded" as const), waitMs: fc.constantFrom(0, 0, 300) }),
  fc.record({
    type: fc.constant("speechGiven" as const),
    last: fc.integer({ min: 0, max: 19 }).map((roll) => roll === 0),
  }),
  fc.constantFrom<TurnEvent>(
    { type: "resumed" },
    { type: "unheard" },
    { type: "speechProgressed" },
    { type: "speechEnded", answer: "" },
    { type: "replyAsked" },
    { type: "replyEmpty" },
    { type: "deadlinePassed" },
  ),
);
const events = fc.array(happenings, { maxLength: 60 });
const guesses = fc.record({ type: fc.constant("eagerEnded" as const), text: words });
const eagerEvents = fc.array(fc.oneof({ weight: 9, arbitrary: happenings }, guesses), {
  maxLength: 60,
});
const rules: fc.Arbitrary<TurnRules> = fc.record({
  idleMs: fc.integer({ min: 1_000, max: 60_000 }),
  bargeIn: fc.record({
    isAllowed: fc.boolean(),
    words: fc.integer({ min: 1, max: 3 }),
    speechMs: fc.constantFrom(0, 300),
    bySound: fc.boolean(),
  }),
  fillerMs: fc.constantFrom(null, 2_000),
  fillersMax: fc.integer({ min: 0, max: 2 }),
});
const RUNS = { seed: 2, numRuns: 2_000 };

function senses(): fc.Arbitrary<Sense> {
  return fc.constantFrom<Sense>("words", "words", "words", "stop", "backchannel");
}

function ms(): fc.Arbitrary<number> {
  return fc.constantFrom(0, 200, 400);
}

/** Every step of a history: the turn before, the event, the turn after and what it asked for. */
function play(history: readonly TurnEvent[], given: TurnRules) {
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
    fc.property(eagerEvents, rules, (history, given) => {
      for (const { after } of play(history, given)) {
        const ms = deadlineOf(after, given);
        assert.ok(ms > 0 && ms <= 60_000);
      }
    }),
    RUNS,
  );
});

Deno.test("a turn comes to a quiet floor or a hang-up by deadlines alone, in five steps at most", () => {
  fc.assert(
    fc.property(eagerEvents, rules, (history, given) => {
      let turn = play(history, given).at(-1)?.after ?? QUIET;
      for (let steps = 0; turn.floor !== "quiet"; steps++) {
        assert.ok(steps < 5, `still ${turn.floor}`);
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
    fc.property(eagerEvents, rules, (history, given) => {
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
    fc.property(eagerEvents, rules, (history, given) => {
      for (const { before, event, after, action } of play(history, given)) {
        if (event.type !== "utteranceEnded" || before.floor === "caller") continue;
        if (before.floor === "pause" && before.waitMs === null) continue; // its own, as was guessed
        assert.equal(after, before);
        assert.equal(action, undefined);
      }
    }),
    RUNS,
  );
});

Deno.test("a turn loses no word of the caller, and tells none twice", () => {
  fc.assert(
    fc.property(events, rules, (history, given) => {
      const said: string[] = [];
      const replied: string[] = [];
      let turn: Turn = QUIET;
      const numbered = history.map((event, at): TurnEvent =>
        event.type === "final" ? { ...event, text: event.text.replaceAll("word", `w${at}`) } : event
      );
      for (const event of numbered) {
        const [after, action] = takeTurn(turn, event, given);
        const isTaken = turn.floor !== "closing" && action?.type !== "backchannel";
        if (isTaken && event.type === "final") said.push(event.text);
        turn = after;
        if (action?.type === "reply") replied.push(action.text);
        if (after.floor === "closing") return; // what was pending goes with the call
      }
      for (let step = 0; step < 5; step++) {
        const [after, action] = takeTurn(turn, { type: "deadlinePassed" }, given);
        turn = after;
        if (action?.type === "reply") replied.push(action.text);
      }
      assert.equal(replied.join(" "), said.filter((text) => text !== "").join(" "));
    }),
    RUNS,
  );
});

Deno.test("a turn is barged in on by sound where the agent's settings say so, after long enough", () => {
  const bySound = { ...RULES, bargeIn: { ...BARGE_IN, bySound: true, speechMs: 300 } };
  assert.deepEqual(takeTurn(agent, { type: "sounded", forMs: 280 }, bySound), [agent]);
  assert.deepEqual(takeTurn(agent, { type: "sounded", forMs: 300 }, bySound), [caller, {
    type: "bargeIn",
  }]);
});

Deno.test("a turn is not barged in on before the words have gone on for as long as they must", () => {
  const slow = { ...RULES, bargeIn: { ...BARGE_IN, speechMs: 300 } };
  const event = { ...interim, text: "so what now" };
  assert.deepEqual(takeTurn(agent, { ...event, forMs: 299 }, slow), [agent]);
  assert.equal(takeTurn(agent, { ...event, forMs: 300 }, slow)[1]?.type, "bargeIn");
});

Deno.test("a turn that must not be interrupted keeps the caller's words for later", () => {
  const protectedSpeech = { ...RULES, bargeIn: { ...BARGE_IN, isAllowed: false, bySound: true } };
  const history: TurnEvent[] = [
    { ...interim, text: "so what now" },
    { ...interim, text: "stop", sense: "stop" },
    { type: "sounded", forMs: 5_000 },
    { ...final, text: "so what now" },
  ];
  const told = history.reduce<Turn>((turn, it) => takeTurn(turn, it, protectedSpeech)[0], agent);
  assert.deepEqual(told, { ...agent, text: "so what now" });
});
