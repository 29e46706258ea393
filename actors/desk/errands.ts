/** Every errand there is, by its name. A feature adds its own table here and its routes; nothing else. */

import type { Errand } from "./errand.ts";
import { agentErrands } from "./agents.ts";
import { apiKeyErrands } from "./api_keys.ts";
import { auditErrands } from "./audit.ts";
import { callErrands } from "./calls.ts";
import { clipErrands } from "./clips.ts";
import { jobErrands } from "./jobs.ts";
import { credentialErrands } from "./credentials.ts";
import { invitationErrands } from "./invitations.ts";
import { liveKitEgressErrands } from "./livekit_egress.ts";
import { liveKitPhoneErrands } from "./livekit_phones.ts";
import { liveKitRoomErrands } from "./livekit_rooms.ts";
import { memberErrands } from "./members.ts";
import { erasureErrands } from "./erasures.ts";
import { operatorErrands } from "./operators.ts";
import { exportErrands } from "./exports.ts";
import { phoneNumberErrands } from "./phone_numbers.ts";
import { recordingErrands } from "./recordings.ts";
import { webhookErrands } from "./webhooks.ts";
import { limitErrands } from "./limits.ts";
import { talkErrands } from "./talk.ts";
import { tenantErrands } from "./tenant.ts";

export const errands = {
  ...agentErrands,
  ...apiKeyErrands,
  ...auditErrands,
  ...callErrands,
  ...clipErrands,
  ...jobErrands,
  ...credentialErrands,
  ...invitationErrands,
  ...liveKitEgressErrands,
  ...liveKitPhoneErrands,
  ...liveKitRoomErrands,
  ...memberErrands,
  ...erasureErrands,
  ...operatorErrands,
  ...exportErrands,
  ...phoneNumberErrands,
  ...recordingErrands,
  ...limitErrands,
  ...talkErrands,
  ...tenantErrands,
  ...webhookErrands,
};

export type Errands = typeof errands;
export type ErrandName = keyof Errands;
type InputOf<N extends ErrandName> = Errands[N] extends Errand<infer I, unknown> ? I : never;
type OutputOf<N extends ErrandName> = Errands[N] extends
  { run: (...args: never[]) => Promise<infer O> } ? O : never;

/** How a route asks its tenant's desk. An errand without input is asked by its name alone. */
export type AskDesk = <N extends ErrandName>(
  name: N,
  ...input: InputOf<N> extends void ? [] : [InputOf<N>]
) => Promise<OutputOf<N>>;
