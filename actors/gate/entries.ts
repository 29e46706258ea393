/** Every entry there is, by its name. */

import type { Entry } from "./entry.ts";
import { invitationEntries } from "./invitations.ts";
import { liveKitEntries } from "./livekit.ts";
import { loginEntries } from "./login.ts";
import { meEntries } from "./me.ts";
import { passwordEntries } from "./passwords.ts";
import { recordingEntries } from "./recordings.ts";
import { signupEntries } from "./signup.ts";
import { talkEntries } from "./talk.ts";
import { tenantEntries } from "./tenants.ts";

export const entries = {
  ...invitationEntries,
  ...liveKitEntries,
  ...loginEntries,
  ...meEntries,
  ...passwordEntries,
  ...recordingEntries,
  ...signupEntries,
  ...talkEntries,
  ...tenantEntries,
};

export type Entries = typeof entries;
export type EntryName = keyof Entries;
type InputOf<N extends EntryName> = Entries[N] extends Entry<infer I, unknown> ? I : never;
type OutputOf<N extends EntryName> = Entries[N] extends
  { run: (...args: never[]) => Promise<infer O> } ? O : never;

/** How a route asks the gate. An entry without input is asked by its name alone. */
export type AskGate = <N extends EntryName>(
  name: N,
  ...input: InputOf<N> extends void ? [] : [InputOf<N>]
) => Promise<OutputOf<N>>;
