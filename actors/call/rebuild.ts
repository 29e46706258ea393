/** Rebuilds a call's dialogue from its events, after a crash: what was said and heard, and where the graph stands. */

import type { Graph } from "@/lib/workflow/graph.ts";
import { type Pulls, withPull } from "@/lib/workflow/hooks.ts";
import type { Entry } from "./conversation.ts";
import type { Controlled } from "./control.ts";
import {
  noRecording,
  type RecordingEvent,
  type RecordingRecord,
  takeRecordingEvent,
} from "./disclosure.ts";
import { type Dialogue, newDialogue } from "./dialogue.ts";
import type { CallEvent } from "./events.ts";

export interface Rebuilt {
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
  });
  // An utterance is recorded when it is over; one that was being said is lost, and the caller hears an answer anew.
  const last = rebuilt.dialogue.entries.at(-1);
  const { turns } = rebuilt.dialogue.counts;
  const counts = { ...rebuilt.dialogue.counts, turns, generations: last === undefined ? 0 : turns };
  return { ...rebuilt, dialogue: { ...rebuilt.dialogue, counts } };
}

function take(before: Rebuilt, event: CallEvent): Rebuilt {
  const rebuilt = { ...before, recording: takeRecordingEvent(before.recording, event) };
  const seq = rebuilt.seq + 1;
  const { dialogue } = rebuilt;
  switch (event.type) {
    case "call_started":
    case "dtmf_pressed":
    case "keys_sent":
    case "caller_signalled":
    case "failed":
    case "recording_paused":
    case "recording_resumed":
    case "recording_stopped":
    case "recording_failed":
    case "listen_started":
    case "listen_ended":
    case "takeover_started":
    case "takeover_ended":
      return { ...rebuilt, seq };
    case "recording_disclosed":
    case "recording_answered":
    case "recording_started":
      return { ...rebuilt, seq, dialogue: disclosed(dialogue, event) };
    case "call_dialed":
      return { ...rebuilt, seq, carrierCallId: event.carrierCallId };
    case "leg_started":
      return { ...rebuilt, seq, epoch: Math.max(rebuilt.epoch, event.epoch), isLegOpen: true };
    case "leg_lost":
      return { ...rebuilt, seq, isLegOpen: false };
    case "call_ended":
      return { ...rebuilt, seq, isEnded: true };
    case "answered_by": {
      const answering = { ...dialogue.answering, phase: "over" } as const;
      return { ...rebuilt, seq, dialogue: { ...dialogue, answering } };
    }
    case "controlled":
      return {
        ...rebuilt,
        seq,
        dialogue: control(dialogue, event),
        pulls: withPull(rebuilt.pulls, event.by),
      };
    case "workflow_moved":
      return { ...rebuilt, seq, dialogue: { ...dialogue, workflow: event.workflow } };
    case "colleague_said":
      return { ...rebuilt, seq, dialogue: add(dialogue, event.turn, []) };
    case "caller_said":
      return {
        ...rebuilt,
        seq,
        dialogue: add(dialogue, event.turn, [{ role: "caller", text: event.text }]),
      };
    case "agent_said": {
      const { turn, text } = event;
      const said: Entry = { role: "agent", generation: turn, text, heard: text };
      return { ...rebuilt, seq, dialogue: add(dialogue, turn, [said]) };
    }
    case "tool_called": {
      const { call, output } = event;
      const entries: Entry[] = [
        { role: "toolCall", call },
        { role: "toolOutput", callId: call.id, output },
      ];
      return { ...rebuilt, seq, dialogue: add(dialogue, dialogue.counts.turns, entries) };
    }
  }
}

/** Until the caller has answered, what was asked is asked again. */
function disclosed(dialogue: Dialogue, event: RecordingEvent): Dialogue {
  const isAsked = event.type === "recording_disclosed" && event.consent === "ask";
  const phase = isAsked ? "missed" : "over";
  const disclosure = { ...dialogue.disclosure, phase } as const;
  return { ...dialogue, disclosure, preamble: dialogue.entries.length };
}

/** What commands left behind; what was to be said is lost with the call that was to say it. */
function control(dialogue: Dialogue, { action, text }: Controlled): Dialogue {
  switch (action) {
    case "addContext":
      return { ...dialogue, notes: [...dialogue.notes, text ?? ""] };
    case "mute":
    case "unmute":
      return { ...dialogue, isMuted: action === "mute" };
    case "say":
    case "pressKeys":
    case "transfer":
    case "pauseRecording":
    case "resumeRecording":
    case "hangUp":
      return dialogue;
  }
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
