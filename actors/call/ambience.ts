/** The sound of a room around an agent: under what it says, and on its own while it says nothing. */

import type { Ref } from "@/actors/runtime/actor.ts";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { type Loop, newLoop } from "@/lib/audio/mix.ts";
import type { LegMessage } from "./leg.ts";

/** On its own it is sent so far ahead of real time at the most: speech has to wait for what was sent. */
export const AMBIENCE_LEAD_MS = 80;
/** It is sent again once so little is left. */
const LEAST_MS = 40;
/** From nothing to its own loudness, at its beginning and behind a `clear`. */
export const FADE_IN_MS = 400;

/** Changed in place: it belongs to one incarnation of one speaker. Times are milliseconds on the system's clock. */
export class Ambience {
  readonly #loop: Loop;
  /** When the carrier will have played all that it was sent. */
  #filledUntil = -Infinity;
  /** Of its own loudness: 0 to 1. */
  #level = 0;

  /** µ-law; it is not changed. */
  constructor(loop: Uint8Array) {
    this.#loop = newLoop(loop);
  }

  /** Puts it under audio that is sent now, in its place. */
  under(audio: Uint8Array, now: number): void {
    for (let at = 0; at < audio.length; at += FRAME_BYTES) {
      this.#loop.addTo(audio.subarray(at, at + FRAME_BYTES), this.#level);
      this.#level = Math.min(1, this.#level + FRAME_MS / FADE_IN_MS);
    }
    this.passed(audio, now);
  }

  /** This is sent now without it, as tones. */
  passed(audio: Uint8Array, now: number): void {
    this.#filledUntil = Math.max(now, this.#filledUntil) + audio.length / BYTES_PER_MS;
  }

  /** The carrier has dropped what it had. */
  cleared(now: number): void {
    this.#filledUntil = now;
    this.#level = 0;
  }

  /** When `take` has something to give. */
  get dueAt(): number {
    return this.#filledUntil - LEAST_MS;
  }

  /** It alone, where the carrier is about to run dry; null while it has enough. */
  take(now: number): Uint8Array<ArrayBuffer> | null {
    if (now < this.dueAt) return null;
    const aheadMs = Math.max(0, this.#filledUntil - now);
    const frames = Math.floor((AMBIENCE_LEAD_MS - aheadMs) / FRAME_MS);
    if (frames < 1) return null;
    const audio = new Uint8Array(frames * FRAME_BYTES).fill(SILENCE);
    this.under(audio, now);
    return audio;
  }
}

type Leg = Pick<Ref<LegMessage>, "send">;

/** Where the sound of a room goes, once there is one. Changed in place, as the other. */
export class Surroundings {
  #ambience: Ambience | null = null;
  #leg: Leg | null = null;

  get isHeard(): boolean {
    return this.#ambience !== null && this.#leg !== null;
  }

  /** Infinity: never. */
  get dueAt(): number {
    return this.#leg === null ? Infinity : this.#ambience?.dueAt ?? Infinity;
  }

  furnish(loop: Uint8Array): void {
    this.#ambience = new Ambience(loop);
  }

  /** Null: nobody hears it now. */
  goTo(leg: Leg | null, now: number): void {
    if (leg !== this.#leg) this.#ambience?.cleared(now);
    this.#leg = leg;
  }

  cleared(now: number): void {
    this.#ambience?.cleared(now);
  }

  /** Puts it under what is sent now; tones have the line for themselves. */
  under(audio: Uint8Array, { isTones, now }: { isTones: boolean; now: number }): void {
    if (this.#leg === null || isTones) this.#ambience?.passed(audio, now);
    else this.#ambience?.under(audio, now);
  }

  /** Sends of it what the line lacks. */
  fill(now: number): void {
    if (this.#leg === null) return;
    const audio = this.#ambience?.take(now) ?? null;
    if (audio !== null) this.#leg.send({ type: "play", audio });
  }
}
