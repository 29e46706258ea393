/** The cross-tenant matrix: one row a route, from which all its cases are made. A feature adds its rows here. */

import type { Scope } from "@/lib/access.ts";
import type { Sql } from "@/db/client.ts";
import { uuid, type World, type WorldIds } from "./world.ts";

type IdOf = (ids: WorldIds) => string;

export interface MatrixRow {
  /** What the credential must be good for. `person`: any user, whatever the tenant; `tenant`: any of the tenant. */
  readonly needs: Scope | "person" | "tenant" | "anyone";
  /** What its own tenant is answered. */
  readonly ok: number;
  /** The ids in its path. */
  readonly ids?: Readonly<Record<string, IdOf>>;
  readonly query?: string;
  /** Only an owner may do it to an owner: a key may not. */
  readonly isOwners?: true;
  readonly body?: (world: World) => Readonly<Record<string, unknown>>;
  /** Fields of the body that hold ids of the tenant's things. */
  readonly bodyIds?: Readonly<Record<string, IdOf>>;
  /** What must be so in its own tenant before it can do its work. */
  readonly prepare?: (sql: Sql, ids: WorldIds) => Promise<unknown>;
  /** Its own answer must name this: so that an empty list does not pass for an isolated one. */
  readonly shows?: (world: World) => string;
}

const agent: IdOf = (ids) => ids.agent;
const call: IdOf = (ids) => ids.call;
const number: IdOf = (ids) => ids.number;
const member: IdOf = (ids) => ids.member;
const invitation: IdOf = (ids) => ids.invitation;
const key: IdOf = (ids) => ids.key;
const credential: IdOf = (ids) => ids.credential;
const endpoint: IdOf = (ids) => ids.endpoint;
const clip: IdOf = (ids) => ids.clip;
const job: IdOf = (ids) => ids.job;

const egress: IdOf = (ids) => ids.egress;
/** What a world has at LiveKit; `matrix_kit.ts` puts it there. */
export const LIVEKIT_NAMES = {
  room: (ids) => `room_${ids.agent}`,
  identity: (ids) => `caller_${ids.agent}`,
  trunk: (ids) => `ST_${ids.agent}`,
  rule: (ids) => `SDR_${ids.agent}`,
} as const satisfies Record<string, IdOf>;
const { room, identity, trunk, rule } = LIVEKIT_NAMES;

/** Holds nothing of a tenant that is not named by a token of its own. */
const ANYONE: MatrixRow = { needs: "anyone", ok: 200 };

export const MATRIX: Readonly<Record<string, MatrixRow>> = {
  "GET /api/v1/tenant": { needs: "tenant:read", ok: 200, shows: ({ canary }) => canary },
  "PATCH /api/v1/tenant": { needs: "tenant:write", ok: 200, body: () => ({ name: "Renamed" }) },

  "GET /api/v1/agents": { needs: "agents:read", ok: 200, shows: ({ ids }) => ids.agent },
  "POST /api/v1/agents": { needs: "agents:write", ok: 201, body: () => ({ name: "New" }) },
  "GET /api/v1/agents/{id}": { needs: "agents:read", ok: 200, ids: { id: agent } },
  "PATCH /api/v1/agents/{id}": {
    needs: "agents:write",
    ok: 200,
    ids: { id: agent },
    body: () => ({ name: "Renamed" }),
  },
  "DELETE /api/v1/agents/{id}": {
    needs: "agents:write",
    ok: 204,
    ids: { id: agent },
    prepare: (sql, ids) =>
      sql`update phone_number set agent_id = null where tenant_id = ${uuid(ids.tenant)}`,
  },
  "POST /api/v1/agents/{id}/talk-tickets": {
    needs: "calls:write",
    ok: 201,
    ids: { id: agent },
    body: () => ({}),
  },
  "POST /api/v1/agents/{id}/validate": { needs: "agents:read", ok: 200, ids: { id: agent } },
  "POST /api/v1/agents/{id}/publish": { needs: "agents:write", ok: 201, ids: { id: agent } },
  "POST /api/v1/agents/{id}/duplicate": { needs: "agents:write", ok: 201, ids: { id: agent } },
  "GET /api/v1/agents/{id}/versions": {
    needs: "agents:read",
    ok: 200,
    ids: { id: agent },
    shows: () => '"number":1',
  },
  "GET /api/v1/agents/{id}/versions/{number}": {
    needs: "agents:read",
    ok: 200,
    ids: { id: agent, number: () => "1" },
  },
  "POST /api/v1/agents/{id}/versions/{number}/restore": {
    needs: "agents:write",
    ok: 200,
    ids: { id: agent, number: () => "1" },
  },

  "GET /api/v1/phone-numbers": {
    needs: "numbers:read",
    ok: 200,
    shows: ({ number }) => number,
  },
  "POST /api/v1/phone-numbers": {
    needs: "numbers:write",
    ok: 201,
    body: ({ number }) => ({ number: `${number}0` }),
    bodyIds: { agentId: agent },
  },
  "GET /api/v1/phone-numbers/{id}": { needs: "numbers:read", ok: 200, ids: { id: number } },
  "PATCH /api/v1/phone-numbers/{id}": {
    needs: "numbers:write",
    ok: 200,
    ids: { id: number },
    bodyIds: { agentId: agent },
  },
  "DELETE /api/v1/phone-numbers/{id}": { needs: "numbers:write", ok: 204, ids: { id: number } },

  "GET /api/v1/clips": { needs: "agents:read", ok: 200, shows: ({ ids }) => ids.clip },
  "POST /api/v1/clips": {
    needs: "agents:write",
    ok: 201,
    body: () => ({ name: "new", text: "Hello.", format: "mulaw", audio: "/".repeat(400) }),
  },
  "GET /api/v1/clips/{id}": { needs: "agents:read", ok: 200, ids: { id: clip } },
  "GET /api/v1/clips/{id}/audio": {
    needs: "agents:read",
    ok: 410, // none was stored
    ids: { id: clip },
  },
  "DELETE /api/v1/clips/{id}": { needs: "agents:write", ok: 204, ids: { id: clip } },

  "GET /api/v1/calls": { needs: "calls:read", ok: 200, shows: ({ ids }) => ids.call },
  "POST /api/v1/calls": {
    needs: "calls:write",
    ok: 201,
    body: ({ number }) => ({ from: number, to: "+15550100199" }),
    bodyIds: { agentId: agent },
  },
  "GET /api/v1/calls/{id}": { needs: "calls:read", ok: 200, ids: { id: call } },
  "GET /api/v1/calls/{id}/events": {
    needs: "calls:read",
    ok: 200,
    ids: { id: call },
    shows: ({ canary }) => canary,
  },

  "GET /api/v1/members": { needs: "members:read", ok: 200, shows: ({ ids }) => ids.member },
  "GET /api/v1/members/{id}": { needs: "members:read", ok: 200, ids: { id: member } },
  "PATCH /api/v1/members/{id}": {
    needs: "members:write",
    ok: 200,
    ids: { id: member },
    body: () => ({ role: "viewer" }),
    isOwners: true,
    prepare: anotherOwner,
  },
  "DELETE /api/v1/members/{id}": {
    needs: "members:write",
    ok: 204,
    ids: { id: member },
    isOwners: true,
    prepare: anotherOwner,
  },
  "GET /api/v1/invitations": {
    needs: "members:read",
    ok: 200,
    shows: ({ ids }) => ids.invitation,
  },
  "POST /api/v1/invitations": {
    needs: "members:write",
    ok: 201,
    body: () => ({ email: "new@example.com", role: "viewer" }),
  },
  "POST /api/v1/invitations/{id}/resend": {
    needs: "members:write",
    ok: 200,
    ids: { id: invitation },
  },
  "DELETE /api/v1/invitations/{id}": {
    needs: "members:write",
    ok: 204,
    ids: { id: invitation },
  },
  "GET /api/v1/api-keys": { needs: "keys:read", ok: 200, shows: ({ ids }) => ids.key },
  "POST /api/v1/api-keys": {
    needs: "keys:write",
    ok: 201,
    body: () => ({ name: "New", scopes: ["calls:read"] }),
  },
  "GET /api/v1/api-keys/{id}": { needs: "keys:read", ok: 200, ids: { id: key } },
  "PATCH /api/v1/api-keys/{id}": {
    needs: "keys:write",
    ok: 200,
    ids: { id: key },
    body: () => ({ name: "Renamed" }),
  },
  "DELETE /api/v1/api-keys/{id}": { needs: "keys:write", ok: 204, ids: { id: key } },
  "POST /api/v1/api-keys/{id}/rotate": { needs: "keys:write", ok: 201, ids: { id: key } },

  "GET /api/v1/credentials": {
    needs: "credentials:read",
    ok: 200,
    shows: ({ ids }) => ids.credential,
  },
  "POST /api/v1/credentials": {
    needs: "credentials:write",
    ok: 201,
    body: () => ({ provider: "deepgram", values: { apiKey: "a-key-of-tests" }, check: false }),
  },
  "GET /api/v1/credentials/{id}": {
    needs: "credentials:read",
    ok: 200,
    ids: { id: credential },
  },
  "PUT /api/v1/credentials/{id}": {
    needs: "credentials:write",
    ok: 200,
    ids: { id: credential },
    body: () => ({ provider: "openai", values: { apiKey: "sk-another-key" }, check: false }),
  },
  "DELETE /api/v1/credentials/{id}": {
    needs: "credentials:write",
    ok: 204,
    ids: { id: credential },
  },
  "POST /api/v1/credentials/{id}/check": {
    needs: "credentials:write",
    ok: 502, // it was opened, and no provider answers here
    ids: { id: credential },
  },

  "GET /api/v1/audit": { needs: "audit:read", ok: 200, shows: ({ ids }) => ids.audit },

  "GET /api/v1/auth/me": { needs: "person", ok: 200, shows: ({ ids }) => ids.person },
  "PATCH /api/v1/auth/me": {
    needs: "person",
    ok: 200,
    bodyIds: { primaryTenantId: (ids) => ids.tenant },
  },
  "GET /api/v1/auth/sessions": { needs: "person", ok: 200, shows: ({ ids }) => ids.session },
  "DELETE /api/v1/auth/sessions": { needs: "person", ok: 200 },
  "DELETE /api/v1/auth/sessions/{id}": {
    needs: "person",
    ok: 204,
    ids: { id: (ids) => ids.session },
  },
  "POST /api/v1/auth/password": {
    needs: "person",
    ok: 403, // it is another one
    body: () => ({ currentPassword: "not the one", newPassword: "another long one" }),
  },

  "DELETE /api/v1/calls/{id}": { needs: "data:erase", ok: 200, ids: { id: call } },
  "GET /api/v1/calls/{id}/transcript": { needs: "calls:read", ok: 200, ids: { id: call } },
  "GET /api/v1/calls/{id}/analysis": { needs: "calls:read", ok: 200, ids: { id: call } },
  "POST /api/v1/calls/{id}/hang-up": {
    needs: "calls:write",
    ok: 409, // it has ended
    ids: { id: call },
  },
  "POST /api/v1/calls/{id}/say": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
    body: () => ({ text: "One moment." }),
  },
  "POST /api/v1/calls/{id}/context": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
    body: () => ({ text: "They are a member." }),
  },
  "POST /api/v1/calls/{id}/listen-tickets": { needs: "calls:write", ok: 409, ids: { id: call } },
  "POST /api/v1/calls/{id}/mute": { needs: "calls:write", ok: 409, ids: { id: call } },
  "POST /api/v1/calls/{id}/unmute": { needs: "calls:write", ok: 409, ids: { id: call } },
  "GET /api/v1/calls/{id}/recording": {
    needs: "calls:read",
    ok: 200,
    ids: { id: call },
    shows: ({ ids }) => ids.recording,
  },
  "POST /api/v1/calls/{id}/recording/pause": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
  },
  "POST /api/v1/calls/{id}/recording/resume": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
  },
  "POST /api/v1/calls/{id}/dtmf": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
    body: () => ({ digits: "1w2#" }),
  },
  "POST /api/v1/calls/{id}/transfer": {
    needs: "calls:write",
    ok: 409,
    ids: { id: call },
    body: () => ({ to: "+15550100000" }),
  },
  "GET /api/v1/calls/{id}/stream": { needs: "calls:read", ok: 200, ids: { id: call } },
  "GET /api/v1/erasures": { needs: "data:erase", ok: 200, shows: ({ ids }) => ids.receipt },
  "POST /api/v1/erasures": {
    needs: "data:erase",
    ok: 201,
    body: ({ caller }) => ({ phone: caller }),
  },
  "GET /api/v1/export": { needs: "data:export", ok: 200 },

  "GET /api/v1/livekit": { needs: "calls:read", ok: 200 },
  "POST /api/v1/livekit/tokens": {
    needs: "calls:write",
    ok: 201,
    body: () => ({ room: "lobby", identity: "ada" }),
    bodyIds: { agentId: agent },
  },
  "GET /api/v1/livekit/rooms": {
    needs: "calls:read",
    ok: 200,
    shows: ({ ids }) => room(ids),
  },
  "POST /api/v1/livekit/rooms": {
    needs: "calls:write",
    ok: 201,
    body: () => ({ name: "lobby" }),
  },
  "DELETE /api/v1/livekit/rooms/{room}": { needs: "calls:write", ok: 204, ids: { room } },
  "GET /api/v1/livekit/rooms/{room}/participants": {
    needs: "calls:read",
    ok: 200,
    ids: { room },
    shows: ({ ids }) => identity(ids),
  },
  "DELETE /api/v1/livekit/rooms/{room}/participants/{identity}": {
    needs: "calls:write",
    ok: 204,
    ids: { room, identity },
  },
  "POST /api/v1/livekit/rooms/{room}/agents": {
    needs: "calls:write",
    ok: 503, // it was found, and no process joins rooms here
    ids: { room },
    bodyIds: { agentId: agent, identity },
  },
  "POST /api/v1/livekit/rooms/{room}/sip-participants": {
    needs: "calls:write",
    ok: 201,
    ids: { room },
    body: () => ({ to: "+15550100199", identity: "callee" }),
    bodyIds: { trunkId: trunk, agentId: agent },
  },
  "POST /api/v1/livekit/rooms/{room}/sip-participants/{identity}/transfer": {
    needs: "calls:write",
    ok: 204,
    ids: { room, identity },
    body: () => ({ to: "+15550100199" }),
  },
  "GET /api/v1/livekit/trunks": {
    needs: "numbers:read",
    ok: 200,
    shows: ({ ids }) => trunk(ids),
  },
  "POST /api/v1/livekit/trunks": {
    needs: "numbers:write",
    ok: 201,
    body: ({ number }) => ({
      direction: "inbound",
      name: "Twilio",
      numbers: [number],
      allowedAddresses: ["192.0.2.0/24"],
    }),
  },
  "DELETE /api/v1/livekit/trunks/{id}": { needs: "numbers:write", ok: 204, ids: { id: trunk } },
  "GET /api/v1/livekit/dispatch-rules": {
    needs: "numbers:read",
    ok: 200,
    shows: ({ ids }) => rule(ids),
  },
  "POST /api/v1/livekit/dispatch-rules": {
    needs: "numbers:write",
    ok: 201,
    body: ({ ids }) => ({ name: "All", room: "call", trunkIds: [trunk(ids)] }),
    bodyIds: { agentId: agent },
  },
  "DELETE /api/v1/livekit/dispatch-rules/{id}": {
    needs: "numbers:write",
    ok: 204,
    ids: { id: rule },
  },
  "GET /api/v1/livekit/egress": {
    needs: "calls:read",
    ok: 200,
    shows: ({ ids }) => ids.egress,
  },
  "POST /api/v1/livekit/egress": {
    needs: "calls:write",
    ok: 201,
    body: ({ ids }) => ({ room: room(ids) }),
  },
  "GET /api/v1/livekit/egress/{id}": { needs: "calls:read", ok: 200, ids: { id: egress } },
  "POST /api/v1/livekit/egress/{id}/stop": {
    needs: "calls:write",
    ok: 200,
    ids: { id: egress },
  },

  "GET /api/v1/limits": { needs: "tenant:read", ok: 200 },

  "GET /api/v1/webhooks/event-types": { needs: "tenant", ok: 200 },
  "GET /api/v1/webhooks": { needs: "webhooks:read", ok: 200, shows: ({ ids }) => ids.endpoint },
  "POST /api/v1/webhooks": {
    needs: "webhooks:write",
    ok: 201,
    body: () => ({ url: "https://hooks.example.com/new" }),
  },
  "GET /api/v1/webhooks/{id}": { needs: "webhooks:read", ok: 200, ids: { id: endpoint } },
  "PATCH /api/v1/webhooks/{id}": {
    needs: "webhooks:write",
    ok: 200,
    ids: { id: endpoint },
    body: () => ({ description: "Changed" }),
  },
  "DELETE /api/v1/webhooks/{id}": { needs: "webhooks:write", ok: 204, ids: { id: endpoint } },
  "POST /api/v1/webhooks/{id}/rotate-secret": {
    needs: "webhooks:write",
    ok: 200,
    ids: { id: endpoint },
  },
  "POST /api/v1/webhooks/{id}/test": { needs: "webhooks:write", ok: 200, ids: { id: endpoint } },
  "GET /api/v1/webhooks/{id}/deliveries": {
    needs: "webhooks:read",
    ok: 200,
    ids: { id: endpoint },
    shows: ({ ids }) => ids.delivery,
  },
  "GET /api/v1/webhooks/{id}/deliveries/{deliveryId}": {
    needs: "webhooks:read",
    ok: 200,
    ids: { id: endpoint, deliveryId: (ids) => ids.delivery },
    shows: ({ canary }) => canary,
  },
  "POST /api/v1/webhooks/{id}/deliveries/{deliveryId}/replay": {
    needs: "webhooks:write",
    ok: 202,
    ids: { id: endpoint, deliveryId: (ids) => ids.delivery },
  },
  "POST /api/v1/webhooks/{id}/replay": {
    needs: "webhooks:write",
    ok: 202,
    ids: { id: endpoint },
    body: () => ({ from: "2026-01-01T00:00:00Z", to: "2026-01-31T00:00:00Z" }),
  },

  "GET /api/v1/jobs": { needs: "jobs:read", ok: 200, shows: ({ ids }) => ids.job },
  "GET /api/v1/jobs/{id}": { needs: "jobs:read", ok: 200, ids: { id: job } },
  "POST /api/v1/jobs/{id}/replay": { needs: "jobs:write", ok: 202, ids: { id: job } },
  "POST /api/v1/jobs/replay": {
    needs: "jobs:write",
    ok: 202,
    body: () => ({ kind: "none" }),
  },

  "GET /.well-known/jwks.json": ANYONE,
  "POST /api/v1/auth/password/reset": ANYONE,
  "POST /api/v1/auth/password/reset/confirm": ANYONE,
  "GET /health": ANYONE,
  "GET /alive": ANYONE,
  "GET /ready": ANYONE,
  "GET /openapi.json": ANYONE,
  "GET /docs": ANYONE,
  "GET /docs/{file}": ANYONE,
  "GET /talk/{id}": ANYONE,
  "GET /talk/files/{file}": ANYONE,
  "POST /talk/{id}/tickets": ANYONE, // an agent that anyone may talk to, or the answer for none
  "GET /recordings/{token}": ANYONE, // whoever has a link that was signed here
  "GET /api/v1/features": ANYONE,
  "GET /api/v1/invitations/validate/{token}": ANYONE,
  "POST /api/v1/auth/signup": ANYONE,
  "POST /api/v1/auth/login": ANYONE,
  "POST /api/v1/auth/refresh": ANYONE,
  "POST /api/v1/auth/logout": ANYONE,
};

/** An owner beside the one whose membership is changed: the last one stays. */
async function anotherOwner(sql: Sql, ids: WorldIds): Promise<void> {
  await sql`
    update member set role = 'owner'
    where tenant_id = ${uuid(ids.tenant)} and role = 'admin'`;
}
