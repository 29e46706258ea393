/** The conversation of a call: what the dialogue takes, what follows, and what others have it do. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { BEEP_WAIT_MS } from "@/actors/call/answering.ts";
import { STALL_MS } from "@/actors/call/clauses.ts";
import { type Command, controlled } from "@/actors/call/control.ts";
import { type DialogueEvent, type Effect, SETTLE_MS } from "@/actors/call/dialogue.ts";
import { type Ending, TRANSFERRED } from "@/actors/call/ending.ts";
import type { CallPart, EndReason } from "@/actors/call/events.ts";
import { heardBy } from "@/actors/call/realtime.ts";
import { isInterruptible } from "@/actors/call/relayed.ts";
import { takeEvent } from "@/actors/call/scene/course.ts";
import { voiceAt } from "@/actors/call/tuning.ts";
import { deadlineOf, type Turn } from "@/actors/call/turns.ts";
import { isSensitive } from "@/actors/call/withheld.ts";
import { byHook, type HookAction, hooksOf, type Moment, withPull } from "@/lib/workflow/hooks.ts";
import { tune } from "./children.ts";
import type { CallFacts } from "./facts.ts";
import { end } from "./hanging_up.ts";
import { record, show } from "./record.ts";
import { heedNode, hush, pauseTape, startRecording } from "./recorded.ts";
import { surround } from "./surroundings.ts";
import { type CallState, type MessageOf, rendered } from "./state.ts";

/** What happens while the line is open is told to the dialogue. */
export function tell(
  call: CallFacts,
  state: CallState,
  event: DialogueEvent,
  ctx: Context<CallMessage>,
): CallState {
  return state.phase === "live" ? converse(call, state, event, ctx) : state;
}

/** What tells of speech counts until the line is closed: a call that is being hung up is still heard. */
export function tellOfSpeech(
  call: CallFacts,
  state: CallState,
  event: DialogueEvent,
  ctx: Context<CallMessage>,
): CallState {
  return state.phase === "ending"
    ? converse(call, state, event, ctx)
    : tell(call, state, event, ctx);
}

/** Lets the dialogue take an event, and does what follows. */
export function converse(
  call: CallFacts,
  state: CallState,
  event: DialogueEvent,
  ctx: Context<CallMessage>,
): CallState {
  const before = state.dialogue;
  // A reply made in advance would have begun as the caller's turn ends, and that is when a call leaves best.
  const isPressed = state.leaving !== "never" || (call.deps.isPressed?.() ?? false);
  const scenario = isPressed ? { ...call.scenario, isPressed } : call.scenario;
  const [dialogue, effects] = takeEvent(before, event, scenario, ctx.now());
  let next: CallState = { ...state, dialogue };
  const isHere = isSensitive(call.graph, before.workflow.node);
  for (const effect of effects) {
    const report = effect.type === "record" ? heardBy(effect.event, before) : null;
    if (report !== null) call.deps.heard?.(report);
    next = effect.type === "record"
      ? record(call, next, effect.event, ctx, isHere)
      : perform(call, next, effect, ctx);
  }
  const isSaid = dialogue.utterances.length === 0 && before.utterances.length > 0;
  if (isSaid) next = pauseTape(call, next, { cause: "repeated", isPaused: false }, ctx);
  if (dialogue.workflow.node !== before.workflow.node) {
    const isHushed = isSensitive(call.graph, dialogue.workflow.node);
    if (isHushed !== isHere) {
      for (const { ref } of next.listening.seats) ref.send({ type: "hushed", isHushed });
    }
    tune(call, next);
    next = heedNode(call, next, ctx);
  }
  const isSpeakerNew = event.type === "speakerLost";
  if (isSpeakerNew || dialogue.isMuted !== before.isMuted) surround(call, next);
  if (dialogue.turn.floor !== before.turn.floor) {
    show(call, next, { type: "state", floor: dialogue.turn.floor });
  }
  if (next.phase === "live" && dialogue.turn !== before.turn) {
    ctx.timer("turn", deadlineOf(dialogue.turn, call.scenario.rules), { type: "deadlinePassed" });
  }
  const hasFailed = effects.some((it) => it.type === "record" && it.event.type === "failed");
  if (hasFailed) next = pull(call, next, { type: "failed" }, ctx);
  const { node } = dialogue.workflow;
  if (node !== before.workflow.node) next = pull(call, next, { type: "moved", node }, ctx);
  const prompts = promptsOf(dialogue.turn);
  if (prompts > promptsOf(before.turn)) next = pull(call, next, { type: "silent", prompts }, ctx);
  return next;
}

type Begin = Extract<Effect, { type: "begin" }>;

function perform(
  call: CallFacts,
  state: CallState,
  effect: Exclude<Effect, { type: "record" }>,
  ctx: Context<CallMessage>,
): CallState {
  const { speaker, model, listener, leg } = state.children;
  switch (effect.type) {
    case "begin":
      if (effect.keys === undefined) return begin(call, state, effect);
      noteKeys(call, state, effect, ctx);
      return hush(call, state, effect.keys, ctx);
    case "text":
      speaker.send(effect);
      return hush(call, state, effect.text, ctx);
    case "finish":
    case "release":
    case "discard":
      speaker.send(effect);
      return state;
    case "listen":
      listener.send(effect);
      return state;
    case "silence": {
      const { generation } = effect;
      if (leg !== null) speaker.send({ type: "silence", generation, leg });
      ctx.timer(`settle ${generation}`, SETTLE_MS, { type: "settleDue", generation });
      return state;
    }
    case "request":
      model.send(effect);
      return state;
    case "withdraw":
      model.send(effect);
      return state;
    case "awaitToken":
      ctx.timer("stall", STALL_MS, { type: "stallDue", request: effect.request });
      return state;
    case "awaitBeep":
      ctx.timer("beep", BEEP_WAIT_MS, { type: "beepDue" });
      return state;
    case "startRecording":
      return startRecording(call, state, ctx);
    case "hangUp":
      return end(call, state, effect.ending, effect.sentence, ctx);
  }
}

function begin(call: CallFacts, state: CallState, effect: Begin): CallState {
  const { speaker, leg } = state.children;
  if (leg === null || state.phase !== "live") return state; // on a line that is being closed nothing begins
  const voice = voiceAt(call.graph, state.dialogue.workflow.node);
  const mayBeCut = isInterruptible(call.graph, state.dialogue);
  speaker.send({ ...effect, leg, voice, isInterruptible: mayBeCut });
  return state;
}

/** A key that was heard cannot be taken back: no tone begins before it is on record that it is about to. */
function noteKeys(
  call: CallFacts,
  state: CallState,
  effect: Begin,
  ctx: Context<CallMessage>,
): void {
  const { handOver } = call.deps;
  if (handOver === undefined) return void begin(call, state, effect);
  ctx.hold("keys", handOver.flush, () => ({ type: "keysNoted", begin: effect }));
}

/** The tones may begin. Without a database they do all the same: nobody else could take the call. */
export function keysNoted(
  call: CallFacts,
  state: CallState,
  { begin: effect }: MessageOf<"keysNoted">,
): CallState {
  return begin(call, state, effect);
}

/** Something failed, and the call goes on. */
export function fail(
  call: CallFacts,
  state: CallState,
  part: CallPart,
  error: { readonly code: string; readonly message: string },
  ctx: Context<CallMessage>,
): CallState {
  const { code, message } = error;
  const failed = record(call, state, { type: "failed", part, code, message }, ctx);
  return pull(call, failed, { type: "failed" }, ctx);
}

/** Says the agent's apology, then hangs up; with no leg to say it on, the carrier says it. */
export function apologise(
  call: CallFacts,
  state: CallState,
  reason: EndReason,
  ctx: Context<CallMessage>,
): CallState {
  if (state.dialogue.ending !== null) return state; // as a hook has it, say, that transfers
  const ending: Ending = { outcome: "failed", reason };
  const sentence = rendered(call.graph.failureSentence, state);
  if (state.phase === "live") return tell(call, state, { type: "end", sentence, ending }, ctx);
  return end(call, state, ending, sentence, ctx);
}

/** Does what the agent's hooks have for this moment. */
export function pull(
  call: CallFacts,
  state: CallState,
  moment: Moment,
  ctx: Context<CallMessage>,
): CallState {
  let next = state;
  for (const hook of hooksOf(call.graph.hooks, moment, state.pulls)) {
    if (next.phase !== "live" || next.dialogue.ending !== null) return next;
    if (hook.do.type === "transfer" && !call.isAsked) continue; // no carrier dials for it
    const by = byHook(hook);
    const pulled = { ...next, pulls: withPull(next.pulls, by) };
    const command = spoken(hook.do, next);
    next = obey(call, record(call, pulled, controlled(command, by), ctx), command, ctx);
  }
  return next;
}

function spoken(action: HookAction, state: CallState): Command {
  switch (action.type) {
    case "say":
      return { ...action, text: rendered(action.text, state) };
    case "transfer":
      return { ...action, sentence: action.sentence && rendered(action.sentence, state) };
    case "addContext":
    case "hangUp":
      return action;
  }
}

/** Does what somebody of the company, or the agent's hook, commands. */
export function obey(
  call: CallFacts,
  state: CallState,
  command: Command,
  ctx: Context<CallMessage>,
): CallState {
  switch (command.type) {
    case "say": {
      const { text, interrupts } = command;
      return tell(call, state, { type: "say", sentence: text, interrupts }, ctx);
    }
    case "pressKeys":
      return tell(call, state, { type: "sendKeys", keys: command.keys }, ctx);
    case "addContext":
      return tell(call, state, { type: "note", text: command.text }, ctx);
    case "mute":
    case "unmute":
      return tell(call, state, { type: "mute", isMuted: command.type === "mute" }, ctx);
    case "pauseRecording":
    case "resumeRecording": {
      const isPaused = command.type === "pauseRecording";
      return pauseTape(call, state, { cause: "asked", isPaused }, ctx);
    }
    case "transfer": {
      const { to, sentence } = command;
      const leaving: CallState = { ...state, transferTo: to };
      if (sentence === null) return end(call, leaving, TRANSFERRED, null, ctx);
      return tell(call, leaving, { type: "end", sentence, ending: TRANSFERRED }, ctx);
    }
    case "hangUp":
      return end(call, state, { outcome: "answered", reason: "agent_hung_up" }, null, ctx);
  }
}

function promptsOf(turn: Turn): number {
  return "prompts" in turn ? turn.prompts : 0;
}
