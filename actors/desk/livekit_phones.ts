/** Errands on LiveKit's telephones: trunks, the rules that lead calls into rooms, calls out of rooms. */

import { countDial } from "@/db/quota.ts";
import { listPhoneNumbers } from "@/db/phone_numbers.ts";
import { getTenantPlan } from "@/db/tenant_limits.ts";
import { AppError } from "@/lib/errors.ts";
import type {
  DialedParticipant,
  DispatchRule,
  LiveKit,
  NewTrunk,
  Trunk,
} from "@/lib/providers/livekit/livekit.ts";
import {
  AGENT_ATTRIBUTE,
  isOwnedBy,
  ownerMetadata,
  roomOf,
  wireRoom,
} from "@/lib/providers/livekit/rooms.ts";
import { errand } from "./errand.ts";
import { checkAgent, projectOf, standingRoom } from "./livekit_rooms.ts";
import type { Office } from "./office.ts";

/** Numbers of a tenant that are looked through: a trunk names few. */
const NUMBERS_MAX = 10_000;

/** A trunk's secret is never read back. */
export type TrunkView =
  & Pick<Trunk, "id" | "name" | "direction">
  & {
    readonly numbers: string[];
    /** Null: none is asked for. */
    readonly username: string | null;
    readonly allowedAddresses: string[];
    /** Null for one by which calls come in. */
    readonly address: string | null;
  };

export interface RuleView {
  readonly id: string;
  readonly name: string;
  readonly type: "direct" | "individual";
  /** The room, or what the names of the rooms begin with. */
  readonly room: string;
  readonly trunkIds: string[];
  /** Who answers; null: nobody by itself. */
  readonly agentId: string | null;
}

export type TrunkInput =
  & Pick<NewTrunk, "name" | "numbers">
  & {
    readonly login: { readonly username: string; readonly password: string } | null;
  }
  & (
    | { readonly direction: "inbound"; readonly allowedAddresses: readonly string[] }
    | { readonly direction: "outbound"; readonly address: string }
  );

interface RuleInput {
  readonly name: string;
  readonly type: "direct" | "individual";
  readonly room: string;
  readonly trunkIds: readonly string[];
  readonly agentId: string | null;
}

interface DialInput {
  readonly room: string;
  readonly trunkId: string;
  readonly to: string;
  readonly from: string | null;
  readonly identity: string;
  readonly name: string;
  readonly keys: string;
  readonly ringingSeconds: number;
  readonly maxSeconds: number;
  readonly agentId: string | null;
}

export const liveKitPhoneErrands = {
  liveKitTrunks: errand(
    "numbers:read",
    async (office, _: void): Promise<{ items: TrunkView[] }> => {
      const { api } = await projectOf(office);
      return { items: (await trunksOf(office, api)).map(toTrunkView) };
    },
  ),

  /** Its numbers are the tenant's own; who calls in shows a password, or comes from an address that is named. */
  createLiveKitTrunk: errand("numbers:write", async (
    office,
    { login, ...trunk }: TrunkInput,
  ): Promise<TrunkView> => {
    const { tenantId, act, signal } = office;
    const { api } = await projectOf(office);
    if (trunk.direction === "inbound" && login === null && trunk.allowedAddresses.length === 0) {
      const field = "allowedAddresses";
      const message = `Wrong input in "${field}": without a login it must name who may call`;
      throw new AppError("invalid", message, { field }); // else LiveKit takes every call
    }
    await checkNumbers(office, trunk.numbers);
    const { username = "", password = "" } = login ?? {};
    const metadata = ownerMetadata(tenantId);
    const made = await api.createTrunk({ ...trunk, metadata, username, password }, signal);
    const details = { numbers: trunk.numbers.length, direction: trunk.direction };
    await act(({ audit }) =>
      audit({ action: "livekit.trunk_created", subjectId: made.id, details })
    );
    return toTrunkView(made);
  }),

  deleteLiveKitTrunk: errand("numbers:write", async (office, id: string): Promise<null> => {
    const { api } = await projectOf(office);
    await ownTrunk(office, api, id);
    await api.deleteTrunk(id, office.signal);
    await office.act(({ audit }) => audit({ action: "livekit.trunk_deleted", subjectId: id }));
    return null;
  }),

  liveKitRules: errand("numbers:read", async (office, _: void): Promise<{ items: RuleView[] }> => {
    const { api } = await projectOf(office);
    return { items: (await rulesOf(office, api)).flatMap((rule) => toRuleView(office, rule)) };
  }),

  /** Of the tenant's own trunks: without any it would take the calls of all. */
  createLiveKitRule: errand(
    "numbers:write",
    async (office, { agentId, room, type, ...rule }: RuleInput): Promise<RuleView> => {
      const { tenantId, act, signal } = office;
      const { api } = await projectOf(office);
      await checkAgent(office, agentId);
      for (const id of rule.trunkIds) await ownTrunk(office, api, id);
      const wire = wireRoom(tenantId, room);
      const target = type === "direct" ? { type, room: wire } : { type, roomPrefix: wire };
      const made = await api.createDispatchRule({
        ...rule,
        ...target,
        metadata: ownerMetadata(tenantId),
        attributes: agentId === null ? {} : { [AGENT_ATTRIBUTE]: agentId },
      }, signal);
      await act(({ audit }) =>
        audit({ action: "livekit.rule_created", subjectId: made.id, details: { agentId } })
      );
      const [view] = toRuleView(office, made);
      if (view === undefined) throw new Error("LiveKit made another rule");
      return view;
    },
  ),

  deleteLiveKitRule: errand("numbers:write", async (office, id: string): Promise<null> => {
    const { api } = await projectOf(office);
    if (!(await rulesOf(office, api)).some((rule) => rule.id === id)) {
      throw new AppError("not_found", "No such rule");
    }
    await api.deleteDispatchRule(id, office.signal);
    await office.act(({ audit }) => audit({ action: "livekit.rule_deleted", subjectId: id }));
    return null;
  }),

  /** As a call that is placed, it counts as a dial of the tenant. */
  dialFromLiveKit: errand("calls:write", async (
    office,
    { agentId, ...call }: DialInput,
  ): Promise<DialedParticipant> => {
    const { tenantId, act, signal, clock } = office;
    const { api } = await projectOf(office);
    const { name: room } = await standingRoom(office, api, call.room);
    const trunk = await ownTrunk(office, api, call.trunkId);
    if (trunk.direction !== "outbound") {
      throw new AppError("conflict", "Calls come in by this trunk, and none go out", {
        field: "trunkId",
      });
    }
    if (call.from !== null && !trunk.numbers.includes(call.from)) {
      throw new AppError("conflict", "Not a number of this trunk", { field: "from" });
    }
    await checkAgent(office, agentId);
    await act(async ({ sql, audit }) => {
      const plan = await getTenantPlan(sql, tenantId);
      if (plan !== null) await countDial(sql, tenantId, clock.date(), plan.limits);
      await audit({ action: "livekit.dialed", subjectId: call.room });
    });
    const attributes = agentId === null ? {} : { [AGENT_ATTRIBUTE]: agentId };
    return await api.dial({ ...call, room, attributes }, signal);
  }),

  /** As `transferCall`, it counts as a dial. */
  transferFromLiveKit: errand("calls:write", async (
    office,
    { room: name, identity, to }: {
      readonly room: string;
      readonly identity: string;
      readonly to: string;
    },
  ): Promise<null> => {
    const { tenantId, act, signal, clock } = office;
    const { api } = await projectOf(office);
    const room = await standingRoom(office, api, name);
    const participants = await api.listParticipants(room.name, signal);
    const found = participants.find((participant) => participant.identity === identity);
    if (found === undefined) throw new AppError("not_found", "No such participant");
    if (found.kind !== "sip") {
      throw new AppError("conflict", "Only a participant by telephone can be transferred");
    }
    await act(async ({ sql, audit }) => {
      const plan = await getTenantPlan(sql, tenantId);
      if (plan !== null) await countDial(sql, tenantId, clock.date(), plan.limits);
      await audit({ action: "livekit.transferred", subjectId: name, details: { identity } });
    });
    await api.transfer({ room: room.name, identity, to: `tel:${to}` }, signal);
    return null;
  }),
};

async function trunksOf({ tenantId, signal }: Office, api: LiveKit): Promise<Trunk[]> {
  return (await api.listTrunks(signal)).filter(({ metadata }) => isOwnedBy(tenantId, metadata));
}

async function rulesOf({ tenantId, signal }: Office, api: LiveKit): Promise<DispatchRule[]> {
  const rules = await api.listDispatchRules(signal);
  return rules.filter(({ metadata }) => isOwnedBy(tenantId, metadata));
}

async function ownTrunk(office: Office, api: LiveKit, id: string): Promise<Trunk> {
  const found = (await trunksOf(office, api)).find((trunk) => trunk.id === id);
  if (found === undefined) throw new AppError("not_found", "No such trunk");
  return found;
}

/** A project may be shared: who names another's number would get their calls. */
async function checkNumbers(office: Office, numbers: readonly string[]): Promise<void> {
  const { read, tenantId } = office;
  const own = await read((sql) => listPhoneNumbers(sql, tenantId, { limit: NUMBERS_MAX }));
  const known = new Set(own.map(({ number }) => number));
  const at = numbers.findIndex((number) => !known.has(number));
  if (at === -1) return;
  const field = `numbers[${at}]`;
  throw new AppError("conflict", "Not a number of this company: add it first", { field });
}

function toTrunkView(trunk: Trunk): TrunkView {
  const { id, name, numbers, direction, username } = trunk;
  return {
    ...{ id, name, direction },
    numbers: [...numbers],
    username: username === "" ? null : username,
    allowedAddresses: trunk.direction === "inbound" ? [...trunk.allowedAddresses] : [],
    address: trunk.direction === "outbound" ? trunk.address : null,
  };
}

function toRuleView({ tenantId }: Office, rule: DispatchRule): RuleView[] {
  const { id, name, type, trunkIds, attributes } = rule;
  const room = roomOf(tenantId, rule.type === "direct" ? rule.room : rule.roomPrefix);
  if (room === null) return [];
  const agentId = attributes[AGENT_ATTRIBUTE] ?? null;
  return [{ id, name, type, room, trunkIds: [...trunkIds], agentId }];
}
