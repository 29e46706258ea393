/** Calls whose callers go on over every stream that they are given, and what each of them heard of a fault. */

import { isAudible } from "@/lib/audio/energy.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { systemClock } from "@/lib/clock.ts";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { type Caller, type Line, newCaller } from "@/tests/support/caller.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";
import { network, type Reach } from "@/tests/support/twilio_webhooks.ts";
import { CALL_MAX_MS, FROM, type Target } from "@/tests/load/phone.ts";

/** What went wrong last. */
export interface Fault {
  /** By our clock; Infinity: nothing yet. */
  readonly atMs: number;
  /** When the callers of a machine begin to hear nothing: its streams end, or stay and are silent from then on. */
  readonly silentFrom: "streamEnd" | "fault";
  /** What was said just before is on record: nobody says it again. */
  readonly isOrderly: boolean;
}

export const NO_FAULT: Fault = { atMs: Infinity, silentFrom: "streamEnd", isOrderly: true };

/** A call that has ended. */
export interface Fallen {
  readonly phoned: FakeCall;
  /** Null: it never had a stream. */
  readonly callId: string | null;
  readonly lines: readonly Line[];
  /** From the end of each stream but the last to whoever speaks first on the next one. */
  readonly silencesMs: readonly number[];
  /** Pieces of audio that the caller heard on a stream after the next one had begun. */
  readonly staleFrames: number;
}

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

/** Phones the demo agent, and says these lines; resolves when the call has ended. */
export async function ring(
  target: Target,
  { lines, fault }: { readonly lines: readonly string[]; readonly fault: () => Fault },
): Promise<Fallen> {
  const callers: Caller[] = []; // one a stream
  const faults: Fault[] = []; // the last one when the stream after the first, second, … began
  let said = 0;

  function streamed(stream: MediaStream): void {
    const before = callers.at(-1);
    if (before !== undefined) faults.push(fault());
    const { atMs, isOrderly } = fault();
    const last = before?.lines.at(-1);
    const isUntaken = !isOrderly && last !== undefined && last.endsAtMs > atMs - UNTAKEN_MS;
    if (isUntaken) said--;
    const isTheirTurn = isUntaken || (before?.isTheirTurn ?? false);
    before?.stop();
    callers.push(newCaller({
      clock: systemClock,
      stream,
      lines: lines.slice(said),
      patienceMs: PATIENCE_MS,
      isTheirTurn,
      hangUp: () => phoned?.hangUp(),
      said: () => void said++,
    }));
  }

  let phoned: FakeCall | null = null;
  const up = await placeInbound({
    webhookUrl: `${target.url}/twilio/voice`,
    publicUrl: target.url,
    authToken: target.carrierToken,
    from: FROM,
    to: DEMO_NUMBER,
    clock: systemClock,
    ...(target.twilio === null ? {} : { twilio: target.twilio }),
    reach: REACH,
    streamed,
  });
  phoned = up;
  const cancel = systemClock.timer(CALL_MAX_MS, () => up.hangUp());
  await up.ended;
  cancel();
  for (const caller of callers) caller.stop();
  return {
    phoned: up,
    callId: callIdOf(up),
    lines: callers.flatMap((caller) => caller.lines),
    silencesMs: silencesOf(up, callers, faults),
    staleFrames: staleFramesOf(up.streams),
  };
}

function callIdOf({ log }: FakeCall): string | null {
  const opened = log.flatMap((entry) => entry.type === "streamOpened" ? [entry.url] : []);
  return /\/media\/[^/]+\/([^/]+)\//.exec(opened[0] ?? "")?.[1] ?? null;
}

function silencesOf(
  { streams, log }: FakeCall,
  callers: readonly Caller[],
  faults: readonly Fault[],
): number[] {
  const ends = log.filter((entry) => entry.type === "streamEnded");
  return streams.slice(1).flatMap((stream, nth) => {
    const ended = ends[nth]?.atMs ?? Infinity;
    const theirs = callers[nth + 1]?.lines[0]?.startedAtMs ?? Infinity;
    const first = Math.min(firstSound(stream) ?? Infinity, theirs); // whoever speaks first
    if (ended === Infinity || first === Infinity) return [];
    const { silentFrom, atMs } = faults[nth] ?? NO_FAULT;
    return [first - (silentFrom === "fault" ? Math.min(ended, atMs) : ended)];
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
