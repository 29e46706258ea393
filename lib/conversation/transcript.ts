/** The transcript of a call: who said what and when, worked out from its events. */

/** When something was said: milliseconds before its event. Null: not known, as of an utterance that never began. */
export interface Span {
  readonly beganMs: number | null;
  readonly endedMs: number | null;
}

export interface CallerSaid {
  readonly type: "caller_said";
  readonly turn: number;
  readonly text: string;
  readonly span?: Span;
}

/** Somebody of the company has spoken in the agent's place; `by` is who. */
export interface ColleagueSaid {
  readonly type: "colleague_said";
  readonly turn: number;
  readonly by: string;
  readonly text: string;
}

/**
 * An utterance of the agent is over. `text` is what the caller heard; `unheard` what was cut off
 * behind it; `gapMs` the silence before it, null when nobody had asked anything.
 */
export interface AgentSaid {
  readonly type: "agent_said";
  readonly turn: number;
  readonly text: string;
  readonly unheard: string;
  readonly bargedIn: boolean;
  readonly gapMs: number | null;
  readonly span?: Span;
}

/** Events that tell of what is under way: what came of it stands in others. They are most of a conversation's. */
export const PROGRESS_TYPES = ["caller_began", "caller_heard", "speech_given", "speech_heard"];

/** An event of a conversation as it is on record. */
export interface RecordedEvent {
  readonly type: string;
  /** As its type has it: only a call writes events of its conversation. */
  readonly payload: unknown;
  readonly at: Date;
}

/** All that one party says before the other has the floor. */
export interface TranscriptTurn {
  /** Counts the turns of both, from 1. */
  readonly turn: number;
  readonly speaker: "caller" | "agent" | "colleague";
  /** What was heard: of the caller by the recogniser, of the agent by the caller. */
  readonly text: string;
  /** What the agent was about to say, and the caller did not hear. */
  readonly unheard: string;
  /** When it began to be heard; null where the record does not tell. */
  readonly startedAt: Date | null;
  readonly endedAt: Date;
  /** The silence the caller heard before the agent spoke; null when nobody had asked anything. */
  readonly gapMs: number | null;
  /** Whether it was broken off: the caller barged in, or the line was lost. */
  readonly interrupted: boolean;
}

/** In the order of their numbers: what was heard of an utterance may be known only after the caller's next words. */
export function transcriptOf(events: readonly RecordedEvent[]): readonly TranscriptTurn[] {
  return events
    .flatMap(({ type, payload, at }): TranscriptTurn[] => {
      switch (type) {
        case "caller_said":
          return [callerTurn(payload as CallerSaid, at)]; // see RecordedEvent
        case "colleague_said":
          return [colleagueTurn(payload as ColleagueSaid, at)];
        case "agent_said":
          return [agentTurn(payload as AgentSaid, at)];
        default:
          return [];
      }
    })
    .sort((a, b) => a.turn - b.turn);
}

function callerTurn({ turn, text, span }: CallerSaid, at: Date): TranscriptTurn {
  const times = timesOf(at, span);
  return { turn, speaker: "caller", text, unheard: "", ...times, gapMs: null, interrupted: false };
}

function colleagueTurn({ turn, text }: ColleagueSaid, at: Date): TranscriptTurn {
  const heard = { unheard: "", ...timesOf(at, undefined), gapMs: null, interrupted: false };
  return { turn, speaker: "colleague", text, ...heard };
}

function agentTurn({ turn, text, unheard, bargedIn, gapMs, span }: AgentSaid, at: Date) {
  const interrupted = bargedIn;
  const speaker = "agent" as const;
  return { turn, speaker, text, unheard, ...timesOf(at, span), gapMs, interrupted };
}

function timesOf(at: Date, span: Span | undefined): { startedAt: Date | null; endedAt: Date } {
  const before = (ms: number): Date => new Date(+at - ms);
  const beganMs = span?.beganMs ?? null;
  return {
    startedAt: beganMs === null ? null : before(beganMs),
    endedAt: before(span?.endedMs ?? 0),
  };
}

/** `[0:03] Agent: How can I help you?`, a line a turn that was heard; times are since `from`. */
export function transcriptText(turns: readonly TranscriptTurn[], from: Date): string {
  return turns
    .filter(({ text }) => text !== "")
    .map(({ speaker, text, startedAt, endedAt, interrupted }) => {
      const seconds = Math.max(0, Math.floor((+(startedAt ?? endedAt) - +from) / 1000));
      const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      const said = text.replace(/\s+/g, " ");
      return `[${time}] ${NAMES[speaker]}: ${said}${interrupted ? " –" : ""}\n`;
    })
    .join("");
}

const NAMES: Readonly<Record<TranscriptTurn["speaker"], string>> = {
  agent: "Agent",
  caller: "Caller",
  colleague: "Colleague",
};
