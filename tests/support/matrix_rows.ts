/** The cross-tenant matrix: one row a route, from which all its cases are made. A feature adds its rows here. */

import type { Scope } from "@/lib/access.ts";
import type { Sql } from "@/db/client.ts";
import { uuid, type World, type WorldIds } from "./world.ts";

type IdOf = (ids: WorldIds) => string;

export interface MatrixRow {
  /** What the credential must be good for. `person`: any user, whatever the tenant. */
  readonly needs: Scope | "person" | "anyone";
  /** What its own tenant is answered. */
  readonly ok: number;
  /** The ids in its path. */
  readonly ids?: Readonly<Record<string, IdOf>>;
  readonly query?: string;
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
};
