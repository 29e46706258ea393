/** Rows for tests of the database: a tenant with an agent whose first version is published. */

import { insertAgent, publishAgentVersion } from "@/db/agents.ts";
import { type CallEnd, insertCall, type NewCall } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { insertTenant } from "@/db/tenants.ts";
import { newId } from "@/lib/ids.ts";

export const DEADLINE_MS = 10_000;

export async function newTenant(database: Database): Promise<string> {
  const id = newId("tenant");
  await database.asTenant(
    "rest",
    id,
    DEADLINE_MS,
    (sql) => insertTenant(sql, { id, name: "Clinic" }),
  );
  return id;
}

export interface Staffed {
  readonly tenantId: string;
  readonly agentId: string;
}

export async function newStaffedTenant(database: Database): Promise<Staffed> {
  const tenantId = await newTenant(database);
  const agentId = newId("agent");
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAgent(sql, tenantId, { id: agentId, name: "Front desk" });
    const version = { id: newId("version"), agentId, graph: { nodes: [] } };
    await publishAgentVersion(sql, tenantId, version);
  });
  return { tenantId, agentId };
}

/** An inbound call, ringing, that the carrier has an id for. */
export function newCall(agentId: string, more: Partial<NewCall> = {}): NewCall {
  const id = newId("call");
  return {
    id,
    agentId,
    agentVersion: 1,
    direction: "inbound",
    fromNumber: "+4915100000001",
    toNumber: "+15550100100",
    carrier: "twilio",
    carrierCallId: `CA${id.slice(-12)}`,
    placedBy: null,
    startedAt: new Date("2026-01-05T09:00:00.123Z"),
    ...more,
  };
}

export async function insertedCall(database: Database, staffed: Staffed): Promise<NewCall> {
  const call = newCall(staffed.agentId);
  const { tenantId } = staffed;
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertCall(sql, tenantId, call),
  );
  return call;
}

export const answeredEnd: CallEnd = {
  outcome: "answered",
  reason: null,
  variables: { name: "Ada" },
  usage: {
    models: [{
      ...{ model: "gpt-4.1", requests: 2, inputTokens: 900, outputTokens: 40 },
      ...{ inputAudioTokens: 0, outputAudioTokens: 0 },
    }],
    brokenOff: { requests: 1, tokens: 420 },
    wasted: { replies: 1, tokens: 70 },
    voices: [{ provider: "elevenlabs", characters: 310 }],
    recognisers: [{ provider: "deepgram-nova", ms: 55_000 }],
  },
  endedAt: new Date("2026-01-05T09:01:00Z"),
};
