/** Names in a LiveKit project that tenants share: each carries its tenant, so that none reaches another's. */

import { uuidOf } from "@/lib/ids.ts";

/** What a tenant may call a room, or the rooms of a rule: it stands in URLs as it is. */
export const ROOM_NAME = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$/;
/** Of participants that are agents of ours; nobody else's identity begins so. */
export const AGENT_IDENTITY = "agent-";
/** The attribute of a participant whom an agent is to join, and which agent that is. */
export const AGENT_ATTRIBUTE = "ringmaster.agentId";
/** The SIP header in which our carrier's call id goes to LiveKit, and the attribute it becomes there. */
export const CARRIER_CALL_HEADER = "X-Ringmaster-Call";
export const CARRIER_CALL_ATTRIBUTE = "ringmaster.carrierCallId";

/** The name on the wire of a tenant's room: `0198f3c2-…_front-desk`. */
export function wireRoom(tenantId: string, name: string): string {
  return `${uuidOf("tenant", tenantId)}_${name}`;
}

export interface TenantRoom {
  readonly tenantId: string;
  /** As the tenant calls it. */
  readonly name: string;
}

/** Null for a room that is no tenant's. */
export function tenantRoom(wireName: string): TenantRoom | null {
  const [, uuid = "", name = ""] = /^([0-9a-f-]{36})_(.+)$/s.exec(wireName) ?? [];
  const tenantId = `tenant_${uuid}`;
  return uuidOf("tenant", tenantId) === null ? null : { tenantId, name };
}

/** The tenant's own name of a room; null when the room is not the tenant's. */
export function roomOf(tenantId: string, wireName: string): string | null {
  const room = tenantRoom(wireName);
  return room?.tenantId === tenantId ? room.name : null;
}

/** What is kept with a trunk or a rule: whose it is. */
export function ownerMetadata(tenantId: string): string {
  return JSON.stringify({ tenantId });
}

/** Whether a trunk or a rule with this metadata is the tenant's. */
export function isOwnedBy(tenantId: string, metadata: string): boolean {
  return metadata === ownerMetadata(tenantId);
}
