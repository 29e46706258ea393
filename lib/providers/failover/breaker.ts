/** Circuit breakers: whether a provider, with one account, is worth asking now. Shared by all calls of a machine. */

import type { Clock } from "@/lib/clock.ts";

/** Failures in a row, or their part of what was asked lately, that open a breaker. */
const IN_A_ROW = 5;
const WINDOW_MS = 10_000;
const ASKED_MIN = 10;
const FAILED_SHARE = 0.5;
/** Before it is tried again; twice as long after each try in vain. */
const OPEN_MIN_MS = 2_000;
const OPEN_MAX_MS = 30_000;
/** A try that never told how it came out. */
const PROBE_MS = 10_000;
/** A provider that says 429 and not for how long. */
const LIMITED_MS = 1_000;
const LIMITED_MAX_MS = 60_000;
/** With more accounts in use than this, those that were not asked for longest begin anew. */
const BREAKERS_MAX = 2_000;
const SLOTS = 10;

export interface Breaker {
  /** Whether to ask it now. Of a provider that was down, one at a time is told so: the probe. */
  take(): boolean;
  succeeded(): void;
  /** It works so far: a probe has done its work, and the next failure opens again. */
  answered(): void;
  failed(): void;
  /** It has refused by its own limits (429), which is no failure. `retryAfterS`: what it said. */
  limited(retryAfterS: number | null): void;
  /** It was not waited for: the answer is not known. */
  abandoned(): void;
}

export interface BreakerView {
  readonly name: string;
  readonly phase: "closed" | "open" | "probing";
  readonly opened: number;
  readonly failures: number;
}

export interface Breakers {
  /** `name`: the provider and whose account it is; no secret. */
  of(name: string): Breaker;
  view(): readonly BreakerView[];
}

interface Slot {
  at: number;
  asked: number;
  failed: number;
}

interface State {
  phase: "closed" | "open" | "probing";
  /** Of `open`: when a probe may be sent; of `probing`: when it is given up. */
  until: number;
  waitMs: number;
  limitedUntil: number;
  inARow: number;
  opened: number;
  failures: number;
  readonly slots: Slot[];
}

export function newBreakers(clock: Clock): Breakers {
  const states = new Map<string, State>();

  function stateOf(name: string): State {
    const state = states.get(name) ?? {
      phase: "closed",
      until: 0,
      waitMs: OPEN_MIN_MS,
      limitedUntil: 0,
      inARow: 0,
      opened: 0,
      failures: 0,
      slots: [],
    };
    states.delete(name);
    states.set(name, state); // the newest last
    const [oldest] = states.keys();
    if (states.size > BREAKERS_MAX && oldest !== undefined) states.delete(oldest);
    return state;
  }

  function count(state: State, isFailure: boolean): void {
    const at = Math.floor(clock.now() / (WINDOW_MS / SLOTS));
    const last = state.slots.at(-1);
    const slot = last?.at === at ? last : { at, asked: 0, failed: 0 };
    if (slot !== last) state.slots.push(slot);
    slot.asked++;
    if (isFailure) slot.failed++;
    while ((state.slots[0]?.at ?? at) <= at - SLOTS) state.slots.shift();
  }

  function open(state: State): void {
    state.phase = "open";
    state.until = clock.now() + state.waitMs;
    state.opened++;
  }

  return {
    of(name) {
      stateOf(name);
      return {
        take() {
          const state = stateOf(name);
          const now = clock.now();
          if (now < state.limitedUntil) return false;
          if (state.phase === "closed") return true;
          if (now < state.until) return false;
          state.phase = "probing";
          state.until = now + PROBE_MS;
          return true;
        },
        succeeded() {
          const state = stateOf(name);
          if (state.phase !== "closed") state.slots.length = 0;
          state.phase = "closed";
          state.waitMs = OPEN_MIN_MS;
          state.inARow = 0;
          count(state, false);
        },
        answered() {
          const state = stateOf(name);
          if (state.phase === "closed") return;
          state.phase = "closed";
          state.inARow = IN_A_ROW - 1;
        },
        failed() {
          const state = stateOf(name);
          state.failures++;
          state.inARow++;
          count(state, true);
          if (state.phase === "probing") {
            state.waitMs = Math.min(2 * state.waitMs, OPEN_MAX_MS);
            return open(state);
          }
          if (state.phase === "open") return;
          const asked = state.slots.reduce((sum, slot) => sum + slot.asked, 0);
          const failed = state.slots.reduce((sum, slot) => sum + slot.failed, 0);
          const isDown = asked >= ASKED_MIN && failed / asked >= FAILED_SHARE;
          if (isDown || state.inARow >= IN_A_ROW) open(state);
        },
        limited(retryAfterS) {
          const state = stateOf(name);
          const ms = retryAfterS === null ? LIMITED_MS : retryAfterS * 1_000;
          state.limitedUntil = clock.now() + Math.min(Math.max(0, ms), LIMITED_MAX_MS);
          if (state.phase === "probing") state.phase = "closed"; // it answers
        },
        abandoned() {
          const state = stateOf(name);
          if (state.phase === "probing") open(state);
        },
      };
    },
    view: () =>
      [...states].map(([name, { phase, opened, failures }]) => ({ name, phase, opened, failures })),
  };
}
