/** Calls whose machine is lost at every event and at every instant: another goes on, and nothing is lost or done twice. */

import assert from "node:assert/strict";
import { heldFor } from "@/actors/call/life/restoring.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { repeatOf } from "@/lib/workflow/phrases.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { compareHeard } from "@/tests/support/heard.ts";
import { loseMachines, type LostCall } from "@/tests/support/lost_machines.ts";

const ASK_AGAIN = repeatOf("en");
/** Words that are said at most twice: a second's, and those of a commit. */
const REPEATED_MAX = 7;
/** Final words that are older than this are never lost. */
const KNOWN_MS = 250;
/** `LOST_RUNS` of 1000 try every event and every 20 ms; fewer, a part of them from `LOST_SEED` on. */
const RUNS = Number(Deno.env.get("LOST_RUNS") ?? 30);
const SEED = Number(Deno.env.get("LOST_SEED") ?? 1);
const STEP_MS = 20;
const SHARE = Math.max(1, Math.round(1_000 / RUNS));

/** What has to hold of a call, whatever was lost. */
function check(call: LostCall): void {
  const { events, ends, kept, recorded, lostAtMs } = call;
  // A machine that is lost as it stores the end has another store it again: the first stays (tests/db/).
  assert.ok(ends.length >= 1);
  assert.equal(new Set(ends.map(({ reason }) => reason)).size, 1, "it ends in one way");
  assert.equal(events.filter(({ type }) => type === "call_ended").length, 1);
  assert.equal(events.at(-1)?.type, "call_ended");
  const outputs = events.flatMap((it) => it.type === "tool_called" ? [it.call.id] : []);
  assert.equal(new Set(outputs).size, outputs.length, "one output of every function");

  const said = events.filter((it) => it.type === "agent_said");
  const turns = events.flatMap((it) =>
    it.type === "agent_said" || it.type === "caller_said" ? [it.turn] : []
  );
  assert.equal(new Set(turns).size, turns.length, "no turn is told twice");
  const { extra, missing } = compareHeard(said, call.heard, []);
  assert.deepEqual(extra, [], "no word on record that was not heard");
  assert.ok(missing.length <= REPEATED_MAX * kept.length, `${missing.length} are repeated`);

  for (const { text } of toldBefore(recorded, lostAtMs)) {
    const told = events.flatMap((it) => it.type === "caller_said" ? [it.text] : []).join(" ");
    assert.ok(told.includes(text), `"${text}" is lost`);
  }
  kept.forEach((count) => checkTakeover(events.slice(0, count), events.slice(count)));
}

/** Final words that a machine knew for long enough before it was lost. */
function toldBefore(recorded: LostCall["recorded"], lostAtMs: readonly number[]) {
  return recorded.flatMap(({ event, atMs }) => {
    const lostAt = lostAtMs.find((ms) => ms >= atMs) ?? Infinity;
    return event.type === "caller_heard" && lostAt - atMs > KNOWN_MS ? [event] : [];
  });
}

/** What was being said goes on at the first word that is not known to be heard. */
function checkTakeover(before: LostCall["events"], behind: LostCall["events"]): void {
  const given = new Map<number, string>();
  for (const event of before) {
    if (event.type === "speech_given") {
      given.set(event.turn, `${given.get(event.turn) ?? ""} ${event.text}`.trim());
    } else if (event.type === "agent_said") given.delete(event.turn);
    else if (event.type === "caller_said" || event.type === "caller_began") given.clear();
  }
  for (const [turn, text] of given) {
    const said = behind.find((it) => it.type === "agent_said" && it.turn === turn);
    assert.ok(said?.type === "agent_said", "what was heard of it is on record");
    assert.equal(`${said.text} ${said.unheard}`.trim(), text);
    if (said.unheard === "") continue;
    const next = behind.find((it) => it.type === "speech_given");
    const isGoneOn = next?.type === "speech_given" && next.text.startsWith(said.unheard);
    const isAnew = next?.type === "speech_given" && next.text === text; // what opens a call
    assert.ok(isGoneOn || isAnew, `"${said.unheard}" is not said`);
  }
}

const whole = await loseMachines({ lines: demoCaller, losses: [] });
const words = (call: LostCall): readonly string[] => call.heard.map(({ text }) => text);

const LONG = 60_000;
const agentWith = (change: Record<string, unknown>) => parseGraph({ ...demoAgent, ...change });
const hook = (name: string, afterMs: number) => ({
  name,
  on: { type: "elapsed", afterMs },
  do: { type: "say", text: `This is ${name}.` },
});

Deno.test("a machine that is lost as the call makes its nth event", async (t) => {
  for (const lagMs of [0, 60]) {
    const step = lagMs === 0 ? 1 : Math.min(SHARE, 4);
    for (let atEvent = 1; atEvent < whole.events.length; atEvent += step) {
      const at = whole.events[atEvent - 1];
      await t.step(`${atEvent}, ${at?.type}, ${lagMs} ms not on disk`, async () => {
        const call = await loseMachines({ lines: demoCaller, losses: [{ atEvent, lagMs }] });
        check(call);
        assert.equal(call.ends[0]?.reason, "agent_hung_up");
        assert.equal(call.ends[0]?.variables.time, "half past nine");
        let found = -1;
        for (const word of words(whole)) {
          found = words(call).indexOf(word, found + 1);
          assert.notEqual(found, -1, `"${word}" was never heard`);
        }
      });
    }
  }
});

Deno.test("a machine that is lost at any instant: a caller who spoke then is asked to say it again", async () => {
  const { endedAtMs } = whole;
  let asked = 0;
  for (let atMs = STEP_MS * (1 + SEED % SHARE); atMs < endedAtMs; atMs += STEP_MS * SHARE) {
    for (const lagMs of [0, 60]) {
      const call = await loseMachines({ lines: demoCaller, losses: [{ atMs, lagMs }] });
      try {
        check(call);
        assert.equal(call.ends[0]?.variables.time, "half past nine");
        if (call.events.some((it) => it.type === "speech_given" && it.text === ASK_AGAIN)) asked++;
      } catch (error) {
        throw new Error(`Lost at ${atMs} ms, ${lagMs} ms not on disk`, { cause: error });
      }
    }
  }
  assert.ok(asked > 0);
});

/** Agents that take other ways through a call. */
const AGENTS: readonly Graph[] = [
  agentWith({}),
  agentWith({ recording: { consent: "disclose" } }),
  agentWith({ turns: { firstMessageDelayMs: 1_500 } }),
  agentWith({ turns: { isEager: true, endpointing: "fixed" } }),
  agentWith({ turns: { bargeIn: { isAllowed: false } } }),
  agentWith({ limits: { ...demoAgent.limits, maxDurationMs: 25_000 } }),
  agentWith({ hooks: [hook("first", 3_000), hook("second", 12_000)] }),
  agentWith({
    hooks: [{
      ...hook("transfer", 15_000),
      do: { type: "transfer", to: "+15550100199", sentence: "I hand you over." },
    }],
  }),
];

Deno.test("agents of all kinds, a caller who barges in, and machines that are lost one after the other", async () => {
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    const random = prng(seed);
    let at = 0;
    const losses = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      at += 500 + random() * 12_000;
      return { atMs: at, lagMs: random() < 0.5 ? 0 : 60 };
    });
    try {
      const call = await loseMachines({
        ...{ lines: random() < 0.9 ? demoCaller : [], losses, seed },
        graph: AGENTS[seed % AGENTS.length] ?? agentWith({}),
        ...(random() < 0.6 ? { bargeInAtMs: 200 + random() * 4_000 } : {}),
        kit: { delayMs: { toCarrier: 60 * random(), toServer: 60 * random() } },
      });
      check(call);
    } catch (error) {
      throw new Error(`Seed ${seed}`, { cause: error });
    }
  }
});

Deno.test("the time of a call runs on: its limit and its hooks count from the answer", async () => {
  const graph = agentWith({
    limits: { ...demoAgent.limits, maxDurationMs: LONG, idleMs: 8_000, idlePromptCount: 10 },
    hooks: [hook("early", 15_000), hook("meanwhile", 30_200), hook("late", 45_000)],
  });
  const lost = [12_000, 30_000, 33_000].map((atMs) => ({ atMs, lagMs: 0 }));
  for (const losses of [[], lost]) {
    const call = await loseMachines({ lines: [], losses, graph, patienceMs: 2 * LONG });
    check(call);
    assert.equal(call.ends[0]?.reason, "max_duration");
    assert.ok(call.endedAtMs > LONG && call.endedAtMs < LONG + 8_000, `${call.endedAtMs} ms`);
    const heard = words(call).filter((word) => /^(early|meanwhile|late)\.$/.test(word));
    assert.deepEqual(heard, ["early.", "meanwhile.", "late."]);
  }
});

Deno.test("a machine that is lost while the time is up leaves its last words to the next", async () => {
  const graph = agentWith({ limits: { ...demoAgent.limits, maxDurationMs: 20_000 } });
  const losses = [{ atMs: 21_500, lagMs: 0 }];
  const call = await loseMachines({ lines: [], losses, graph, patienceMs: LONG });
  check(call);
  assert.equal(call.ends[0]?.reason, "max_duration");
  const said = call.events.flatMap((it) => it.type === "agent_said" ? [it.text] : []);
  assert.equal(said.slice(-2).join(" "), graph.timeUpSentence);
});

Deno.test("clocks that are apart neither end a call nor let it run on", () => {
  const answeredAt = new Date(1_000_000);
  const history = { events: [], answeredAt, lastAt: new Date(1_030_000) };
  const heldAt = (ms: number): number => heldFor(history, new Date(ms));
  assert.deepEqual([heldAt(1_032_000), heldAt(900_000), heldAt(9_999_000)], [
    ...[32_000, 30_000, 90_000],
  ]);
  assert.equal(heldFor({ events: [], answeredAt: null, lastAt: null }, answeredAt), 0);
});

Deno.test("a recording goes on: it is told of and consented to once, and stays what it was", async () => {
  const graph = agentWith({ recording: { consent: "ask" } });
  const lines = ["Yes, that is fine.", ...demoCaller];
  const ofTape = (call: LostCall) =>
    call.events.filter(({ type }) => type.startsWith("recording_")).map(({ type }) => type);
  const told = await loseMachines({ lines, graph, losses: [] });
  const began = told.events.findIndex(({ type }) => type === "recording_started");
  assert.ok(began > 0);
  for (let atEvent = 1; atEvent < began + 12; atEvent++) {
    const call = await loseMachines({ lines, graph, losses: [{ atEvent, lagMs: 0 }] });
    check(call);
    const kept = call.events.slice(0, call.kept[0]).map(({ type }) => type);
    if (kept.includes("caller_heard") && !kept.includes("recording_answered")) {
      const [first, second] = ofTape(call);
      assert.deepEqual([first, second], Array(2).fill("recording_disclosed"), "asked again");
      continue; // this caller has no second yes
    }
    const isOn = kept.includes("recording_started");
    assert.deepEqual(ofTape(call).slice(isOn ? 0 : -2), [
      ...isOn ? ["recording_disclosed", "recording_answered"] : [],
      "recording_started",
      ...isOn ? ["recording_continued"] : [],
      "recording_stopped",
    ], `lost at ${atEvent}`);
  }
});
