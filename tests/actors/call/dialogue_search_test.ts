/** A dialogue under random histories: what holds whatever happens, and in whichever order. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Consent, CONSENTS } from "@/lib/recording/consent.ts";
import type { Sense } from "@/lib/speech/sense.ts";
import { wordsOf } from "@/actors/call/conversation.ts";
import type { PromptMessage, ToolCall } from "@/lib/providers/llm/llm.ts";
import type { RecordingSettings } from "@/lib/workflow/graph.ts";
import { CARRIER_ANSWERERS } from "@/lib/providers/carrier/detection.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { newStage, REFUSED, RETRYABLE, type Stage } from "@/tests/support/dialogue_stage.ts";

const DISCLOSURE = "This call is recorded.";
const KEYS = { type: "sendKeys", keys: "12#" } as const;
const VOICEMAIL = "leave a message after the tone";
const RECORDING: RecordingSettings = {
  consent: "ask",
  disclosure: DISCLOSURE,
  question: "Yes?",
  state: null,
  format: "pcm",
};

/** One thing that happens; the stage's speaker and carrier do the rest by themselves. */
type Happening = (stage: Stage) => void;

const text = fc.integer({ min: 1, max: 12 }).chain((count) =>
  fc.constantFrom(" ", ", ", ". ").map((stop) => Array(count).fill("word").join(stop) + ". ")
);
const toolCall = fc.record({
  name: fc.constantFrom("next", "finish", "nonsense"),
  arguments: fc.constantFrom('{"name":"Maria"}', "{}", "no JSON"),
});

function named(name: string, arbitrary: fc.Arbitrary<Happening>): fc.Arbitrary<Happening> {
  // Shown instead of the function's source when a history fails.
  return arbitrary.map((happening) => Object.assign(happening, { toString: () => name }));
}

let calls = 0; // an id a call, as providers give them
function withId(call: Omit<ToolCall, "id">): ToolCall {
  return { ...call, id: `call${calls++}` };
}

/** A whole exchange, so that histories come far: the caller's turn, and what the model makes of it. */
const exchange = fc.tuple(fc.nat(600), fc.option(text), fc.option(toolCall), fc.boolean()).map(
  ([ms, said, call, goesOn]): Happening => {
    const happening: Happening = (it) => {
      it.say("so what");
      it.advance(ms);
      it.answer(said ?? "", ...(call === null ? [] : [withId(call)]));
      if (call !== null && goesOn) it.answer("Very well. ");
    };
    const shown = `exchange(${ms} ms, ${said}, ${call?.name}, ${goesOn})`;
    return Object.assign(happening, { toString: () => shown });
  },
);

/** A turn that the recogniser guesses to be over, what is made of it meanwhile, and whether it was. */
const guessed = fc.tuple(fc.boolean(), fc.nat(400), text, fc.option(toolCall), fc.boolean()).map(
  ([goesOn, ms, said, call, isWhole]): Happening => {
    const happening: Happening = (it) => {
      it.eager("so what", goesOn);
      it.delta({ type: "text", text: said });
      if (call !== null) it.delta({ type: "toolCall", call: withId(call) });
      if (isWhole) it.ended();
      it.advance(ms);
    };
    const shown = `guessed(${goesOn}, ${ms} ms, ${said}, ${call?.name}, ${isWhole})`;
    return Object.assign(happening, { toString: () => shown });
  },
);

const happening = fc.oneof(
  { weight: 9, arbitrary: guessed },
  { weight: 2, arbitrary: named("mm-hm", fc.constant((it) => it.final("mm-hm"))) },
  { weight: 2, arbitrary: named("stop", fc.constant((it) => it.interim("stop"))) },
  {
    weight: 2,
    arbitrary: named("sound", fc.constant((it) => it.tell({ type: "sounded", forMs: 400 }))),
  },
  {
    weight: 2,
    arbitrary: named("unheard", fc.constant((it) => it.tell({ type: "unheard" }))),
  },
  { weight: 15, arbitrary: exchange },
  { weight: 1, arbitrary: named("yes", fc.constant((it) => it.say("yes please"))) },
  { weight: 1, arbitrary: named("no", fc.constant((it) => it.say("no thanks"))) },
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 400 }).map(advance) },
  { weight: 5, arbitrary: fc.integer({ min: 400, max: 6_000 }).map(advance) },
  { weight: 3, arbitrary: named("interim", fc.constant((it) => it.interim("so"))) },
  { weight: 3, arbitrary: named("final", fc.constant((it) => it.final("and so"))) },
  { weight: 3, arbitrary: named("utteranceEnded", fc.constant((it) => it.utteranceEnded())) },
  { weight: 3, arbitrary: named("turn", fc.constant((it) => it.say("so what"))) },
  {
    weight: 8,
    arbitrary: text.chain((said) =>
      named(`delta ${said}`, fc.constant((it) => it.delta({ type: "text", text: said })))
    ),
  },
  {
    weight: 3,
    arbitrary: toolCall.chain((call) =>
      named(
        `call ${call.name}`,
        fc.constant((it) => it.delta({ type: "toolCall", call: withId(call) })),
      )
    ),
  },
  {
    weight: 2,
    arbitrary: named(
      "half a clause",
      fc.constant((it) => it.delta({ type: "text", text: "words that do not end yet " })),
    ),
  },
  { weight: 5, arbitrary: named("ended", fc.constant((it) => it.ended())) },
  { weight: 1, arbitrary: named("late delta", fc.constant(late)) },
  { weight: 1, arbitrary: named("model failed", fc.constant((it) => it.failed(RETRYABLE))) },
  { weight: 1, arbitrary: named("modelLost", fc.constant((it) => it.tell({ type: "modelLost" }))) },
  {
    weight: 1,
    arbitrary: named("synthesis failed", fc.constant((it) => it.failSynthesis(RETRYABLE))),
  },
  { weight: 1, arbitrary: named("speaker crashed", fc.constant((it) => it.crashSpeaker())) },
  { weight: 1, arbitrary: named("leg lost", fc.constant((it) => it.loseLeg())) },
  { weight: 3, arbitrary: named("leg back", fc.constant((it) => it.regainLeg())) },
  { weight: 2, arbitrary: named("keys", fc.constant((it) => it.tell(KEYS))) },
  { weight: 1, arbitrary: named("beeped", fc.constant((it) => it.tell({ type: "beeped" }))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...CARRIER_ANSWERERS).chain((by) =>
      named(`the carrier says ${by}`, fc.constant((it) => it.tell({ type: "carrierJudged", by })))
    ),
  },
  {
    weight: 1,
    arbitrary: named("greetingDue", fc.constant((it) => it.tell({ type: "greetingDue" }))),
  },
  { weight: 1, arbitrary: named("machine", fc.constant((it) => it.say(VOICEMAIL))) },
  { weight: 1, arbitrary: named("marks again", fc.constant(markAgain)) },
);
const final = fc.oneof(
  fc.constant<Happening>((it) => it.failed(REFUSED)),
  fc.constant<Happening>((it) => it.failSynthesis(REFUSED)),
  fc.constant<Happening>((it) =>
    it.tell({
      type: "end",
      sentence: "We must stop.",
      ending: { outcome: "answered", reason: "max_duration" },
    })
  ),
  fc.constant<Happening>(() => {}),
);

const histories = fc.array(happening, { maxLength: 60 });

function advance(ms: number): Happening {
  return Object.assign((stage: Stage) => stage.advance(ms), { toString: () => `${ms} ms` });
}

function late(stage: Stage): void {
  const { requests } = stage.dialogue.counts;
  stage.delta({ type: "text", text: "late late late. " }, requests - 1);
  stage.ended(requests - 1);
}

function markAgain(stage: Stage): void {
  const { generations } = stage.dialogue.counts;
  for (const name of [`${generations - 1}:w0`, `${generations - 1}:cut`, `${generations}:x`]) {
    stage.tell({ type: "marked", name, at: stage.now, frames: 0, jitterMs: 0 });
  }
}

/** What must hold after every event. The stage itself holds that no two utterances are open, and no text goes to a silenced one. */
function check(stage: Stage): void {
  const { turn, reply, open, utterances, entries, ending, ahead } = stage.dialogue;
  assert.ok(ahead === null || turn.floor === "pause", "a guess outlives its pause");
  const isSaying = utterances.some(({ cutAt }) => cutAt === null);
  if (stage.effects.some(({ type }) => type === "hangUp")) return;
  switch (turn.floor) {
    case "quiet":
      assert.deepEqual([reply, open, isSaying], [null, null, false], "at work on a quiet floor");
      break;
    case "caller":
    case "pause":
      assert.notEqual(reply?.heldBack, null, "a reply goes on while they speak");
      assert.deepEqual([open, isSaying], [null, false], "at work while they speak");
      break;
    case "thinking":
      assert.notEqual(reply, null, "thinking of nothing");
      assert.equal(isSaying, false);
      break;
    case "agent":
      assert.equal(isSaying, true, "an agent that says nothing");
      assert.equal(ending, null);
      break;
    case "closing":
      assert.notEqual(ending, null);
      assert.equal(isSaying, true);
      assert.equal(reply, null);
  }
  checkOutputs(entries.flatMap((it): PromptMessage[] => it.role === "agent" ? [] : [it]));
}

function checkOutputs(messages: readonly PromptMessage[]): void {
  const calls = messages.filter((it) => it.role === "toolCall").map(({ call }) => call.id);
  const outputs = messages.filter((it) => it.role === "toolOutput").map(({ callId }) => callId);
  assert.deepEqual(outputs, calls, "one output a call");
}

/** The agent's words in a prompt are those heard of every utterance, and all of one that is being said. */
function checkPrompts(stage: Stage, seen: number): number {
  const { prompts, dialogue } = stage;
  const newest = prompts.at(-1);
  if (prompts.length === seen || newest === undefined) return seen;
  checkOutputs(newest.messages);
  if (stage.heardAtPrompt === null) return prompts.length;
  if (dialogue.entries.some((it) => it.role === "agent" && it.isFiller)) return prompts.length;
  const told = newest.messages.flatMap((it) => it.role === "agent" ? wordsOf(it.text) : []);
  assert.deepEqual(told.join(" "), stage.heardAtPrompt.filter((words) => words !== "").join(" "));
  return prompts.length;
}

function tally(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of texts.flatMap(wordsOf)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function checkRecords(stage: Stage): void {
  const given = stage.effects.flatMap((it) => it.type === "text" ? wordsOf(it.text) : []);
  assert.equal(given.includes("late"), false, "a withdrawn request has spoken");
  const said = stage.events.filter((event) => event.type === "agent_said");
  assert.equal(new Set(said.map(({ turn }) => turn)).size, said.length, "once an utterance");
  const texts = said.toSorted((a, b) => a.turn - b.turn).map(({ text }) => text);
  assert.deepEqual(texts, stage.heard(), "the transcript is what was heard");
  const told = stage.events.flatMap((it) => it.type === "caller_said" ? [it.text] : []);
  const signs = stage.events.filter((it) => it.type === "caller_signalled").length;
  const lost = tally(stage.finals);
  for (const word of told.flatMap(wordsOf)) lost.set(word, (lost.get(word) ?? 0) - 1);
  const mmHm = lost.get("mm-hm") ?? 0;
  lost.delete("mm-hm");
  assert.ok(mmHm <= signs, "a sign of listening is on record, and may answer as well");
  assert.deepEqual(
    [...lost].filter(([, count]) => count !== 0),
    [],
    "no word is lost, or told twice",
  );
  const turns = stage.events.flatMap((it) =>
    it.type === "agent_said" || it.type === "caller_said" ? [it.turn] : []
  );
  assert.equal(new Set(turns).size, turns.length, "turns are numbered");
}

/** Histories to search: all of them in the full run. */
const RUNS = Number(Deno.env.get("DIALOGUE_RUNS") ?? 4_000);
const SEED = Number(Deno.env.get("DIALOGUE_SEED") ?? 7);

const settings = fc.record({
  endpointing: fc.constantFrom("fixed" as const, "dynamic" as const, "provider" as const),
  isEager: fc.boolean(),
  words: fc.integer({ min: 1, max: 3 }),
  bySound: fc.boolean(),
  fillerMs: fc.constantFrom(null, 2_000),
  isInterruptible: fc.boolean(),
  consent: fc.constantFrom(null, null, ...CONSENTS),
  answering: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc.record({
        onVoicemail: fc.constantFrom("hang_up" as const, "leave_message" as const, "talk" as const),
        detector: fc.constantFrom("own" as const, "carrier" as const, "both" as const),
        greetsLater: fc.boolean(),
      }),
    },
  ),
});

function stageWith(given: typeof settings extends fc.Arbitrary<infer T> ? T : never): Stage {
  const { endpointing, isEager, words, bySound, fillerMs, isInterruptible, consent } = given;
  const graph = {
    ...clinic,
    turns: { ...clinic.turns, endpointing, isEager },
    recording: RECORDING,
    nodes: clinic.nodes.map((it) => it.type === "end" ? it : { ...it, isInterruptible }),
  };
  const bargeIn = { isAllowed: true, words, speechMs: 0, bySound };
  const { onVoicemail, detector } = given.answering ?? {};
  const answering = onVoicemail === undefined || detector === undefined ? null : {
    ...{ onVoicemail, detector, message: "Call us back please.", purpose: null },
    ...{ onIvr: "talk", carrierTimeoutMs: 30_000 } as const,
  };
  return newStage(graph, { rules: { bargeIn, fillerMs }, senseOf, consent, answering });
}

/** Recording begins once, and not before what must come before it. */
function checkRecording({ events, effects }: Stage, consent: Consent | null): void {
  const started = effects.filter(({ type }) => type === "startRecording").length;
  const told = events.some(({ type }) => type === "recording_disclosed");
  const answers = events.filter((it) => it.type === "recording_answered");
  const said = events.flatMap((it) => it.type === "agent_said" ? [it.text] : []);
  assert.ok(started <= 1 && answers.length <= 1);
  // What a voice that failed had not said of it was said again.
  const isHeard = said.filter((text) => text !== "").join(" ").includes(DISCLOSURE);
  assert.ok(!told || isHeard, "told, and not heard");
  if (consent === null || !told && consent !== "none") assert.equal(started, 0);
  else if (consent === "ask") assert.equal(started, answers[0]?.isGiven ? 1 : 0);
  else assert.equal(started, 1);
}

function senseOf(text: string): Sense {
  return text === "mm-hm" ? "backchannel" : text === "stop" ? "stop" : "words";
}

Deno.test("a dialogue holds together under any history", () => {
  const reached = {
    hungUp: 0,
    cut: 0,
    moved: 0,
    lost: 0,
    repeated: 0,
    guessed: 0,
    wasted: 0,
    recorded: 0,
    agreed: 0,
    pressed: 0,
    machines: 0,
  };
  fc.assert(
    fc.property(histories, final, settings, (history, last, given) => {
      const stage = stageWith(given);
      stage.regainLeg({ greetsLater: given.answering?.greetsLater ?? false });
      let prompts = 0;
      for (const happens of [...history, last]) {
        happens(stage);
        check(stage);
        prompts = checkPrompts(stage, prompts);
      }
      stage.regainLeg();
      stage.advance(120_000); // deadlines alone bring it to its end
      assert.equal(stage.effects.at(-1)?.type, "hangUp");
      stage.end();
      checkRecords(stage);
      checkRecording(stage, given.consent);
      if (stage.effects.some(({ type }) => type === "startRecording")) reached.recorded++;
      if (stage.events.some((it) => it.type === "recording_answered" && it.isGiven)) {
        reached.agreed++;
      }
      reached.hungUp++;
      if (stage.effects.some(({ type }) => type === "silence")) reached.cut++;
      if (stage.dialogue.workflow.node !== "welcome") reached.moved++;
      if (stage.events.some((it) => it.type === "agent_said" && it.unheard !== "")) reached.lost++;
      if (stage.events.some((it) => it.type === "failed")) reached.repeated++;
      if (stage.effects.some(({ type }) => type === "release")) reached.guessed++;
      if (stage.dialogue.wasted.replies > 0) reached.wasted++;
      if (stage.events.some((it) => it.type === "keys_sent" && it.isComplete)) reached.pressed++;
      if (stage.events.some((it) => it.type === "answered_by" && it.by === "voicemail")) {
        reached.machines++;
      }
    }),
    { seed: SEED, numRuns: RUNS },
  );
  for (const [what, count] of Object.entries(reached)) {
    const share = what === "agreed" ? 400 : what === "machines" ? 100 : 40; // a quarter heeds machines
    assert.ok(count > RUNS / share, `${what}: ${count}`);
  }
});

/** What a lost machine had not told yet is told to have been heard by nobody: it may be said again. */
function checkTaken(stage: Stage): void {
  const said = stage.events.filter((event) => event.type === "agent_said");
  const texts = said.toSorted((a, b) => a.turn - b.turn).map(({ text }) => text);
  stage.heard().forEach((heard, nth) => {
    assert.ok(`${heard} `.startsWith(`${texts[nth]} `.trimStart()), `${texts[nth]} of ${heard}`);
  });
  assert.equal(texts.length, stage.heard().length);
  const outputs = stage.events.flatMap((it) => it.type === "tool_called" ? [it.call.id] : []);
  assert.equal(new Set(outputs).size, outputs.length, "one output a call");
  const told = stage.events.flatMap((it) => it.type === "caller_said" ? [it.text] : []);
  const lost = tally(stage.finals);
  for (const word of told.flatMap(wordsOf)) lost.set(word, (lost.get(word) ?? 0) - 1);
  lost.delete("mm-hm");
  assert.deepEqual([...lost].filter(([, count]) => count > 0), [], "no final word is lost");
  const turns = stage.events.flatMap((it) =>
    it.type === "agent_said" || it.type === "caller_said" ? [it.turn] : []
  );
  assert.equal(new Set(turns).size, turns.length, "turns are numbered");
}

Deno.test("a dialogue holds together over lost machines, under any history", () => {
  let takeovers = 0;
  const lost = named(
    "machine lost",
    fc.constant((it) => {
      takeovers++;
      it.loseMachine();
    }),
  );
  const some = fc.array(
    fc.oneof({ weight: 8, arbitrary: happening }, { weight: 1, arbitrary: lost }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(some, final, settings, (history, last, given) => {
      const stage = stageWith({ ...given, consent: null });
      stage.regainLeg({ greetsLater: given.answering?.greetsLater ?? false });
      for (const happens of [...history, last]) {
        happens(stage);
        check(stage);
      }
      stage.regainLeg();
      stage.advance(200_000); // deadlines alone bring it to its end
      assert.equal(stage.effects.at(-1)?.type, "hangUp");
      stage.end();
      checkTaken(stage);
    }),
    { seed: SEED, numRuns: RUNS },
  );
  assert.ok(takeovers > RUNS / 2, `${takeovers}`);
});
