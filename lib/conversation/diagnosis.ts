/** Why a call was silent: one coded word for a call in which a side was never heard, from its record alone. */

import type { RecordedEvent } from "./transcript.ts";

/**
 * `no_media`: the carrier never brought its audio. `media_lost`: it brought it, and it broke before a word.
 * `carrier_not_playing`: speech was sent, and no mark of it came back. `voice_failed`, `model_failed`,
 * `recogniser_failed`: that part failed before a word. `model_silent`: it answered with nothing to say.
 * `caller_silent`: the agent was heard, the caller never was: a line without sound, or nobody there.
 */
export type Diagnosis =
  | ("no_media" | "media_lost" | "carrier_not_playing")
  | ("voice_failed" | "model_failed" | "model_silent" | "recogniser_failed")
  | "caller_silent";

/** Null: both were heard, or nobody answered. `wasAnswered`: whether anybody did. */
export function diagnose(events: readonly RecordedEvent[], wasAnswered: boolean): Diagnosis | null {
  const failed = (part: string): boolean =>
    events.some(({ type, payload }) => type === "failed" && Object(payload).part === part);
  const heard = (type: string): boolean =>
    events.some((event) => event.type === type && Object(event.payload).text !== "");
  const agentWasHeard = heard("agent_said");
  const callerWasHeard = heard("caller_said");
  if (agentWasHeard && callerWasHeard) return null;
  if (!events.some(({ type }) => type === "leg_started")) {
    return wasAnswered || events.some(({ type }) => type === "leg_lost") ? "no_media" : null;
  }
  if (failed("listener")) return "recogniser_failed";
  if (agentWasHeard) return "caller_silent";
  if (failed("speaker")) {
    const stalled = events.some(({ type, payload }) =>
      type === "failed" && Object(payload).part === "speaker" &&
      Object(payload).code === "unknown_outcome"
    );
    return stalled ? "carrier_not_playing" : "voice_failed";
  }
  if (failed("model")) return "model_failed";
  if (events.some(({ type }) => type === "leg_lost")) return "media_lost";
  return callerWasHeard ? "model_silent" : "caller_silent";
}
