/** Rebuilding a dialogue from its events: any prefix of a call is enough to go on from. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Entry, promptMessages, saidOf } from "@/actors/call/conversation.ts";
import type { Dialogue } from "@/actors/call/dialogue.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import { GO_ON } from "@/lib/providers/llm/prompts.ts";
import { repeatOf } from "@/lib/workflow/phrases.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { newStage, RETRYABLE, type Stage, WORD_MS } from "@/tests/support/dialogue_stage.ts";

const ASK_AGAIN = repeatOf("en");

type Happening = (stage: Stage) => void;

let calls = 0;
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.integer({ min: 0, max: 2_000 }).map((ms): Happening => (it) => it.advance(ms)),
  fc.constant<Happening>((it) => it.say("so what")),
  fc.constant<Happening>((it) => it.answer("Very well. And then what?")),
  fc.constant<Happening>((it) =>
    it.answer("One moment.", { id: `call${calls++}`, name: "next", arguments: "{}" })
  ),
  fc.constant<Happening>((it) =>
    it.answer(
      "",
      { id: `call${calls++}`, name: "nonsense", arguments: "{}" },
      { id: `call${calls++}`, name: "finish", arguments: '{"name":"Maria"}' },
    )
  ),
  fc.constant<Happening>((it) => it.failSynthesis(RETRYABLE)),
  fc.constant<Happening>((it) => it.crashSpeaker()),
  fc.constant<Happening>((it) => {
    it.loseLeg();
    it.regainLeg();
  }),
);

/** Runs a history, and looks at the call after each step of it. */
function play(history: readonly Happening[], look: (stage: Stage) => void): void {
  const stage = newStage(clinic);
  stage.regainLeg();
  look(stage);
  for (const happens of history) {
    happens(stage);
    look(stage);
  }
}

/**
 * The prompt of a dialogue as far as events can tell it: an utterance that is not over is not recorded,
 * and one that goes on behind a function is recorded once, when it is over.
 */
function promptOf({ entries, utterances }: Dialogue): PromptMessage[] {
  const unrecorded = new Set(utterances.map(({ generation }) => generation));
  const turns: { spoken: Map<number, string>; rest: Entry[] }[] = [{ spoken: new Map(), rest: [] }];
  for (const entry of entries) {
    if (entry.role === "caller") turns.push({ spoken: new Map(), rest: [] });
    const turn = turns.at(-1);
    if (entry.role !== "agent") turn?.rest.push(entry);
    else if (!unrecorded.has(entry.generation)) {
      const before = turn?.spoken.get(entry.generation) ?? "";
      turn?.spoken.set(entry.generation, `${before} ${entry.heard ?? ""}`.trim());
    }
  }
  return turns.flatMap(({ spoken, rest }) => [
    ...promptMessages(rest),
    ...[...spoken.values()].filter((text) => text !== "").map((text) =>
      ({ role: "agent", text }) as const
    ),
  ]);
}

/** What is being said, and is to be said. Some that are `cut` off are known as that only once they are over. */
function underWay(dialogue: Dialogue, cut: ReadonlySet<number>): unknown {
  const { utterances, entries, ending, given, unsaid } = dialogue;
  const spoken = utterances.filter(({ turn }) => !cut.has(turn)).map((it) => ({
    turn: it.turn,
    text: unsaid === null
      ? saidOf(entries, it.generation)
      : [...it.words.map(({ text }) => text), unsaid].join(" ").trim(),
  }));
  return { spoken, ending, given };
}

const histories = fc.array(happening, { maxLength: 30 });
const RUNS = { seed: 9, numRuns: 800 };

Deno.test("a dialogue rebuilt at any instant stands where it stood, with the same conversation", () => {
  fc.assert(
    fc.property(histories, (history) => {
      play(history, (stage) => {
        const { dialogue, seq, isEnded } = rebuild(stage.events, clinic);
        assert.deepEqual(dialogue.workflow, stage.dialogue.workflow);
        assert.deepEqual(promptOf(dialogue), promptOf(stage.dialogue));
        assert.equal(seq, stage.events.length);
        assert.equal(isEnded, false);
        if (stage.effects.at(-1)?.type === "hangUp") return; // the call is over
        const cut = new Set(
          stage.dialogue.utterances.filter(({ cutAt }) => cutAt !== null).map(({ turn }) => turn),
        );
        assert.deepEqual(underWay(dialogue, cut), underWay(stage.dialogue, cut));
      });
    }),
    RUNS,
  );
});

Deno.test("a dialogue rebuilt from any prefix goes on to an end, and numbers no turn twice", () => {
  fc.assert(
    fc.property(histories, fc.nat(40), (history, count) => {
      let events: readonly CallEvent[] = [];
      play(history, (stage) => events = stage.events.slice(0, count));
      const again = newStage(clinic, { from: rebuild(events, clinic).dialogue });
      again.regainLeg();
      again.advance(120_000);
      assert.equal(again.effects.at(-1)?.type, "hangUp");
      const turns = [...events, ...again.events].flatMap((event) =>
        event.type === "agent_said" || event.type === "caller_said" ? [event.turn] : []
      );
      assert.equal(new Set(turns).size, turns.length);
    }),
    RUNS,
  );
});

Deno.test("an event of a newer version counts, and changes nothing", () => {
  const known: CallEvent = { type: "leg_started", epoch: 1 };
  const newer = { type: "something_newer", turn: 3 } as unknown as CallEvent;
  const before = rebuild([known], clinic);
  const after = rebuild([known, newer], clinic);
  assert.equal(after.seq, before.seq + 1);
  assert.deepEqual({ ...after, seq: before.seq }, before);
});

Deno.test("a dialogue rebuilt before anything was heard greets again", () => {
  const { dialogue } = rebuild([{ type: "call_started", direction: "inbound" }], clinic);
  const stage = newStage(clinic, { from: dialogue });
  stage.regainLeg();
  stage.listen();
  assert.deepEqual(stage.heard(), ["Welcome to the clinic. How can I help?"]);
});

Deno.test("a dialogue rebuilt behind a turn of the caller answers it", () => {
  const before = newStage(clinic);
  before.regainLeg();
  before.listen();
  before.say("A check-up.");
  const stage = newStage(clinic, { from: rebuild(before.events, clinic).dialogue });
  stage.regainLeg();
  assert.deepEqual(stage.prompts[0]?.messages, [
    { role: "agent", text: "Welcome to the clinic. How can I help?" },
    { role: "caller", text: "A check-up." },
  ]);
});

Deno.test("a dialogue rebuilt behind its end says farewell, and hangs up", () => {
  const before = newStage(clinic);
  before.regainLeg();
  before.listen();
  before.say("A check-up.");
  before.answer("", { id: "a", name: "next", arguments: "{}" });
  before.answer("", { id: "b", name: "finish", arguments: '{"name":"Maria"}' });
  const stage = newStage(clinic, { from: rebuild(before.events, clinic).dialogue });
  stage.regainLeg();
  stage.listen();
  assert.deepEqual(stage.heard(), ["All done, Maria. Goodbye!"]);
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("an utterance that was known too late stands before the caller who barged in", () => {
  const said = {
    type: "agent_said",
    unheard: "",
    bargedIn: true,
    gapMs: null,
    parts: null,
  } as const;
  const { dialogue } = rebuild([
    { ...said, turn: 1, text: "Welcome." },
    { type: "caller_said", turn: 3, text: "Stop." },
    { ...said, turn: 2, text: "We are" },
  ], clinic);
  assert.deepEqual(promptMessages(dialogue.entries), [
    { role: "agent", text: "Welcome." },
    { role: "agent", text: "We are" },
    { role: "caller", text: "Stop." },
  ]);
  assert.equal(dialogue.counts.turns, 3);
});

Deno.test("a call rebuilt knows its carrier's id, its last media stream and whether it has ended", () => {
  const events: CallEvent[] = [
    { type: "call_started", direction: "outbound" },
    { type: "call_dialed", carrierCallId: "CA1" },
    { type: "leg_started", epoch: 1 },
    { type: "leg_lost", epoch: 1 },
    { type: "leg_started", epoch: 2 },
    { type: "dtmf_pressed", digit: "1" },
    { type: "failed", part: "model", code: "crashed", message: "Model crashed" },
  ];
  const { epoch, carrierCallId, isEnded, seq } = rebuild(events, clinic);
  assert.deepEqual([epoch, carrierCallId, isEnded, seq], [2, "CA1", false, 7]);
  const ended = rebuild([...events, {
    type: "call_ended",
    outcome: "answered",
    reason: "caller_hung_up",
  }], clinic);
  assert.equal(ended.isEnded, true);
  assert.equal(rebuild([], clinic).carrierCallId, null);
});

const asked = { consent: "ask" } as const;
const DISCLOSED: CallEvent[] = [
  { type: "call_started", direction: "inbound" },
  {
    ...{ type: "agent_said", turn: 1, text: "This call is recorded. Yes?", unheard: "" },
    ...{ bargedIn: false, gapMs: null, parts: null },
  },
  { type: "recording_disclosed", consent: "ask" },
];

Deno.test("a caller who was asked about a recording, and had not answered, is asked again", () => {
  const { dialogue, recording } = rebuild(DISCLOSED, clinic);
  assert.equal(recording.isOn, false);
  const stage = newStage(clinic, { ...asked, from: dialogue });
  stage.regainLeg();
  assert.equal(stage.dialogue.disclosure.phase, "saying");
});

Deno.test("a caller who has agreed is greeted, and the recording is known to be on", () => {
  const { dialogue, recording } = rebuild([
    ...DISCLOSED,
    { type: "caller_said", turn: 2, text: "Yes." },
    { type: "recording_answered", isGiven: true, answer: "yes" },
    { type: "recording_started", consent: "ask" },
    ...["pauseRecording", "mute"].map((action): CallEvent => ({
      ...{ type: "controlled", action: action as "mute", by: "key_1", text: null, to: null },
    })),
  ], clinic);
  assert.deepEqual(recording, { isDue: false, isOn: true, isAskedToPause: true });
  const stage = newStage(clinic, { ...asked, from: { ...dialogue, isMuted: false } });
  stage.regainLeg();
  stage.listen();
  assert.deepEqual(stage.heard(), ["Welcome to the clinic. How can I help?"]);
  assert.equal(stage.effects.some(({ type }) => type === "startRecording"), false, "it is on");
});

/** A call whose machine is lost at this instant, on the leg that it gets on another. */
function takenOver(before: Stage): Stage {
  const stage = newStage(clinic, { from: rebuild(before.events, clinic).dialogue });
  stage.regainLeg();
  return stage;
}

function greeted(): Stage {
  const stage = newStage(clinic);
  stage.regainLeg();
  stage.listen();
  return stage;
}

/** Of a hundred words: more than a progress is told of. */
const LONG = Array.from({ length: 100 }, (_, n) => `w${n}`).join(" ");

Deno.test("a sentence that a lost machine cut goes on within a second of where it was heard", () => {
  const before = greeted();
  before.say("Tell me.");
  before.answer(`${LONG}.`);
  for (let ms = 0; ms < 9_000; ms += 250) {
    before.advance(250);
    const heard = before.heard().at(-1)?.split(" ").length ?? 0;
    const stage = takenOver(before);
    stage.advance(100);
    const [said] = stage.events.filter((it) => it.type === "agent_said");
    assert.ok(said?.type === "agent_said");
    const known = said.text.split(" ").filter((word) => word !== "").length;
    assert.ok(known <= heard && known >= heard - 1_100 / WORD_MS, `${known} of ${heard}`);
    const rest = stage.events.find((it) => it.type === "speech_given");
    assert.equal(rest?.type === "speech_given" && `${said.text} ${rest.text}`.trim(), `${LONG}.`);
    assert.equal(stage.prompts.length, 0, "all of the answer is there");
  }
});

Deno.test("a caller who was speaking when the machine was lost is asked to say it again, and keeps what was final", () => {
  const before = greeted();
  before.interim("I have");
  let stage = takenOver(before);
  stage.listen();
  assert.deepEqual(stage.heard(), [ASK_AGAIN]);
  before.final("I have a toothache.");
  before.interim("and");
  stage = takenOver(before);
  stage.listen();
  assert.deepEqual(stage.heard(), [ASK_AGAIN]);
  assert.deepEqual(stage.events[0], {
    ...{ type: "caller_said", turn: 2, text: "I have a toothache." },
    span: { beganMs: null, endedMs: null },
  });
  before.final("and a fever.");
  stage = takenOver(before);
  assert.deepEqual(stage.prompts[0]?.messages.at(-1), {
    ...{ role: "caller", text: "I have a toothache. and a fever." },
  });
});

Deno.test("an answer that the model was still writing is gone on with behind what was written", () => {
  const before = greeted();
  before.say("Tell me.");
  before.delta({ type: "text", text: "We open at nine. And then we " });
  before.advance(150);
  const stage = takenOver(before);
  const [prompt] = stage.prompts;
  assert.deepEqual(prompt?.messages.at(-1), { role: "agent", text: "We open at nine." });
  assert.ok(prompt?.system.endsWith(GO_ON));
  stage.answer("And we close at five.");
  stage.listen();
  assert.deepEqual(stage.heard(), ["We open at nine. And we close at five."]);
});

Deno.test("last words are said to their end, and the call ends as it was about to", () => {
  const before = greeted();
  const ending = { outcome: "answered", reason: "max_duration" } as const;
  before.tell({ type: "end", sentence: "We must stop here.", ending });
  before.advance(50);
  const stage = takenOver(before);
  assert.equal(stage.dialogue.turn.floor, "closing");
  stage.listen();
  assert.deepEqual(stage.heard(), ["We must stop here."]);
  const last = stage.effects.at(-1);
  assert.deepEqual(last?.type === "hangUp" && last.ending, ending);
});

Deno.test("a caller who was prompted stays prompted: the next silence is their last", () => {
  const before = greeted();
  before.advance(8_000);
  before.advance(200); // the prompt is being said
  const stage = takenOver(before);
  stage.listen();
  assert.deepEqual(stage.heard(), ["Are you there?"]);
  stage.advance(8_000);
  assert.equal(stage.dialogue.ending?.reason, "caller_silent");
});

Deno.test("what colleagues gave the agent to say is said once, on one machine or the other", () => {
  const before = greeted();
  before.interim("hello");
  const events: CallEvent[] = [...before.events, {
    ...{ type: "controlled", action: "say", by: "key_1", text: "A word from Ada.", to: null },
  }];
  const waiting = newStage(clinic, { from: rebuild(events, clinic).dialogue });
  waiting.regainLeg();
  waiting.listen();
  assert.deepEqual(waiting.heard(), [`${ASK_AGAIN} A word from Ada.`]);
  const said = [...events, ...waiting.events];
  const again = newStage(clinic, { from: rebuild(said, clinic).dialogue });
  again.regainLeg();
  again.listen();
  assert.deepEqual(again.heard(), []);
});

Deno.test("what was not kept is not known any more, and no sentence says that", () => {
  const { dialogue } = rebuild([...greeted().events, {
    type: "workflow_moved",
    workflow: {
      ...{ node: "done", transitions: 2, turnCalls: 0, outcome: "done" },
      variables: { name: "(not kept)", card: "•••• 1", day: "Thursday", first: true },
    },
  }], clinic);
  assert.deepEqual(dialogue.workflow.variables, { day: "Thursday", first: true });
  const stage = newStage(clinic, { from: dialogue });
  stage.regainLeg();
  stage.listen();
  assert.deepEqual(stage.heard(), ["All done, . Goodbye!"]);
});

Deno.test("a transfer that was commanded is made, and what was not kept is not said again", () => {
  const commanded = rebuild([...greeted().events, {
    ...{ type: "controlled", action: "transfer", by: "key_1", text: null, to: "+15550100" },
  }], clinic);
  assert.equal(commanded.transferTo, "+15550100");
  const stage = newStage(clinic, { from: commanded.dialogue });
  stage.regainLeg();
  const last = stage.effects.at(-1);
  assert.equal(last?.type === "hangUp" && last.ending.reason, "transferred");
  const secret = newStage(clinic, {
    from: rebuild([...greeted().events, {
      ...{ type: "speech_given", turn: 2, text: "(not kept)", isOpen: false },
    }], clinic).dialogue,
  });
  secret.regainLeg();
  secret.listen();
  assert.deepEqual(secret.heard(), []);
});
