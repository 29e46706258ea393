/** Rebuilds a call's dialogue from its events, after a crash: what was said and heard, and where the graph stands. */

import { CUT_OFF, withKeys } from "@/actors/call/scene/tones.ts";
import type { AgentSaid } from "@/lib/conversation/transcript.ts";
import { type CallUsage, NO_USAGE } from "@/lib/conversation/usage.ts";
import { PRESSED } from "@/lib/workflow/engine.ts";
import { keysOf } from "@/lib/workflow/press_keys.ts";
import { type Graph, startOf } from "@/lib/workflow/graph.ts";
import { type Pulls, withPull } from "@/lib/workflow/hooks.ts";
import type { Variables } from "@/lib/workflow/template.ts";
import { addSaid, type Entry, saidOf, trimToHeard, wordsOf } from "./conversation.ts";
import type { Controlled } from "./control.ts";
import {
  noRecording,
  type RecordingEvent,
  type RecordingRecord,
  takeRecordingEvent,
} from "./disclosure.ts";
import { type Dialogue, newDialogue } from "./dialogue.ts";
import { AGENT_HUNG_UP, TRANSFERRED } from "./ending.ts";
import type { CallEvent, Owed, SpeechGiven } from "./events.ts";
import { cutUtterance, newUtterance } from "./ledger.ts";
import type { Turn } from "./turns.ts";
import { hasWithheld, isWithheld, WITHHELD } from "./withheld.ts";

/** What the model is told of a call whose caller gave something at a sensitive node. */
export const FORGOTTEN =
  `What the caller gave in confidence before the line was lost is not known any more: "${WITHHELD}" ` +
  "stands for it. Unless they have given it since, ask for it again where you need it.";
/** What the model is told of keys that were to be pressed, and of which nothing was kept. */
const KEYS_LOST = "Keys that were to be pressed were not: which they were is not known any more.";

export interface Rebuilt {
  /** As it was when its last event happened; what it was about to do is made good once its leg is told lost. */
  readonly dialogue: Dialogue;
  /** Events there are. */
  readonly seq: number;
  /** The last media stream that began. */
  readonly epoch: number;
  /** Nothing says that it has ended. */
  readonly isLegOpen: boolean;
  /** Null when no event says it. */
  readonly carrierCallId: string | null;
  readonly isEnded: boolean;
  readonly recording: RecordingRecord;
  readonly pulls: Pulls;
  /** Whom the caller was about to be handed to; null: to nobody. */
  readonly transferTo: string | null;
  /** The caller gave something that no record holds. */
  readonly isForgetful: boolean;
  /** Keys whose tones had begun, and nothing says how they ended: they may have been heard. Null: none. */
  readonly pressing: string | null;
  /** Final words of the caller whose turn is not over. */
  readonly callerText: string;
  /** The graph has been begun. */
  readonly isOpened: boolean;
  /** Of its providers, as far as it is known. */
  readonly usage: CallUsage;
}

export function rebuild(events: readonly CallEvent[], graph: Graph): Rebuilt {
  const rebuilt = inOrder(events).reduce<Rebuilt>(take, {
    dialogue: newDialogue(graph),
    seq: 0,
    epoch: 0,
    isLegOpen: false,
    carrierCallId: null,
    isEnded: false,
    recording: noRecording,
    pulls: {},
    transferTo: null,
    pressing: null,
    isForgetful: false,
    callerText: "",
    isOpened: false,
    usage: NO_USAGE,
  });
  const { dialogue, callerText: text, isOpened } = rebuilt;
  const { entries } = dialogue;
  const isAnswered = startOf(graph).greeting === "" &&
    entries.some(({ role }) => role === "caller");
  const preamble = isOpened || isAnswered ? dialogue.preamble : entries.length;
  const { turns } = dialogue.counts;
  const counts = { ...dialogue.counts, generations: turns }; // an utterance has the number of its turn
  const prompts = "prompts" in dialogue.turn ? dialogue.turn.prompts : 0;
  const isSaying = dialogue.utterances.some(({ cutAt }) => cutAt === null);
  const turn: Turn = !isSaying
    ? text === "" ? { floor: "quiet", prompts } : { floor: "caller", text }
    : dialogue.ending === null
    ? { floor: "agent", prompts, text }
    : { floor: "closing" };
  const notes = [
    ...dialogue.notes,
    ...(rebuilt.pressing === null ? [] : [CUT_OFF]),
    ...(rebuilt.isForgetful ? [FORGOTTEN] : []),
  ];
  return { ...rebuilt, dialogue: { ...dialogue, counts, turn, preamble, notes } };
}

function take(before: Rebuilt, event: CallEvent): Rebuilt {
  const rebuilt: Rebuilt = {
    ...before,
    seq: before.seq + 1,
    recording: takeRecordingEvent(before.recording, event),
    isForgetful: before.isForgetful || hasWithheld(event),
  };
  return change(rebuilt, event) ?? rebuilt; // a newer version may have written others, while it is deployed
}

/** Undefined for an event that this version does not know. */
function change(rebuilt: Rebuilt, event: CallEvent): Rebuilt | undefined {
  const { dialogue } = rebuilt;
  switch (event.type) {
    case "call_started":
    case "dtmf_pressed":
    case "caller_signalled":
    case "failed":
    case "recording_continued":
    case "recording_paused":
    case "recording_resumed":
    case "recording_stopped":
    case "recording_failed":
    case "listen_started":
    case "listen_ended":
    case "takeover_started":
    case "takeover_ended":
      return rebuilt;
    case "recording_disclosed":
    case "recording_answered":
    case "recording_started":
      return { ...rebuilt, dialogue: disclosed(rebuilt, event) };
    case "keys_begun": {
      const { digits } = event;
      return { ...rebuilt, pressing: digits, dialogue: { ...dialogue, keysToSend: "" } };
    }
    case "keys_sent": {
      const notes = event.isComplete ? dialogue.notes : [...dialogue.notes, CUT_OFF];
      return { ...rebuilt, pressing: null, dialogue: { ...dialogue, notes, keysToSend: "" } };
    }
    case "call_dialed":
      return { ...rebuilt, carrierCallId: event.carrierCallId };
    case "leg_started":
      return { ...rebuilt, epoch: Math.max(rebuilt.epoch, event.epoch), isLegOpen: true };
    case "leg_lost":
      return { ...rebuilt, isLegOpen: false, callerText: "", dialogue: owe(dialogue, event) };
    case "usage_counted":
      return { ...rebuilt, usage: event.usage };
    case "call_ended":
      return { ...rebuilt, isEnded: true };
    case "answered_by": {
      const answering = { ...dialogue.answering, phase: "over" } as const;
      return { ...rebuilt, dialogue: { ...dialogue, answering } };
    }
    case "controlled": {
      const { by, to } = event;
      const pulls = withPull(rebuilt.pulls, by);
      const transferTo = to ?? rebuilt.transferTo;
      return { ...rebuilt, dialogue: control(dialogue, event), pulls, transferTo };
    }
    case "workflow_moved": {
      const { variables } = event.workflow;
      const workflow = { ...event.workflow, variables: keptOf(variables) };
      return { ...rebuilt, isOpened: true, dialogue: { ...dialogue, workflow } };
    }
    case "colleague_said":
      return { ...rebuilt, dialogue: add(dialogue, event.turn, []) };
    case "caller_began":
      return { ...rebuilt, dialogue: { ...cut(dialogue), brokeOff: "caller" } };
    case "caller_heard": {
      const callerText = `${rebuilt.callerText} ${event.text}`.trim();
      return { ...rebuilt, callerText, dialogue: { ...dialogue, brokeOff: null } };
    }
    case "caller_said": {
      const { turn, text } = event;
      const said = add(cut(dialogue), turn, [{ role: "caller", text }]);
      const quiet = { floor: "quiet", prompts: 0 } as const;
      const answered = { ...said, brokeOff: null, unsaid: null, turn: quiet };
      return { ...rebuilt, callerText: "", dialogue: answered };
    }
    case "speech_given":
      return { ...rebuilt, dialogue: give(dialogue, event) };
    case "speech_heard":
      return { ...rebuilt, dialogue: hear(dialogue, event) };
    case "agent_said":
      return { ...rebuilt, dialogue: settle(dialogue, event) };
    case "tool_called": {
      const { call, output } = event;
      const called = add(dialogue, dialogue.counts.turns, [
        { role: "toolCall", call },
        { role: "toolOutput", callId: call.id, output },
      ]);
      if (output !== PRESSED) return { ...rebuilt, dialogue: { ...called, brokeOff: "request" } };
      const pressed = toPress({ ...called, brokeOff: null }, keysOf(call.arguments));
      return { ...rebuilt, dialogue: pressed };
    }
  }
  event satisfies never;
  return undefined;
}

/** What was not kept of them is not known any more. */
function keptOf(variables: Variables): Variables {
  const kept = Object.entries(variables).filter(([, value]) => !isWithheld(String(value)));
  return Object.fromEntries(kept);
}

/** Until the caller has answered, what was asked is asked again. */
function disclosed({ dialogue, isOpened }: Rebuilt, event: RecordingEvent): Dialogue {
  const isAsked = event.type === "recording_disclosed" && event.consent === "ask";
  const phase = isAsked ? "missed" : "over";
  const disclosure = { ...dialogue.disclosure, phase } as const;
  const preamble = isOpened ? dialogue.preamble : dialogue.entries.length;
  return { ...dialogue, disclosure, preamble };
}

/** They wait until nobody speaks, as they did; null, or not kept: the model is told so. */
function toPress(dialogue: Dialogue, keys: string | null): Dialogue {
  if (keys === null || isWithheld(keys)) {
    return { ...dialogue, notes: [...dialogue.notes, KEYS_LOST] };
  }
  return { ...dialogue, keysToSend: withKeys(dialogue.keysToSend, keys) };
}

/** What commands left behind. */
function control(dialogue: Dialogue, { action, text }: Controlled): Dialogue {
  switch (action) {
    case "addContext":
      return { ...dialogue, notes: [...dialogue.notes, text ?? ""] };
    case "mute":
    case "unmute":
      return { ...dialogue, isMuted: action === "mute" };
    case "say":
      if (text === null || isWithheld(text)) return dialogue;
      return { ...dialogue, given: [...dialogue.given, text] };
    case "transfer":
      return { ...dialogue, ending: TRANSFERRED };
    case "hangUp":
      return { ...dialogue, ending: AGENT_HUNG_UP };
    case "pressKeys":
      return toPress(dialogue, text);
    case "pauseRecording":
    case "resumeRecording":
      return dialogue;
  }
}

/** The agent is about to say more. What was not kept cannot be said again: it counts as not given. */
function give(dialogue: Dialogue, event: SpeechGiven): Dialogue {
  const { turn, isOpen, isFiller = false, ending = null, prompts = 0 } = event;
  const text = isWithheld(event.text) ? "" : event.text;
  const isNew = dialogue.utterances.every((it) => it.turn !== turn);
  const given = add(isNew ? cut(dialogue) : dialogue, turn, []); // one is said at a time
  return {
    ...given,
    entries: text === "" ? given.entries : addSaid(given.entries, turn, text, isFiller),
    utterances: isNew ? [...given.utterances, newUtterance(turn, turn)] : given.utterances,
    given: given.given.filter((sentence) => !text.includes(sentence.trim())),
    ending: ending ?? given.ending,
    turn: { floor: "quiet", prompts },
    unsaid: null,
    brokeOff: isOpen ? isFiller ? "request" : "answer" : null,
  };
}

function hear(dialogue: Dialogue, { turn, words }: { turn: number; words: number }): Dialogue {
  const utterances = dialogue.utterances.map((it) => {
    if (it.turn !== turn) return it;
    const heard = wordsOf(saidOf(dialogue.entries, turn)).slice(0, words);
    return {
      ...it,
      words: heard.map((text) => ({ text, endByte: 0 })),
      heardCount: heard.length,
    };
  });
  return { ...dialogue, utterances };
}

/** All is known of what was heard of a turn. */
function settle(dialogue: Dialogue, { turn, text }: AgentSaid): Dialogue {
  const utterances = dialogue.utterances.filter((it) => it.turn !== turn);
  const isGiven = dialogue.entries.some((it) => it.role === "agent" && it.generation === turn);
  const entries = isGiven
    ? trimToHeard(dialogue.entries, turn, wordsOf(text).length)
    : [...dialogue.entries, { role: "agent", generation: turn, text, heard: text } as const];
  return { ...add(dialogue, turn, []), utterances, entries };
}

/** The caller has the floor: what the agent was saying has been cut off. */
function cut(dialogue: Dialogue): Dialogue {
  const utterances = dialogue.utterances.map((it) => cutUtterance(it, 0));
  return { ...dialogue, utterances };
}

/** What a stream has left to the next; of a withheld sentence nothing. */
function owe(dialogue: Dialogue, { unsaid = "", brokeOff = null }: Partial<Owed>): Dialogue {
  const isLost = unsaid === "" || isWithheld(unsaid);
  return { ...dialogue, unsaid: isLost ? null : unsaid, brokeOff };
}

function add(dialogue: Dialogue, turn: number, entries: readonly Entry[]): Dialogue {
  const counts = { ...dialogue.counts, turns: Math.max(dialogue.counts.turns, turn) };
  return { ...dialogue, counts, entries: [...dialogue.entries, ...entries] };
}

/** What was heard of an utterance may be known only when the caller who barged in has been recorded. */
function inOrder(events: readonly CallEvent[]): readonly CallEvent[] {
  const ordered: CallEvent[] = [];
  for (const event of events) {
    const at = event.type === "agent_said"
      ? ordered.findIndex((it) => it.type === "caller_said" && it.turn > event.turn)
      : -1;
    ordered.splice(at < 0 ? ordered.length : at, 0, event);
  }
  return ordered;
}
