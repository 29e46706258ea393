/** The client of LiveKit's server API, against a server that speaks its protocol and checks its grants. */

import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { AppError } from "@/lib/errors.ts";
import type { LiveKit } from "@/lib/providers/livekit/livekit.ts";
import { loadLiveKit } from "@/lib/providers/livekit/server_api.ts";
import { Secret } from "@/lib/secret.ts";
import { type FakeLiveKit, type Json, startLiveKit } from "@/tests/support/livekit.ts";

const newLiveKit = await loadLiveKit();

async function setUp(
  work: (kit: { server: FakeLiveKit; api: LiveKit; signal: AbortSignal }) => Promise<void>,
): Promise<void> {
  const server = startLiveKit();
  const { url, apiKey, apiSecret } = server;
  const api = newLiveKit({ url, apiKey, apiSecret: new Secret(apiSecret) });
  try {
    await work({ server, api, signal: new AbortController().signal });
  } finally {
    await server.close();
  }
}

function failure(code: string, more: Json = {}) {
  return (error: unknown): boolean => {
    assert(error instanceof AppError, String(error));
    assert.deepEqual({ code: error.code, ...more }, {
      code,
      ...Object.fromEntries(Object.keys(more).map((name) => [name, Reflect.get(error, name)])),
    });
    assert.ok(!error.message.includes("+1555"), "the provider's sentence stays out of it");
    return true;
  };
}

const ROOM = { name: "r1", metadata: "m", emptyTimeoutSeconds: 60, maxParticipants: 3 };

Deno.test("LiveKit: an access token is for one room, and for what is named of it", () =>
  setUp(async ({ api, server }) => {
    const token = await api.accessToken({
      ...{ room: "r1", identity: "ada", name: "Ada", ttlSeconds: 600 },
      ...{ canSpeak: true, canListen: false, canSendData: false },
    });
    const { exp = 0, nbf = 0, iss, sub, name, video, sip, kind } = decodeJwt<Json>(token);
    assert.deepEqual({ iss, sub, name, sip, kind }, {
      ...{ iss: server.apiKey, sub: "ada", name: "Ada", sip: undefined, kind: undefined },
    });
    assert.ok(Math.abs(exp - nbf - 600) <= 1, "the SDK looks at the clock twice");
    assert.deepEqual(video, {
      ...{ roomJoin: true, room: "r1", canPublish: true, canPublishSources: ["microphone"] },
      ...{ canSubscribe: false, canPublishData: false, canUpdateOwnMetadata: false },
    });
  }));

Deno.test("LiveKit: rooms are made, listed and deleted; one that is not there is not found", () =>
  setUp(async ({ api, server, signal }) => {
    const made = await api.createRoom(ROOM, signal);
    assert.equal((await api.createRoom(ROOM, signal)).sid, made.sid);
    assert.deepEqual(await api.listRooms(signal), [made]);
    assert.deepEqual(
      { name: made.name, metadata: made.metadata, participantCount: made.participantCount },
      { name: "r1", metadata: "m", participantCount: 0 },
    );
    await api.deleteRoom("r1", signal);
    await assert.rejects(api.deleteRoom("r1", signal), failure("not_found"));
    const [create] = server.requests;
    assert.deepEqual(create?.body, {
      ...{ name: "r1", metadata: "m", emptyTimeout: 60, maxParticipants: 3 },
    });
    const { exp, nbf } = create?.claims ?? {};
    assert.ok(
      Math.abs(Number(exp) - Number(nbf) - 60) <= 1,
      "our own requests are signed for a minute",
    );
  }));

Deno.test("LiveKit: trunks, rules, a call by telephone and its transfer", () =>
  setUp(async ({ api, server, signal }) => {
    const own = { name: "t", numbers: ["+15550100100"], metadata: "m", username: "u" };
    const secret = { ...own, password: "p" };
    const inbound = await api.createTrunk(
      { ...secret, direction: "inbound", allowedAddresses: ["192.0.2.0/24"] },
      signal,
    );
    const outbound = await api.createTrunk(
      { ...secret, direction: "outbound", address: "sip.example.com" },
      signal,
    );
    assert.deepEqual(await api.listTrunks(signal), [inbound, outbound]);
    assert.deepEqual(inbound, {
      ...own,
      direction: "inbound",
      id: inbound.id,
      allowedAddresses: ["192.0.2.0/24"],
    });

    const rule = await api.createDispatchRule({
      ...{ name: "d", metadata: "m", trunkIds: [inbound.id], attributes: { a: "b" } },
      ...{ type: "individual", roomPrefix: "call" },
    }, signal);
    assert.deepEqual(await api.listDispatchRules(signal), [rule]);
    await api.deleteDispatchRule(rule.id, signal);
    assert.deepEqual(await api.listDispatchRules(signal), []);

    const call = {
      ...{ trunkId: outbound.id, to: "+15550100199", from: null, room: "r1", identity: "callee" },
      ...{ name: "C", attributes: { x: "y" }, keys: "1w2", ringingSeconds: 20, maxSeconds: 600 },
    };
    const { sipCallId, identity } = await api.dial(call, signal);
    assert.match(sipCallId, /^SCL_/);
    assert.equal(identity, "callee");
    const [callee] = await api.listParticipants("r1", signal);
    assert.deepEqual([callee?.kind, callee?.state, callee?.attributes], ["sip", "joined", {
      x: "y",
    }]);
    await api.transfer({ room: "r1", identity, to: "tel:+15550100198" }, signal);
    await api.removeParticipant("r1", identity, signal);
    await assert.rejects(api.removeParticipant("r1", identity, signal), failure("not_found"));
    await assert.rejects(
      api.dial({ ...call, trunkId: inbound.id }, signal),
      failure("not_found"),
    );
    await api.deleteTrunk(outbound.id, signal);
    const asked = server.requests.find(({ method }) => method === "SIP/CreateSIPParticipant");
    assert.deepEqual(
      [asked?.body["dtmf"], asked?.body["ringingTimeout"], asked?.body["maxCallDuration"]],
      ["1w2", "20s", "600s"],
    );
  }));

Deno.test("LiveKit: a Twilio call is given a stream's address in a room", () =>
  setUp(async ({ api, signal, server }) => {
    const url = await api.connectTwilioCall(
      { room: "r1", identity: "caller", direction: "inbound", attributes: {} },
      signal,
    );
    assert.match(url, /^wss:\/\/connector\.example\.com\/r1\//);
    assert.equal(server.requests[0]?.body["participantIdentity"], "caller");
  }));

Deno.test("LiveKit: a recording is started, found and stopped", () =>
  setUp(async ({ api, server, signal }) => {
    await api.createRoom(ROOM, signal);
    const started = await api.startEgress({
      ...{ room: "r1", isAudioOnly: true, path: "a/{time}.ogg" },
      s3: {
        ...{ bucket: "b", region: "eu-1", accessKey: "k", secret: new Secret("s") },
        endpoint: "https://s3.example.com",
      },
    }, signal);
    assert.equal(started.status, "starting");
    assert.equal((await api.findEgress(started.livekitId, signal))?.room, "r1");
    assert.equal(await api.findEgress("EG_none", signal), null);
    assert.equal((await api.stopEgress(started.livekitId, signal)).status, "ending");
    const asked = server.requests.find(({ method }) => method.startsWith("Egress/Start"));
    assert.equal(asked?.body["audioOnly"], true);
    assert.deepEqual(asked?.body["fileOutputs"], [{
      fileType: "OGG",
      filepath: "a/{time}.ogg",
      s3: {
        ...{ bucket: "b", region: "eu-1", accessKey: "k", secret: "s" },
        ...{ endpoint: "https://s3.example.com", forcePathStyle: true },
      },
    }]);
  }));

Deno.test("LiveKit: what it refuses, breaks off or garbles is a provider's failure", () =>
  setUp(async ({ api, server, signal }) => {
    const read = () => api.listRooms(signal);
    const write = () => api.createRoom(ROOM, signal);
    server.failNext(
      { type: "error", status: 429, code: "resource_exhausted" },
      { type: "error", status: 503, code: "unavailable" },
      { type: "error", status: 403, code: "permission_denied" },
      { type: "garbage" },
      { type: "cut" },
      { type: "cut" },
    );
    await assert.rejects(read, failure("provider_failed", { status: 429, retryable: true }));
    await assert.rejects(read, failure("provider_failed", { status: 503, retryable: true }));
    await assert.rejects(read, failure("provider_failed", { status: 403, retryable: false }));
    await assert.rejects(read, failure("provider_failed", { retryable: false }));
    await assert.rejects(read, failure("provider_failed", { retryable: true }));
    await assert.rejects(write, failure("provider_failed", { retryable: false })); // it may have been made
    server.failNext(
      { type: "error", status: 400, code: "invalid_argument" },
      { type: "error", status: 409, code: "already_exists" },
      { type: "error", status: 412, code: "failed_precondition" },
    );
    await assert.rejects(write, failure("invalid"));
    await assert.rejects(write, failure("conflict"));
    await assert.rejects(write, failure("conflict"));
    assert.equal(server.requests.length, 9, "nothing is asked twice");
  }));

Deno.test("LiveKit: a key that it does not know, and a caller who is gone", () =>
  setUp(async ({ api, server, signal }) => {
    const { url, apiKey } = server;
    const stranger = newLiveKit({
      url,
      apiKey,
      apiSecret: new Secret("another secret, 32 chars!"),
    });
    await assert.rejects(
      stranger.listRooms(signal),
      failure("provider_failed", { status: 401, retryable: false }),
    );
    const reason = new Error("gone");
    await assert.rejects(api.listRooms(AbortSignal.abort(reason)), reason);
  }));
