/** A LiveKit project: its rooms, who may join them, its SIP trunks, its recordings, and its webhooks. */

import type { Secret } from "@/lib/secret.ts";

/** Every name of a room is the one on the wire: `rooms.ts` makes it of a tenant's own. */
export interface LiveKit {
  /** What a client connects to. */
  readonly url: string;
  /** A signed permission to join one room. */
  accessToken(grant: JoinGrant): Promise<string>;
  /** Throws AppError("unauthenticated") for one that this project has not signed, or not this body. */
  readWebhook(body: string, authorization: string): Promise<LiveKitEvent>;
  /**
   * What follows throws AppError("provider_failed"), "not_found" for what is not there, "invalid" or "conflict"
   * for what LiveKit does not take so. A room that is there already comes back.
   */
  createRoom(room: NewRoom, signal: AbortSignal): Promise<Room>;
  listRooms(signal: AbortSignal): Promise<Room[]>;
  deleteRoom(name: string, signal: AbortSignal): Promise<void>;
  listParticipants(room: string, signal: AbortSignal): Promise<Participant[]>;
  removeParticipant(room: string, identity: string, signal: AbortSignal): Promise<void>;
  createTrunk(trunk: NewTrunk, signal: AbortSignal): Promise<Trunk>;
  listTrunks(signal: AbortSignal): Promise<Trunk[]>;
  deleteTrunk(id: string, signal: AbortSignal): Promise<void>;
  createDispatchRule(rule: NewDispatchRule, signal: AbortSignal): Promise<DispatchRule>;
  listDispatchRules(signal: AbortSignal): Promise<DispatchRule[]>;
  deleteDispatchRule(id: string, signal: AbortSignal): Promise<void>;
  /** Phones somebody into a room. Fails as not_found where there is no such trunk. */
  dial(call: Dial, signal: AbortSignal): Promise<DialedParticipant>;
  /** Hands a participant of the telephone to another number (SIP REFER). */
  transfer(
    of: { readonly room: string; readonly identity: string; readonly to: string },
    signal: AbortSignal,
  ): Promise<void>;
  /** Where a carrier's media stream lands in a room: a `wss:` URL, good once. */
  connectTwilioCall(call: TwilioCall, signal: AbortSignal): Promise<string>;
  startEgress(egress: NewEgress, signal: AbortSignal): Promise<Egress>;
  stopEgress(livekitId: string, signal: AbortSignal): Promise<Egress>;
  /** Null: it knows none of this id, or no more. */
  findEgress(livekitId: string, signal: AbortSignal): Promise<Egress | null>;
}

export interface LiveKitAccount {
  /** `wss://project.livekit.cloud`, or with `https:`. */
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: Secret;
}

/** Nothing but this room, and of it only what is named. */
export interface JoinGrant {
  readonly room: string;
  readonly identity: string;
  readonly name: string;
  readonly ttlSeconds: number;
  readonly attributes?: Readonly<Record<string, string>>;
  /** May send sound: a microphone's, and no picture. */
  readonly canSpeak: boolean;
  readonly canListen: boolean;
  /** May send data, as pressed keys. */
  readonly canSendData: boolean;
  /** Is shown to the others as an agent. */
  readonly isAgent?: boolean;
}

export interface NewRoom {
  readonly name: string;
  readonly metadata: string;
  /** Seconds that it stays while nobody is in it. */
  readonly emptyTimeoutSeconds: number;
  readonly maxParticipants: number;
}

export interface Room {
  /** One life of it: a room of the same name has another later. */
  readonly sid: string;
  readonly name: string;
  readonly metadata: string;
  readonly participantCount: number;
  readonly createdAt: Date;
}

/** What a participant of the telephone carries as attributes: https://docs.livekit.io/sip/sip-participant/ */
export const SIP_ATTRIBUTES = {
  callId: "sip.callID",
  status: "sip.callStatus",
  caller: "sip.phoneNumber",
  called: "sip.trunkPhoneNumber",
} as const;

export interface Participant {
  readonly sid: string;
  readonly identity: string;
  readonly name: string;
  readonly kind: "standard" | "sip" | "agent" | "other";
  readonly state: "joining" | "joined" | "active" | "disconnected";
  readonly attributes: Readonly<Record<string, string>>;
}

interface TrunkFacts {
  readonly name: string;
  /** E.164. */
  readonly numbers: readonly string[];
  readonly metadata: string;
  readonly username: string;
}

export type NewTrunk = TrunkFacts & { readonly password: string } & TrunkWay;
export type Trunk = TrunkFacts & { readonly id: string } & TrunkWay;

type TrunkWay =
  | {
    readonly direction: "inbound";
    /** Addresses or ranges that may call; empty: any that shows the password. */
    readonly allowedAddresses: readonly string[];
  }
  /** The host that is called. */
  | { readonly direction: "outbound"; readonly address: string };

interface RuleFacts {
  readonly name: string;
  readonly trunkIds: readonly string[];
  readonly metadata: string;
  /** Given to every participant who comes by it. */
  readonly attributes: Readonly<Record<string, string>>;
}

export type NewDispatchRule = RuleFacts & RuleTarget;
export type DispatchRule = RuleFacts & RuleTarget & { readonly id: string };

/** All who call meet in one room, or each gets a room of their own. */
type RuleTarget =
  | { readonly type: "direct"; readonly room: string }
  | { readonly type: "individual"; readonly roomPrefix: string };

export interface Dial {
  readonly trunkId: string;
  readonly to: string;
  /** Null: the trunk's own number. */
  readonly from: string | null;
  readonly room: string;
  readonly identity: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Keys to press once it is answered; `w` waits half a second. */
  readonly keys: string;
  readonly ringingSeconds: number;
  readonly maxSeconds: number;
}

export interface DialedParticipant {
  readonly participantId: string;
  readonly identity: string;
  readonly sipCallId: string;
}

export interface TwilioCall {
  readonly room: string;
  readonly identity: string;
  readonly direction: "inbound" | "outbound";
  readonly attributes: Readonly<Record<string, string>>;
}

export const EGRESS_STATUSES = [
  ...["starting", "active", "ending"] as const,
  ...["complete", "failed", "aborted", "limit_reached"] as const,
] as const;
export type EgressStatus = typeof EGRESS_STATUSES[number];

/** A recording of a whole room to a file. */
export interface NewEgress {
  readonly room: string;
  /** False: the pictures too, laid out. */
  readonly isAudioOnly: boolean;
  /** With LiveKit's own placeholders, as `{time}`. */
  readonly path: string;
  /** Null: the store that the LiveKit server is set up with. */
  readonly s3: S3Store | null;
}

export interface S3Store {
  readonly bucket: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secret: Secret;
  /** Null: Amazon's. */
  readonly endpoint: string | null;
}

export interface Egress {
  /** `EG_…` */
  readonly livekitId: string;
  readonly room: string;
  readonly status: EgressStatus;
  /** Empty: nothing went wrong. */
  readonly error: string;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  /** Nanoseconds since the epoch by LiveKit's clock: which of two states is the newer. */
  readonly updatedNs: bigint;
  readonly files: readonly EgressFile[];
}

export interface EgressFile {
  readonly name: string;
  readonly location: string;
  readonly sizeBytes: number;
  readonly durationMs: number;
}

/** What a webhook tells. `id` is the same when it is told again. */
export interface LiveKitEvent {
  readonly id: string;
  /** `participant_joined`: https://docs.livekit.io/home/server/webhooks/ */
  readonly type: string;
  readonly at: Date;
  readonly room: Pick<Room, "sid" | "name"> | null;
  readonly participant: Participant | null;
  readonly egress: Egress | null;
}
