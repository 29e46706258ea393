/** Seeded barge-ins: a caller talks over the agent at random instants; what it heard is held against the transcript. */

import type { CallEvent } from "@/actors/call/events.ts";
import { speak } from "@/lib/audio/modem.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { prng } from "./actor_kit.ts";
import { callKit } from "./call_kit.ts";
import { type ClearFlight, compareHeard, type Comparison, playedWords } from "./heard.ts";
import type { MediaStream } from "./twilio_media.ts";

export interface CutsOptions {
  readonly seed: number;
  /** Barge-ins in this call. */
  readonly cuts: number;
  /** Most of the carrier's delay each way; a constant of the call is drawn from 0 to it. */
  readonly delayMaxMs: number;
  /** Adds to each message's delay, order kept. */
  readonly jitterMs?: number;
}

export interface CutsResult extends Comparison {
  /** Utterances of the agent that were cut off. */
  readonly cuts: number;
  /** Of the order of all messages handled: equal for equal seeds. */
  readonly traceHash: string;
}

/** What the agent says again and again: short words and long ones, numbers, several sentences. */
const SPEECHES = [
  "I am a bit of a talker, so go on and cut me off whenever you like. It is all the same to me.",
  "The clinic is open from Monday to Friday, nine to five. On Saturdays, until one. Is a day better?",
  "A 9 or a 10, or at 3:30? I could do either. Unfortunately Wednesday afternoon is fully booked.",
  "Yes. No. I do. We see. Then let me repeat that: extraordinarily long words are understandable too.",
];
const INTERRUPTIONS = ["Stop.", "No, wait a moment.", "A", "Sorry, I meant another day.", "Well"];
/** No reply of the above is longer, so a barge-in that is due is always made. */
const LONGEST_MS = 8_000;
const AFTER_MS = 20_000;

/** One call with so many barge-ins at instants of its seed. */
export async function runCuts(options: CutsOptions): Promise<CutsResult> {
  const { seed, cuts, delayMaxMs, jitterMs } = options;
  const random = prng(seed);
  const delayMs = { toCarrier: delayMaxMs * random(), toServer: delayMaxMs * random() };
  const { kit, connect, events, close } = callKit({
    seed,
    script: (_prompt, n) => ({ text: SPEECHES[n % SPEECHES.length] ?? "" }),
    delayMs,
    ...(jitterMs === undefined ? {} : { jitterMs }),
  });
  const { clock } = kit;
  const stream = await connect();

  for (let cut = 0; cut < cuts; cut++) {
    while (stream.player.endsAtMs() <= clock.now()) await clock.advance(20);
    await clock.advance(random() * LONGEST_MS * random()); // early cuts are the harder ones
    const text = INTERRUPTIONS[Math.floor(random() * INTERRUPTIONS.length)] ?? "";
    const { audio } = speak(text);
    void stream.say(audio);
    await clock.advance(audio.length / BYTES_PER_MS);
  }
  await clock.advance(AFTER_MS);
  stream.stop();
  await clock.advance(1_000);

  const said = events.filter((event) => event.type === "agent_said");
  const compared = compareHeard(said, playedWords(stream), flightsOf(stream, delayMs.toCarrier));
  const traceHash = kit.traceHash();
  await close();
  return { ...compared, cuts: said.filter(isCut).length, traceHash };
}

function isCut(event: Extract<CallEvent, { type: "agent_said" }>): boolean {
  return event.bargedIn;
}

/** With jitter a `clear` may have left up to so much later than this says: in flight for less long. */
function flightsOf(stream: MediaStream, toCarrierMs: number): ClearFlight[] {
  return stream.log.flatMap((entry) =>
    entry.type === "clear" ? [{ sentAtMs: entry.atMs - toCarrierMs, actedAtMs: entry.atMs }] : []
  );
}
