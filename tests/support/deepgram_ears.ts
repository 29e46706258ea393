/** What both of Deepgram's listen sockets have in common: hearing tones, and closing when nothing comes. */

import { SAMPLE_RATE } from "@/lib/audio/frame.ts";
import { newDecoder } from "@/lib/audio/modem.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { Peer } from "./protocol_server.ts";

/** A word with its times in seconds. */
export interface EarWord {
  readonly word: string;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
}

export interface Ears {
  /** The words that ended in this audio, and whether something like speech began in it. */
  push(audio: Uint8Array): { readonly words: readonly EarWord[]; readonly openedAt: number | null };
  /** Seconds of audio so far. */
  readonly heardSeconds: number;
  /** Seconds of silence at its end, at least. */
  readonly quietSeconds: number;
}

export function newEars(): Ears {
  const decoder = newDecoder();
  let samples = 0;
  let soundEnd = 0;
  return {
    push(audio) {
      samples += audio.length;
      const words: EarWord[] = [];
      let openedAt: number | null = null;
      for (const heard of decoder.push(audio)) {
        if (heard.type === "opened") {
          openedAt ??= heard.startSample / SAMPLE_RATE;
          continue;
        }
        soundEnd = heard.endSample;
        if (heard.type === "cut") continue;
        words.push({
          word: heard.text,
          start: heard.startSample / SAMPLE_RATE,
          end: heard.endSample / SAMPLE_RATE,
          confidence: 0.99,
        });
      }
      return { words, openedAt };
    },
    get heardSeconds() {
      return samples / SAMPLE_RATE;
    },
    get quietSeconds() {
      const quietUntil = decoder.quietUntil();
      return quietUntil === null ? 0 : (quietUntil - soundEnd) / SAMPLE_RATE;
    },
  };
}

/** Deepgram's wait for audio or a KeepAlive. */
export const STARVED_AFTER_MS = 10_000;

/** Closes the connection as Deepgram does when nothing comes for ten seconds. */
export function newStarvation(peer: Peer, clock: Clock): { fed(): void; stop: Cancel } {
  let cancel: Cancel = () => {};
  function fed(): void {
    cancel();
    cancel = clock.timer(STARVED_AFTER_MS, () => {
      peer.close(1011, "NET-0001: no audio data or text message within the timeout window");
    });
  }
  fed();
  return { fed, stop: () => cancel() };
}

export function textOf(words: readonly EarWord[]): string {
  return words.map(({ word }) => word).join(" ");
}
