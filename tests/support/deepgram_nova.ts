/** Deepgram's v1 listen socket: interim and final results, endpointing, UtteranceEnd. */

import type { DeepgramContext, DeepgramSession } from "./deepgram.ts";
import { type EarWord, newEars, newStarvation, textOf } from "./deepgram_ears.ts";

/** A segment without a pause becomes final after so long, and speech goes on in the next. */
const SEGMENT_SECONDS = 5;
/** With nothing to say, an empty interim comes this often. */
const IDLE_SECONDS = 1;

const METADATA = {
  request_id: "00000000-0000-7000-8000-000000000000",
  model_info: { name: "general-nova-3", version: "2026-01-01.0", arch: "nova-3" },
  model_uuid: "00000000-0000-7000-8000-000000000001",
};

export function novaSession({ peer, query, clock }: DeepgramContext): DeepgramSession {
  const hasInterims = query.get("interim_results") === "true";
  const hasVad = query.get("vad_events") === "true";
  const endpointing = Number(query.get("endpointing") ?? "10") / 1000;
  const utteranceEnd = Number(query.get("utterance_end_ms") ?? Infinity) / 1000;
  const ears = newEars();
  const starvation = newStarvation(peer, clock);
  let words: EarWord[] = [];
  let segmentStart = 0;
  let saidAt = 0;
  let isSpeaking = false;
  /** End of the last word that no UtteranceEnd has told of. */
  let lastWordEnd: number | null = null;

  function results(
    kind: { isFinal: boolean; speechFinal?: boolean; fromFinalize?: boolean },
  ): void {
    const { isFinal, speechFinal = false, fromFinalize = false } = kind;
    const alternative = {
      transcript: textOf(words),
      confidence: words.length > 0 ? 0.99 : 0,
      words: words.map((word) => ({ ...word, punctuated_word: word.word })),
    };
    saidAt = ears.heardSeconds;
    peer.send({
      type: "Results",
      channel_index: [0, 1],
      start: segmentStart,
      duration: ears.heardSeconds - segmentStart,
      is_final: isFinal,
      speech_final: speechFinal,
      from_finalize: fromFinalize,
      channel: { alternatives: [alternative] },
      metadata: METADATA,
    });
    if (!isFinal) return;
    segmentStart = ears.heardSeconds;
    words = [];
  }

  function hear(audio: Uint8Array): void {
    const { words: fresh, openedAt } = ears.push(audio);
    if (openedAt !== null && !isSpeaking) {
      isSpeaking = true;
      if (hasVad) peer.send({ type: "SpeechStarted", channel: [0, 1], timestamp: openedAt });
    }
    for (const word of fresh) {
      words.push(word);
      lastWordEnd = word.end;
      if (hasInterims) results({ isFinal: false });
    }
    if (isSpeaking && ears.quietSeconds >= endpointing) {
      isSpeaking = false;
      results({ isFinal: true, speechFinal: true });
    } else if (words.length > 0 && ears.heardSeconds - segmentStart >= SEGMENT_SECONDS) {
      results({ isFinal: true });
    }
    if (lastWordEnd !== null && ears.quietSeconds >= utteranceEnd) {
      peer.send({ type: "UtteranceEnd", channel: [0, 1], last_word_end: lastWordEnd });
      lastWordEnd = null;
    }
    if (hasInterims && ears.heardSeconds - saidAt >= IDLE_SECONDS) results({ isFinal: false });
  }

  return {
    audio(audio) {
      starvation.fed();
      hear(audio);
    },
    command({ type }) {
      starvation.fed();
      switch (type) {
        case "KeepAlive":
          return;
        case "Finalize":
          return results({ isFinal: true, fromFinalize: true });
        case "CloseStream":
          results({ isFinal: true });
          peer.send({
            type: "Metadata",
            transaction_key: "deprecated",
            request_id: METADATA.request_id,
            sha256: "0".repeat(64),
            created: "2026-01-01T00:00:00.000Z",
            duration: ears.heardSeconds,
            channels: 1,
          });
          return peer.close(1000, "");
        default:
          return peer.close(1008, "DATA-0000: unknown message type");
      }
    },
    closed: () => starvation.stop(),
  };
}
