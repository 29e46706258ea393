/** A carrier's own ear for machines that answer calls it was asked to place. https://www.twilio.com/docs/voice/answering-machine-detection */

/** `machine_end_…`: its greeting is over, by a beep, a silence, or in another way. In the carrier's words, which are ours. */
export const CARRIER_ANSWERERS = [
  "human",
  "machine_start",
  "machine_end_beep",
  "machine_end_silence",
  "machine_end_other",
  "fax",
  "unknown",
] as const;
export type CarrierAnswerer = typeof CARRIER_ANSWERERS[number];

/** What the carrier is to find out while the call goes on. */
export interface Detection {
  /** True: a machine is told of when its greeting is over, and not as soon as it is known for one. */
  readonly awaitsGreeting: boolean;
  /** After so long the carrier says that it does not know: 3 to 59 s. */
  readonly timeoutSeconds: number;
  /** Where it tells. */
  readonly url: string;
}
