/** Deepgram's v2 listen socket: turns that begin, pause, go on and end. */

import type { DeepgramContext, DeepgramSession } from "./deepgram.ts";
import { type EarWord, newEars, newStarvation, textOf } from "./deepgram_ears.ts";

const UPDATE_SECONDS = 0.25;
const EAGER_SECONDS = 0.3;
/** Tones have no prosody to tell the end of a turn from: silence is the model here. */
const END_SECONDS = 0.7;
const REQUEST_ID = "00000000-0000-7000-8000-000000000000";

export function fluxSession({ peer, query, clock }: DeepgramContext): DeepgramSession {
  const isEager = query.has("eager_eot_threshold");
  const ears = newEars();
  const starvation = newStarvation(peer, clock);
  let sequence = 0;
  let turnIndex = 0;
  let turnStart = 0;
  let words: EarWord[] = [];
  let wasEager = false;
  let saidAt = 0;

  function say(message: Readonly<Record<string, unknown>>): void {
    peer.send({ request_id: REQUEST_ID, sequence_id: sequence++, ...message });
  }

  function turn(event: string): void {
    saidAt = ears.heardSeconds;
    say({
      type: "TurnInfo",
      event,
      turn_index: turnIndex,
      audio_window_start: turnStart,
      audio_window_end: ears.heardSeconds,
      transcript: textOf(words),
      words,
      end_of_turn_confidence: event.endsWith("EndOfTurn") ? 0.9 : 0.1,
      ...(event === "EndOfTurn" ? { trigger: "model" } : {}),
    });
    if (event !== "EndOfTurn") return;
    turnIndex++;
    turnStart = ears.heardSeconds;
    words = [];
    wasEager = false;
  }

  say({ type: "Connected" });
  return {
    audio(audio) {
      starvation.fed();
      for (const word of ears.push(audio).words) {
        words.push(word);
        turn(words.length === 1 ? "StartOfTurn" : wasEager ? "TurnResumed" : "Update");
        wasEager = false;
      }
      if (words.length > 0 && ears.quietSeconds >= END_SECONDS) return turn("EndOfTurn");
      if (isEager && !wasEager && words.length > 0 && ears.quietSeconds >= EAGER_SECONDS) {
        turn("EagerEndOfTurn");
        wasEager = true;
      }
      if (ears.heardSeconds - saidAt >= UPDATE_SECONDS) turn("Update");
    },
    command({ type }) {
      starvation.fed();
      if (type === "CloseStream") {
        turn("Update"); // not EndOfTurn (developers.deepgram.com/docs/flux/close-stream)
        return peer.close();
      }
      if (type === "Configure") {
        return say({ type: "ConfigureSuccess", thresholds: {}, keyterms: [] });
      }
      // KeepAlive too: this protocol has none.
      say({
        type: "Error",
        code: "UNPARSABLE_CLIENT_MESSAGE",
        description: "Unknown message type",
      });
      peer.close(1008, "UNPARSABLE_CLIENT_MESSAGE");
    },
    closed: () => starvation.stop(),
  };
}
