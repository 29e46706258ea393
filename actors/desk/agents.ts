/** Errands on agents: drawing one, publishing what was drawn as a version, and going back to an earlier one. */

import {
  type Agent,
  type AgentVersion,
  type Draft,
  type DraftedAgent,
  getAgent,
  getAgentVersion,
  getDraftedAgent,
  insertAgent,
  listAgents,
  listAgentVersions,
  lockAgent,
  publishAgentVersion,
  updateAgent,
  updateAgentArchived,
} from "@/db/agents.ts";
import type { Sql } from "@/db/client.ts";
import { listClips } from "@/db/clips.ts";
import { listCredentialsNamed } from "@/db/credentials.ts";
import { countAgentNumbers } from "@/db/phone_numbers.ts";
import { CREDENTIAL_IN_USE, type CredentialProvider } from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { lacking, type ProviderAccounts } from "@/lib/provider_choice.ts";
import { clipFaults, clipNames } from "@/lib/workflow/clips.ts";
import { checkGraph, type Fault, type Graph } from "@/lib/workflow/graph.ts";
import { CLIPS_MAX } from "./clips.ts";
import { errand } from "./errand.ts";

/** An agent as a list shows it. */
export interface AgentSummary {
  readonly id: string;
  readonly name: string;
  /** Null while no version is published: it answers no calls. */
  readonly publishedVersion: number | null;
  /** Whether something is being drawn that is not published. */
  readonly hasDraft: boolean;
  /** Whether anyone may talk to it from its page, without a ticket of the API. */
  readonly isTalkPublic: boolean;
  /** Its ETag. */
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly archivedAt: string | null;
}

export interface AgentView extends AgentSummary {
  /** As it was sent; it need not be valid. Null: nothing is being drawn. */
  readonly draft: Draft | null;
}

export interface AgentVersionSummary {
  readonly number: number;
  readonly createdAt: string;
  /** Whether it is the one that answers calls. */
  readonly isPublished: boolean;
}

export interface AgentVersionView extends AgentVersionSummary {
  readonly agentId: string;
  /** As it was published, with the defaults of that day. */
  readonly graph: unknown;
}

export interface AgentChange {
  readonly agentId: string;
  readonly name?: string | undefined;
  /** In place of the draft there is; null drops it. */
  readonly draft?: Draft | null | undefined;
  readonly isTalkPublic?: boolean | undefined;
  /** Of `If-Match`; null: any. */
  readonly expected: number | null;
}

interface Expected {
  readonly agentId: string;
  readonly expected: number | null;
}

interface OneVersion {
  readonly agentId: string;
  readonly number: number;
}

interface AgentsPage {
  readonly limit: number;
  /** The id of the last one already seen. */
  readonly cursor?: string | undefined;
  readonly archived: boolean;
}

export const agentErrands = {
  agents: errand("agents:read", async (
    { read, tenantId },
    { limit, cursor, archived }: AgentsPage,
  ): Promise<{ items: AgentSummary[]; next: string | null }> => {
    const before = cursor === undefined ? {} : { before: cursor };
    const page = { limit, isArchived: archived, ...before };
    const items = (await read((sql) => listAgents(sql, tenantId, page))).map(toSummary);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  agent: errand("agents:read", async ({ read, tenantId }, agentId: string): Promise<AgentView> => {
    return toView(await read((sql) => found(agentId, getDraftedAgent(sql, tenantId, agentId))));
  }),

  createAgent: errand("agents:write", async (
    { act, tenantId },
    { name, graph = null }: { readonly name: string; readonly graph?: Draft | null | undefined },
  ): Promise<AgentView> => {
    const id = newId("agent"); // of nobody before, so that it can only be inserted, or fail
    const { made } = await act(async ({ sql, audit, withCommit }) => {
      const made = insertAgent(sql, tenantId, { id, name, draft: graph });
      withCommit(made);
      await audit({ action: "agent.created", subjectId: id, details: { name } });
      return { made };
    });
    return toView(await found(id, made));
  }),

  changeAgent: errand(
    "agents:write",
    ({ act, tenantId }, { agentId, expected, ...change }: AgentChange): Promise<AgentView> =>
      act(async ({ sql, audit }) => {
        const before = await editable(sql, tenantId, { agentId, expected });
        const name = change.name ?? before.name;
        const draft = change.draft === undefined ? before.draft : change.draft;
        const { isTalkPublic } = change;
        await updateAgent(sql, tenantId, agentId, { name, draft, isTalkPublic });
        const fields = Object.keys(change);
        await audit({ action: "agent.changed", subjectId: agentId, details: { name, fields } });
        return toView(await found(agentId, getDraftedAgent(sql, tenantId, agentId)));
      }),
  ),

  /** Everything that is wrong with the draft, or with the published version where nothing is drawn. */
  validateAgent: errand("agents:read", async (
    { read, tenantId, accounts },
    agentId: string,
  ): Promise<{ isValid: boolean; faults: Fault[] }> => {
    const [graph, brought, clips] = await read(async (sql) => {
      const own = await broughtTo(sql, tenantId);
      const clips = await clipsOf(sql, tenantId);
      const { draft, publishedVersion } = await found(
        agentId,
        getDraftedAgent(sql, tenantId, agentId),
      );
      if (draft !== null || publishedVersion === null) return [draft, own, clips];
      const number = publishedVersion;
      const version = await getAgentVersion(sql, tenantId, agentId, number, asIs);
      return [version?.graph ?? null, own, clips];
    });
    if (graph === null) throw noDraft();
    const checked = checkGraph(graph);
    const faults = checked.graph === null
      ? [...checked.faults]
      : [...providerFaults(checked.graph, accounts, brought), ...clipFaults(checked.graph, clips)];
    return { isValid: faults.length === 0, faults };
  }),

  /** The draft becomes the next version, and answers the calls that ring from now on. */
  publishAgent: errand("agents:write", async (
    { act, tenantId, by, accounts },
    input: Expected,
  ): Promise<AgentVersionView> => {
    const { agentId } = input;
    return await act(async ({ sql, audit, emit, changeConfig }) => {
      const { name, draft } = await editable(sql, tenantId, input);
      if (draft === null) throw noDraft();
      const graph = checked(draft);
      const missing = graph.providers === null && graph.speech === null
        ? []
        : providerFaults(graph, accounts, await broughtTo(sql, tenantId));
      refuse(missing);
      if (clipNames(graph).length > 0) refuse(clipFaults(graph, await clipsOf(sql, tenantId)));
      const number = await publishAgentVersion(sql, tenantId, {
        id: newId("version"),
        agentId,
        graph,
      });
      if (number === null) throw noAgent();
      await updateAgent(sql, tenantId, agentId, { name, draft: null });
      await audit({ action: "agent.published", subjectId: agentId, details: { version: number } });
      await emit("agent.published", { agentId, version: number, by: by.id });
      await changeConfig();
      const version = await getAgentVersion(sql, tenantId, agentId, number, asIs);
      if (version === null) throw new Error(`Version ${number} is not there`);
      return toVersion(version, number);
    });
  }),

  agentVersions: errand("agents:read", async (
    { read, tenantId },
    { agentId, limit, cursor }: {
      readonly agentId: string;
      readonly limit: number;
      /** The number of the last one already seen. */
      readonly cursor?: string | undefined;
    },
  ): Promise<{ items: AgentVersionSummary[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: numberOf(cursor) };
    const [agent, versions] = await read(async (sql) => [
      await found(agentId, getAgent(sql, tenantId, agentId)),
      await listAgentVersions(sql, tenantId, agentId, page),
    ]);
    const items = versions.map(({ number, createdAt }) => ({
      number,
      createdAt: createdAt.toISOString(),
      isPublished: number === agent.publishedVersion,
    }));
    const last = items.at(-1)?.number;
    return { items, next: items.length < limit || last === undefined ? null : `${last}` };
  }),

  agentVersion: errand("agents:read", async (
    { read, tenantId },
    { agentId, number }: OneVersion,
  ): Promise<AgentVersionView> => {
    const [agent, version] = await read(async (sql) => [
      await found(agentId, getAgent(sql, tenantId, agentId)),
      await getAgentVersion(sql, tenantId, agentId, number, asIs),
    ]);
    if (version === null) throw noAgent();
    return toVersion(version, agent.publishedVersion);
  }),

  /** An earlier version's graph becomes the draft, in place of the one there is. */
  restoreAgentVersion: errand("agents:write", async (
    { act, tenantId },
    { number, ...input }: OneVersion & Expected,
  ): Promise<AgentView> => {
    const { agentId } = input;
    return await act(async ({ sql, audit }) => {
      const { name } = await editable(sql, tenantId, input);
      const version = await getAgentVersion(sql, tenantId, agentId, number, asDraft);
      if (version === null) throw noAgent();
      await updateAgent(sql, tenantId, agentId, { name, draft: version.graph });
      const details = { version: number };
      await audit({ action: "agent.version_restored", subjectId: agentId, details });
      return toView(await found(agentId, getDraftedAgent(sql, tenantId, agentId)));
    });
  }),

  /** Another agent, whose draft is what this one's is, or what it has published. */
  duplicateAgent: errand("agents:write", async (
    { act, tenantId },
    { agentId, name }: { readonly agentId: string; readonly name?: string | undefined },
  ): Promise<AgentView> =>
    await act(async ({ sql, audit }) => {
      const from = await found(agentId, getDraftedAgent(sql, tenantId, agentId));
      const published = from.draft !== null || from.publishedVersion === null
        ? null
        : await getAgentVersion(sql, tenantId, agentId, from.publishedVersion, asDraft);
      const copy = {
        id: newId("agent"),
        name: name ?? `${from.name.slice(0, NAME_MAX - COPY.length)}${COPY}`,
        draft: from.draft ?? published?.graph ?? null,
      };
      await insertAgent(sql, tenantId, copy);
      const details = { name: copy.name, from: agentId };
      await audit({ action: "agent.created", subjectId: copy.id, details });
      return toView(await found(copy.id, getDraftedAgent(sql, tenantId, copy.id)));
    })),

  /** It answers no more calls and can no longer be changed; its versions and its calls stay. */
  archiveAgent: errand("agents:write", async ({ act, tenantId, clock }, input: Expected) => {
    const { agentId } = input;
    await act(async ({ sql, audit, changeConfig }) => {
      const agent = await found(agentId, lockAgent(sql, tenantId, agentId));
      if (agent.archivedAt !== null) return; // told twice, done once
      expect(agent, input.expected);
      if (await countAgentNumbers(sql, tenantId, agentId) > 0) {
        throw new AppError(
          "conflict",
          "A phone number is assigned to the agent: unassign it first",
        );
      }
      await updateAgentArchived(sql, tenantId, agentId, clock.date());
      await audit({ action: "agent.archived", subjectId: agentId });
      await changeConfig();
    });
    return null;
  }),
};

/** Characters of an agent's name. */
export const NAME_MAX = 100;
const COPY = " (copy)";

/** Refused with everything that is wrong with it. */
function checked(draft: Draft): Graph {
  const { graph, faults } = checkGraph(draft);
  if (graph !== null) return graph;
  throw invalid(faults);
}

function refuse([first, ...rest]: readonly Fault[]): void {
  if (first !== undefined) throw invalid([first, ...rest]);
}

/** The providers that the tenant has an account of. */
async function broughtTo(sql: Sql, tenantId: string): Promise<ReadonlySet<CredentialProvider>> {
  const rows = await listCredentialsNamed(sql, tenantId, CREDENTIAL_IN_USE);
  return new Set(rows.map(({ provider }) => provider));
}

/** The names of its clips. */
async function clipsOf(sql: Sql, tenantId: string): Promise<ReadonlySet<string>> {
  const clips = await listClips(sql, tenantId, { limit: CLIPS_MAX });
  return new Set(clips.map(({ name }) => name));
}

/** A call of such an agent would not be held. */
function providerFaults(
  { providers, speech }: Graph,
  house: ProviderAccounts,
  brought: ReadonlySet<CredentialProvider>,
): Fault[] {
  return lacking({ providers, speech }, house, brought).map(({ path, provider, credential }) => ({
    path,
    nodeId: null,
    message: `Provider "${provider}" is not configured: bring a credential of ${credential}`,
  }));
}

function invalid(faults: readonly [Fault, ...Fault[]]): AppError {
  const [{ path, message }] = faults;
  return new AppError("invalid", `Agent is not valid at "${path}": ${message}`, {
    field: path,
    errors: faults.map((fault) => ({ in: "body", field: fault.path, message: fault.message })),
  });
}

/** The agent, for this transaction alone to change. */
async function editable(
  sql: Sql,
  tenantId: string,
  { agentId, expected }: Expected,
): Promise<DraftedAgent> {
  const agent = await found(agentId, lockAgent(sql, tenantId, agentId));
  if (agent.archivedAt !== null) throw new AppError("conflict", "The agent is archived");
  expect(agent, expected);
  return agent;
}

function expect({ revision }: Agent, expected: number | null): void {
  if (expected === null || expected === revision) return;
  throw new AppError("edit_conflict", "The agent was changed since", { field: "If-Match" });
}

async function found<T>(agentId: string, agent: Promise<T | null>): Promise<T> {
  const it = await agent;
  if (uuidOf("agent", agentId) === null || it === null) throw noAgent();
  return it;
}

function noAgent(): AppError {
  return new AppError("not_found", "No such agent");
}

function noDraft(): AppError {
  return new AppError("conflict", "The agent has no draft");
}

/** A cursor that was not given out is the sender's mistake. */
function numberOf(cursor: string): number {
  if (/^\d{1,9}$/.test(cursor)) return Number(cursor);
  throw new AppError("invalid", 'Wrong input in "cursor": not one that was given out', {
    field: "cursor",
  });
}

function asIs(json: unknown): unknown {
  return json;
}

/** What is stored as a version has been parsed, so it is an object. */
function asDraft(json: unknown): Draft {
  return Object(json);
}

function toSummary(agent: Agent): AgentSummary {
  return {
    id: agent.id,
    name: agent.name,
    publishedVersion: agent.publishedVersion,
    hasDraft: agent.hasDraft,
    isTalkPublic: agent.isTalkPublic,
    revision: agent.revision,
    createdAt: agent.createdAt.toISOString(),
    updatedAt: agent.updatedAt.toISOString(),
    archivedAt: agent.archivedAt?.toISOString() ?? null,
  };
}

function toView(agent: DraftedAgent): AgentView {
  return { ...toSummary(agent), draft: agent.draft };
}

function toVersion(
  { agentId, number, graph, createdAt }: AgentVersion<unknown>,
  published: number | null,
): AgentVersionView {
  const isPublished = number === published;
  return { agentId, number, createdAt: createdAt.toISOString(), isPublished, graph };
}
