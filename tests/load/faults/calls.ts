/** Calls whose callers go on over every stream that they are given, and what each of them heard of a fault. */

import { isAudible } from "@/lib/audio/energy.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { systemClock } from "@/lib/clock.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { repeatOf } from "@/lib/workflow/phrases.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import { playedWords } from "@/tests/support/heard.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";
import { network, type Reach } from "@/tests/support/twilio_webhooks.ts";
import { callIdOf, dial } from "@/tests/load/dial.ts";
import { CALL_MAX_MS, type Target } from "@/tests/load/phone.ts";

/** What went wrong last. */
export interface Fault {
  /** By our clock; Infinity: nothing yet. */
  readonly atMs: number;
  /** When the callers of a machine begin to hear nothing: its streams end, or stay and are silent from then on. */
  readonly silentFrom: "streamEnd" | "fault";
  /** What was said to its end before a stream ended is on record: nobody says it again. */
  readonly isOrderly: boolean;
  /** What is said after the fault, on a stream that goes on, is on no record. */
  readonly isForgotten?: true;
}

export const NO_FAULT: Fault = { atMs: Infinity, silentFrom: "streamEnd", isOrderly: true };

/** A call that has ended. */
export interface Fallen {
  readonly phoned: FakeCall;
  /** Null: it never had a stream. */
  readonly callId: string | null;
  /** What the caller said to its end, long enough before the stream was lost. */
  readonly finished: readonly string[];
  /** From the end of each stream but the last to whoever speaks first on the next one. */
  readonly silencesMs: readonly number[];
  /** Pieces of audio that the caller heard on a stream after the next one had begun. */
  readonly staleFrames: number;
}

/** What was said so shortly before a machine died may be lost with it. */
const NEWS_MS = 250;
/** A line that ended so shortly before the fault may not have been taken: people say it again. */
const UNTAKEN_MS = 1_000;
/** Nobody talks to a dead line, nor hangs up while it may come back. */
const PATIENCE_MS = 30_000;
const STEP_BYTES = 40; // 5 ms

/** As carriers reach a house: a connection a request, so that none leads to a machine that has stopped since. */
const REACH: Reach = {
  ...network("", ""),
  async post(url, form, headers) {
    const response = await fetch(url, {
      method: "POST",
      body: form,
      headers: { ...headers, Connection: "close" },
    });
    return { status: response.status, body: await response.text() };
  },
};

/** What callers say to an agent: to each of its questions, in the order in which it asks them, a line. */
export interface Script {
  readonly graph: Graph;
  readonly lines: readonly string[];
}

/** Phones the demo's number, and answers what is asked, again where it is asked again; resolves when the call has ended. */
export async function ring(
  target: Target,
  { graph, lines, fault }: Script & { readonly fault: () => Fault },
): Promise<Fallen> {
  const callers: Caller[] = []; // one a stream
  const asks = questionsOf(graph);
  const toRepeat = asks.length; // its number among the questions
  const again = graph.language === null ? null : repeatOf(graph.language);
  const questions = [...asks, ...(again === null ? [] : [again])].map(lastSentence).map(plain);
  const faults: Fault[] = []; // the last one when the stream after the first, second, … began
  let said = 0;
  let lastLine = 0;
  let spokeUntil = -Infinity;

  function streamed(stream: MediaStream): void {
    const before = callers.at(-1);
    if (before !== undefined) faults.push(fault());
    const { atMs, isOrderly } = fault();
    const last = before?.lines.at(-1);
    const ended = phoned?.log.findLast(({ type }) => type === "streamEnded")?.atMs ?? Infinity;
    const takenUntil = isOrderly ? ended : Math.min(ended, atMs - UNTAKEN_MS);
    const isUntaken = last !== undefined && last.endsAtMs > takenUntil;
    if (isUntaken) said--;
    const isTheirTurn = isUntaken || (before?.isTheirTurn ?? false);
    before?.stop();
    callers.push(newCaller({
      clock: systemClock,
      stream,
      lines: [],
      next() {
        const asked = askedLast(stream, questions, spokeUntil);
        const nth = asked === toRepeat ? lastLine : asked ?? said;
        return lines[nth] ?? null;
      },
      patienceMs: PATIENCE_MS,
      isTheirTurn,
      hangUp: () => phoned?.hangUp(),
      said({ text, endsAtMs }) {
        lastLine = lines.indexOf(text);
        said = lastLine + 1;
        spokeUntil = endsAtMs;
      },
    }));
  }

  let phoned: FakeCall | null = null;
  const up = await dial(target, { reach: REACH, streamed });
  phoned = up;
  const cancel = systemClock.timer(CALL_MAX_MS, () => up.hangUp());
  await up.ended;
  cancel();
  for (const caller of callers) caller.stop();
  const until = carriedUntil(up, faults);
  return {
    phoned: up,
    callId: callIdOf(up),
    finished: finishedOf(callers, until, faults),
    silencesMs: silencesOf(up, callers, until),
    staleFrames: staleFramesOf(up.streams),
  };
}

function questionsOf({ nodes }: Graph): string[] {
  return nodes.flatMap((node) => "variables" in node ? node.variables : []).flatMap(({ ask }) =>
    ask ?? []
  );
}

function lastSentence(text: string): string {
  return text.split(/(?<=[.?!])\s+/).at(-1) ?? text;
}

/** The number of the question that the caller heard last since then; null: none. */
function askedLast(
  stream: MediaStream,
  questions: readonly string[],
  sinceMs: number,
): number | null {
  const words = playedWords(stream).filter(({ endedAtMs }) => endedAtMs > sinceMs);
  const heard = plain(words.map(({ text }) => text).join(" "));
  const places = questions.map((question) => heard.lastIndexOf(question));
  const last = Math.max(-1, ...places);
  return last === -1 ? null : places.indexOf(last);
}

/** Words alone, for comparing. */
export function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z ]/g, "").trim();
}

/** Until when each stream carried anything: to its end, or to the fault that left it silent, if that came later. */
function carriedUntil({ log, streams }: FakeCall, faults: readonly Fault[]): number[] {
  const ends = log.filter((entry) => entry.type === "streamEnded" || entry.type === "ended");
  return ends.map(({ atMs: ended }, nth) => {
    const { silentFrom, atMs } = faults[nth] ?? NO_FAULT;
    const wasThere = (streams[nth]?.startedAtMs ?? Infinity) < atMs;
    return silentFrom === "fault" && wasThere ? Math.min(ended, atMs) : ended;
  });
}

/** What the caller said to its end, so that it was to be recorded. */
function finishedOf(
  callers: readonly Caller[],
  until: readonly number[],
  faults: readonly Fault[],
): string[] {
  return callers.flatMap(({ lines }, nth) => {
    const { isForgotten, atMs } = faults[nth] ?? NO_FAULT;
    const last = Math.min(until[nth] ?? -Infinity, isForgotten ? atMs : Infinity) - NEWS_MS;
    return lines.filter(({ endsAtMs }) => endsAtMs < last).map(({ text }) => text);
  });
}

function silencesOf(
  { streams }: FakeCall,
  callers: readonly Caller[],
  until: readonly number[],
): number[] {
  return streams.slice(1).flatMap((stream, nth) => {
    const theirs = callers[nth + 1]?.lines[0]?.startedAtMs ?? Infinity;
    const first = Math.min(firstSound(stream) ?? Infinity, theirs); // whoever speaks first
    const last = until[nth] ?? Infinity;
    return first === Infinity || last === Infinity ? [] : [first - last];
  });
}

/** When the caller heard something of a stream; null: never. */
function firstSound({ player }: MediaStream): number | null {
  for (const { audio, atMs } of player.pieces()) {
    for (let at = 0; at < audio.length; at += STEP_BYTES) {
      if (isAudible(audio.subarray(at, at + STEP_BYTES))) return atMs + at / BYTES_PER_MS;
    }
  }
  return null;
}

function staleFramesOf(streams: readonly MediaStream[]): number {
  return streams.slice(1).reduce((sum, next, nth) => {
    const pieces = streams[nth]?.player.pieces() ?? [];
    return sum + pieces.filter(({ atMs }) => atMs > next.startedAtMs).length;
  }, 0);
}
