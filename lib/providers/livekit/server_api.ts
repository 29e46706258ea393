/** LiveKit's server API, by its SDK: Twirp in JSON. https://docs.livekit.io/reference/server/server-apis/ */

import { createHash, timingSafeEqual } from "node:crypto";
import type * as Sdk from "livekit-server-sdk";
import { AppError, type ErrorCode, messageOf } from "@/lib/errors.ts";
import type {
  DispatchRule,
  Egress,
  EgressStatus,
  LiveKit,
  LiveKitAccount,
  LiveKitEvent,
  NewDispatchRule,
  NewEgress,
  NewTrunk,
  Participant,
  Room,
  Trunk,
} from "./livekit.ts";
import { CARRIER_CALL_ATTRIBUTE, CARRIER_CALL_HEADER } from "./rooms.ts";

export interface LiveKitOptions extends LiveKitAccount {
  /** With limits of its own. */
  readonly fetch?: typeof fetch;
}

type SdkModule = typeof Sdk;
type Service = "RoomService" | "SIP" | "Egress" | "Connector";
type Rpc = (
  service: Service,
  method: string,
  data: unknown,
  headers: Readonly<Record<string, string>>,
) => Promise<unknown>;

/** Our own requests are signed for so long. */
const REQUEST_TOKEN_TTL = "1m";
/** How far the clocks of LiveKit's server and ours may differ. */
const CLOCK_TOLERANCE_S = 10;
/** SIPTransport: whichever the other side takes. */
const TRANSPORT_AUTO = 0;
/** Of ParticipantInfo.Kind: https://github.com/livekit/protocol `livekit_models.proto` */
const KINDS: Readonly<Record<number, Participant["kind"]>> = {
  0: "standard",
  3: "sip",
  4: "agent",
};
const STATES = ["joining", "joined", "active", "disconnected"] as const;
/** Of EgressStatus: `livekit_egress.proto`. */
const STATUSES: readonly EgressStatus[] = [
  ...["starting", "active", "ending", "complete", "failed", "aborted", "limit_reached"] as const,
];

/**
 * Loads the SDK, which holds the event loop for a quarter of a second: at the start, where no call is
 * live. What it returns makes the client of an account.
 */
export async function loadLiveKit(): Promise<(options: LiveKitOptions) => LiveKit> {
  const sdk = await import("livekit-server-sdk");
  return (options) => clientOf(sdk, options);
}

function clientOf(sdk: SdkModule, options: LiveKitOptions): LiveKit {
  const { apiKey } = options;
  const secret = options.apiSecret.reveal();
  const verifier = new sdk.TokenVerifier(apiKey, secret);

  /** A client for one request: the SDK takes no signal and no `fetch`, and asks for other regions by itself. */
  function service<T extends object>(
    Client: new (host: string, key: string, secret: string) => T,
    signal: AbortSignal,
  ): T {
    const client = new Client(options.url, apiKey, secret);
    // Of this field, which its types hide, the clients call `request` alone.
    Reflect.set(client, "rpc", { request: requester(options, signal) });
    Reflect.set(client, "ttl", REQUEST_TOKEN_TTL);
    return client;
  }
  const rooms = (signal: AbortSignal) => service(sdk.RoomServiceClient, signal);
  const sip = (signal: AbortSignal) => service(sdk.SipClient, signal);
  const egress = (signal: AbortSignal) => service(sdk.EgressClient, signal);

  return {
    url: options.url.replace(/^http/, "ws"),
    async accessToken(grant) {
      const token = new sdk.AccessToken(apiKey, secret, {
        identity: grant.identity,
        name: grant.name,
        ttl: grant.ttlSeconds,
        ...(grant.attributes === undefined ? {} : { attributes: { ...grant.attributes } }),
      });
      token.addGrant({
        roomJoin: true,
        room: grant.room,
        canPublish: grant.canSpeak,
        canPublishSources: grant.canSpeak ? [sdk.TrackSource.MICROPHONE] : [],
        canSubscribe: grant.canListen,
        canPublishData: grant.canSendData,
        canUpdateOwnMetadata: false,
      });
      if (grant.isAgent === true) token.kind = "agent";
      return await token.toJwt();
    },
    async readWebhook(body, authorization) {
      const claims = await verifier.verify(authorization, CLOCK_TOLERANCE_S).catch((cause) => {
        throw forged("Authorization", cause);
      });
      const shown = new TextEncoder().encode(claims.sha256 ?? "");
      const made = new TextEncoder().encode(createHash("sha256").update(body).digest("base64"));
      if (shown.length !== made.length || !timingSafeEqual(shown, made)) throw forged("sha256");
      return toEvent(sdk, body);
    },
    async createRoom({ name, metadata, emptyTimeoutSeconds, maxParticipants }, signal) {
      const emptyTimeout = emptyTimeoutSeconds;
      return toRoom(
        await rooms(signal).createRoom({ name, metadata, emptyTimeout, maxParticipants }),
      );
    },
    listRooms: async (signal) => (await rooms(signal).listRooms()).map(toRoom),
    deleteRoom: (name, signal) => rooms(signal).deleteRoom(name),
    listParticipants: async (room, signal) =>
      (await rooms(signal).listParticipants(room)).map(toParticipant),
    removeParticipant: (room, identity, signal) => rooms(signal).removeParticipant(room, identity),
    createTrunk: (trunk, signal) => createTrunk(sip(signal), trunk),
    async listTrunks(signal) {
      const [inbound, outbound] = await Promise.all([
        sip(signal).listSipInboundTrunk(),
        sip(signal).listSipOutboundTrunk(),
      ]);
      return [...inbound.map(toInbound), ...outbound.map(toOutbound)];
    },
    async deleteTrunk(id, signal) {
      await sip(signal).deleteSipTrunk(id);
    },
    createDispatchRule: (rule, signal) => createRule(sip(signal), rule),
    async listDispatchRules(signal) {
      return (await sip(signal).listSipDispatchRule()).flatMap((rule) => toRule(rule) ?? []);
    },
    async deleteDispatchRule(id, signal) {
      await sip(signal).deleteSipDispatchRule(id);
    },
    async dial(call, signal) {
      const made = await sip(signal).createSipParticipant(call.trunkId, call.to, call.room, {
        ...(call.from === null ? {} : { fromNumber: call.from }),
        participantIdentity: call.identity,
        participantName: call.name,
        participantAttributes: { ...call.attributes },
        dtmf: call.keys,
        ringingTimeout: call.ringingSeconds,
        maxCallDuration: call.maxSeconds,
      });
      return {
        participantId: made.participantId,
        identity: made.participantIdentity,
        sipCallId: made.sipCallId,
      };
    },
    transfer: ({ room, identity, to }, signal) =>
      sip(signal).transferSipParticipant(room, identity, to, {}),
    async connectTwilioCall({ room, identity, direction, attributes }, signal) {
      const { ConnectTwilioCallRequest_TwilioCallDirection: Direction } = sdk;
      const { connectUrl } = await service(sdk.ConnectorClient, signal).connectTwilioCall({
        twilioCallDirection: direction === "inbound" ? Direction.INBOUND : Direction.OUTBOUND,
        roomName: room,
        participantIdentity: identity,
        participantAttributes: { ...attributes },
      });
      return connectUrl;
    },
    startEgress: (recording, signal) => startEgress(sdk, egress(signal), recording),
    stopEgress: async (id, signal) => toEgress(await egress(signal).stopEgress(id)),
    async findEgress(egressId, signal) {
      const [found] = await egress(signal).listEgress({ egressId });
      return found === undefined ? null : toEgress(found);
    },
  };
}

/** One request, and no other: whether it is repeated is decided above. */
function requester(options: LiveKitOptions, signal: AbortSignal): Rpc {
  const { fetch = globalThis.fetch } = options;
  const host = options.url.replace(/^ws/, "http").replace(/\/+$/, "");
  return async (service, method, data, headers) => {
    const what = `${service}/${method}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${host}/twirp/livekit.${service}/${method}`, {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/json" },
        body: JSON.stringify(data),
        redirect: "error",
        signal,
      });
      text = await response.text();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw failed(what, messageOf(error), { cause: error, retryable: isRead(method) });
    }
    if (!response.ok) throw refusal(what, response.status, text);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw failed(what, "its answer is no JSON", { cause, retryable: false });
    }
  };
}

function isRead(method: string): boolean {
  return method.startsWith("List");
}

/** What the asker can do something about, by its code. */
const OURS: Readonly<Record<string, ErrorCode>> = {
  invalid_argument: "invalid",
  already_exists: "conflict",
  failed_precondition: "conflict",
};

/** Twirp's error: https://twitchtv.github.io/twirp/docs/errors.html. Its sentence may name a number, so its code stands for it. */
function refusal(what: string, status: number, text: string): AppError {
  const code = codeOf(text);
  if (code === "not_found") return new AppError("not_found", `LiveKit knows none: ${what}`);
  const ours = OURS[code];
  if (ours !== undefined) return new AppError(ours, `LiveKit refuses ${what}: code ${code}`);
  const sip = /"sip_status_code"\s*:\s*"(\d{3})"/.exec(text)?.[1];
  const why = `status ${status}, code ${code}${sip === undefined ? "" : `, SIP ${sip}`}`;
  return failed(what, why, { status, retryable: status === 429 || status >= 500 });
}

function codeOf(text: string): string {
  return /"code"\s*:\s*"([a-z_]{1,40})"/.exec(text)?.[1] ?? "none";
}

function failed(
  what: string,
  why: string,
  options: { readonly status?: number; readonly retryable: boolean; readonly cause?: unknown },
): AppError {
  return new AppError("provider_failed", `LiveKit failed at ${what}: ${why}`, options);
}

function forged(field: string, cause?: unknown): AppError {
  return new AppError("unauthenticated", "Not signed by this LiveKit project", { field, cause });
}

async function createTrunk(sip: Sdk.SipClient, trunk: NewTrunk): Promise<Trunk> {
  const { name, numbers, metadata, username, password } = trunk;
  const secrets = username === "" ? {} : { authUsername: username, authPassword: password };
  if (trunk.direction === "outbound") {
    return toOutbound(
      await sip.createSipOutboundTrunk(name, trunk.address, [...numbers], {
        ...secrets,
        metadata,
        transport: TRANSPORT_AUTO,
      }),
    );
  }
  return toInbound(
    await sip.createSipInboundTrunk(name, [...numbers], {
      ...secrets,
      metadata,
      allowedAddresses: [...trunk.allowedAddresses],
      headersToAttributes: { [CARRIER_CALL_HEADER]: CARRIER_CALL_ATTRIBUTE },
    }),
  );
}

function toInbound(trunk: Sdk.SIPInboundTrunkInfo): Trunk {
  return {
    direction: "inbound",
    id: trunk.sipTrunkId,
    name: trunk.name,
    numbers: trunk.numbers,
    metadata: trunk.metadata,
    username: trunk.authUsername,
    allowedAddresses: trunk.allowedAddresses,
  };
}

function toOutbound(trunk: Sdk.SIPOutboundTrunkInfo): Trunk {
  return {
    direction: "outbound",
    id: trunk.sipTrunkId,
    name: trunk.name,
    numbers: trunk.numbers,
    metadata: trunk.metadata,
    username: trunk.authUsername,
    address: trunk.address,
  };
}

async function createRule(sip: Sdk.SipClient, rule: NewDispatchRule): Promise<DispatchRule> {
  const { name, metadata, trunkIds, attributes } = rule;
  const target = rule.type === "direct"
    ? { type: "direct" as const, roomName: rule.room }
    : { type: "individual" as const, roomPrefix: rule.roomPrefix };
  const more = { name, metadata, trunkIds: [...trunkIds], attributes: { ...attributes } };
  const made = toRule(await sip.createSipDispatchRule(target, more));
  if (made === null) throw failed("SIP/CreateSIPDispatchRule", "no rule", { retryable: false });
  return made;
}

/** Null for a rule of a kind that we do not make. */
function toRule(info: Sdk.SIPDispatchRuleInfo): DispatchRule | null {
  const { sipDispatchRuleId: id, name, trunkIds, metadata, attributes } = info;
  const facts = { id, name, trunkIds, metadata, attributes };
  const rule = info.rule?.rule;
  switch (rule?.case) {
    case "dispatchRuleDirect":
      return { ...facts, type: "direct", room: rule.value.roomName };
    case "dispatchRuleIndividual":
      return { ...facts, type: "individual", roomPrefix: rule.value.roomPrefix };
    default:
      return null;
  }
}

async function startEgress(
  sdk: SdkModule,
  egress: Sdk.EgressClient,
  { room, isAudioOnly, path, s3 }: NewEgress,
): Promise<Egress> {
  const output = s3 === null ? {} : {
    output: {
      case: "s3" as const,
      value: new sdk.S3Upload({
        bucket: s3.bucket,
        region: s3.region,
        accessKey: s3.accessKey,
        secret: s3.secret.reveal(),
        ...(s3.endpoint === null ? {} : { endpoint: s3.endpoint, forcePathStyle: true }),
      }),
    },
  };
  const fileType = isAudioOnly ? sdk.EncodedFileType.OGG : sdk.EncodedFileType.MP4;
  const file = new sdk.EncodedFileOutput({ fileType, filepath: path, ...output });
  return toEgress(
    await egress.startRoomCompositeEgress(room, { file }, { audioOnly: isAudioOnly }),
  );
}

function toEgress(info: Sdk.EgressInfo): Egress {
  return {
    livekitId: info.egressId,
    room: info.roomName,
    status: STATUSES[info.status] ?? "failed",
    error: info.error,
    startedAt: fromNs(info.startedAt),
    endedAt: fromNs(info.endedAt),
    updatedNs: info.updatedAt,
    files: info.fileResults.map((file) => ({
      name: file.filename,
      location: file.location,
      sizeBytes: Number(file.size),
      durationMs: Number(file.duration / 1_000_000n),
    })),
  };
}

/** Null for 0, which protobuf has in the place of nothing. */
function fromNs(ns: bigint): Date | null {
  return ns === 0n ? null : new Date(Number(ns / 1_000_000n));
}

function toRoom(room: Sdk.Room): Room {
  const { sid, name, metadata, numParticipants, creationTime } = room;
  return {
    sid,
    name,
    metadata,
    participantCount: numParticipants,
    createdAt: new Date(Number(creationTime) * 1_000),
  };
}

function toParticipant(participant: Sdk.ParticipantInfo): Participant {
  const { sid, identity, name, kind, state, attributes } = participant;
  return {
    sid,
    identity,
    name,
    kind: KINDS[kind] ?? "other",
    state: STATES[state] ?? "disconnected",
    attributes,
  };
}

function toEvent(sdk: SdkModule, body: string): LiveKitEvent {
  let event: Sdk.WebhookEvent;
  try {
    event = sdk.WebhookEvent.fromJson(JSON.parse(body), { ignoreUnknownFields: true });
  } catch (cause) {
    throw new AppError("invalid", "Body is no event of LiveKit's", { cause });
  }
  const { id, event: type, createdAt, room, participant, egressInfo } = event;
  if (id === "") throw new AppError("invalid", "An event without an id", { field: "id" });
  return {
    id,
    type,
    at: new Date(Number(createdAt) * 1_000),
    room: room === undefined ? null : { sid: room.sid, name: room.name },
    participant: participant === undefined ? null : toParticipant(participant),
    egress: egressInfo === undefined ? null : toEgress(egressInfo),
  };
}
